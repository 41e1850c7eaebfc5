#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/samples.hpp"

using mgdl::Index;

namespace {

std::atomic<long> allocations{0};

}  // namespace

// Every allocation of this program is counted: operator new, and malloc underneath it, which Eigen
// calls directly.
extern "C" void* __libc_malloc(std::size_t size);

extern "C" void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}

TEST_CASE("The counter sees what Eigen and the standard library allocate", "[training]") {
  const long before = allocations;
  const Eigen::VectorXd eigen = Eigen::VectorXd::Ones(1000);
  const long after_eigen = allocations;
  const std::vector<double> standard(1000, eigen.sum());
  CHECK(after_eigen > before);
  CHECK(allocations > after_eigen);
  CHECK(standard.front() == 1000);
}

TEMPLATE_TEST_CASE("Steady-state training allocates nothing", "[training/gradient_trainer]", float,
                   double) {
  using Scalar = TestType;
  mgdl::RandomStream random(mgdl::test::seed(), 5);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(500, 3, random);
  const mgdl::Matrix<Scalar> Y = X.rowwise().squaredNorm();
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    mgdl::GradientOptions options;
    options.width = 40;
    options.optimizer = optimizer;
    options.epochs = 12;
    options.batch_size = 64;
    std::vector<long> seen;
    seen.reserve(100);
    mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<Scalar>{options},
                                    {.max_grades = 1,
                                     .validation_fraction = 0.2,
                                     .threads = 2,
                                     .observer = [&](const mgdl::Progress& progress) {
                                       if (progress.event == mgdl::Progress::Event::Iteration) {
                                         seen.push_back(allocations);
                                       }
                                       return mgdl::Action::Continue;
                                     }}};
    const auto fit = trainer.fit(X, Y);
    REQUIRE(fit.report.grades.size() == 1);
    REQUIRE(seen.size() == 12);
    // Steps, validation and the observer's own call; units are revived in the first half only.
    CHECK(seen[11] - seen[6] == 0);
  }
}
