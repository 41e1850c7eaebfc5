#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/samples.hpp"

// Every allocation of this program is counted, those of `new` and those that Eigen asks of malloc.
// That needs the names by which glibc offers its own; sanitizers need malloc for themselves.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MGDL_TEST_SANITIZED
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !defined(MGDL_TEST_SANITIZED)
#define MGDL_TEST_COUNTS
#include <malloc.h>
#endif

using mgdl::Index;

namespace {

std::atomic<long> allocations{0};
std::atomic<long> bytes{0};
std::atomic<long> peak_bytes{0};

}  // namespace

#ifdef MGDL_TEST_COUNTS

extern "C" {

void* __libc_malloc(std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) {
  void* memory = __libc_malloc(size);
  ++allocations;
  const long now = bytes += static_cast<long>(malloc_usable_size(memory));
  long peak = peak_bytes;
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
  return memory;
}

void free(void* memory) {
  if (memory != nullptr) bytes -= static_cast<long>(malloc_usable_size(memory));
  __libc_free(memory);
}

}  // extern "C"

TEST_CASE("The counter sees what Eigen and the standard library allocate", "[training]") {
  const long before = allocations;
  const long bytes_before = bytes;
  const Eigen::VectorXd eigen = Eigen::VectorXd::Ones(1000);
  const long after_eigen = allocations;
  const std::vector<double> standard(1000, eigen.sum());
  CHECK(after_eigen > before);
  CHECK(allocations > after_eigen);
  CHECK(bytes - bytes_before >= 16000);
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
    mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<Scalar>{options.fixed()},
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

TEST_CASE("Training holds at most four copies of a grade's features",
          "[training/multigrade_trainer]") {
  constexpr Index n = 60000;
  constexpr Index width = 48;
  mgdl::Matrix<float> X(n, 1);
  for (Index i = 0; i < n; ++i) X(i, 0) = static_cast<float>(i) / n;
  const mgdl::Matrix<float> Y = (40 * X.array()).sin();
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    mgdl::GradientOptions options;
    options.width = width;
    options.optimizer = optimizer;
    options.epochs = 2;
    options.batch_size = 10000;
    mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<float>{options},
                                    {.max_grades = 3, .threads = 2}};
    const long before = bytes;
    peak_bytes = before;
    const auto fit = trainer.fit(X, Y);
    REQUIRE(fit.model.grades() == 3);
    const double copy = static_cast<double>(n * width) * sizeof(float);
    const double copies = static_cast<double>(peak_bytes - before) / copy;
    CAPTURE(copies);
    CHECK(copies < 4);
    CHECK(copies > 1);  // the features are there, so the measurement sees something
  }
}

#else

TEST_CASE("Allocations are counted in builds with glibc and without sanitizers", "[training]") {
  SUCCEED("nothing to count here");
}

#endif
