#include "mgdl/linalg/bounded_quadratic.hpp"

#include "support/samples.hpp"

using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::Vector;
using mgdl::detail::minimise_bounded;
using mgdl::test::normal_matrix;

TEST_CASE("the minimiser meets the optimality conditions", "[linalg/bounded_quadratic]") {
  RandomStream random(mgdl::test::seed());
  for (int problem = 0; problem < mgdl::test::draws(200, 20000); ++problem) {
    const auto n = 1 + static_cast<Index>(random.below(40));
    CAPTURE(problem, n);
    // Some bounds are almost at the start, as those of groups that are almost zero.
    const auto factor = normal_matrix<Matrix<double>>(n, n + 2, random);
    const Matrix<double> H = factor * factor.transpose();
    const auto g = normal_matrix<Vector<double>>(n, 1, random);
    Vector<double> lower(n);
    for (double& bound : lower) bound = random.below(3) == 0 ? 0 : -std::exp(10 * random.normal());
    const Vector<double> x = minimise_bounded<double>(H, g, lower, 0);
    const Vector<double> gradient = H * x - g;
    const double scale = H.norm() * (1 + x.norm());
    for (Index i = 0; i < n; ++i) {
      CHECK(x[i] >= lower[i]);
      CHECK(gradient[i] >= -1e-10 * scale);
      if (x[i] > lower[i] + 1e-12 * (1 + std::abs(lower[i]))) {
        CHECK(std::abs(gradient[i]) <= 1e-10 * scale);
      }
    }
  }
}

TEST_CASE("only the lower triangle counts, and none is needed for nothing",
          "[linalg/bounded_quadratic]") {
  Matrix<double> H(2, 2);
  H << 2, 1e9, 1, 3;
  const Vector<double> x =
      minimise_bounded<double>(H, Vector<double>{{1, -2}}, Vector<double>{{-10, -0.1}}, 0);
  CHECK(x[1] == Approx(-0.1));
  CHECK(x[0] == Approx(0.55));
  CHECK(minimise_bounded<double>(Matrix<double>(0, 0), {}, {}, 0).size() == 0);
}

TEST_CASE("a matrix that is not positive definite gives a feasible point",
          "[linalg/bounded_quadratic]") {
  const Matrix<double> H = -Matrix<double>::Identity(3, 3);
  const Vector<double> lower{{-1, 0, -2}};
  const Vector<double> x = minimise_bounded<double>(H, Vector<double>::Ones(3), lower, 0);
  CHECK((x.array() >= lower.array()).all());
}
