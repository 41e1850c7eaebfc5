#include "mgdl/linalg/tiled_cholesky.hpp"

#include "support/factorisations.hpp"
#include "support/samples.hpp"

using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::detail::kPanelWidth;
using mgdl::detail::PanelMatrix;
using mgdl::detail::ThreadPool;
using mgdl::detail::TiledCholesky;
using mgdl::test::normal_matrix;

namespace {

template <class Real>
constexpr double kTolerance = std::is_same_v<Real, float> ? 1e-4 : 1e-12;

/// In storage of the factorisation; the upper triangle is not to be read.
template <class Real>
RowMatrix<Real> stored(const Matrix<double>& A) {
  RowMatrix<Real> storage = TiledCholesky<Real>::storage(A.rows());
  storage.setConstant(Real(1e30));
  for (Index i = 0; i < A.rows(); ++i) {
    for (Index j = 0; j <= i; ++j) storage(i, j) = static_cast<Real>(A(i, j));
  }
  return storage;
}

}  // namespace

TEMPLATE_TEST_CASE("solves with a positive definite matrix", "[linalg/tiled_cholesky]", float,
                   double) {
  RandomStream random(mgdl::test::seed());
  for (const Index n : {1, 5, 127, 128, 129, 300, 515}) {
    CAPTURE(n);
    const auto factor = normal_matrix<Matrix<double>>(n, n + 3, random);
    const Matrix<double> A =
        factor * factor.transpose() / static_cast<double>(n) + Matrix<double>::Identity(n, n);
    const auto B = normal_matrix<Matrix<double>>(n, 2 * kPanelWidth<TestType> + 3, random);
    Matrix<double> first;
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      TiledCholesky<TestType> cholesky;
      REQUIRE(cholesky.compute(pool, stored<TestType>(A)));
      PanelMatrix<TestType> panels(B);
      cholesky.solve(pool, panels);
      Matrix<double> X(n, B.cols());
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < B.cols(); ++j) X(i, j) = panels(i, j);
      }
      CHECK((A * X - B).norm() < kTolerance<TestType> * B.norm());
      if (threads == 1) first = X;
      CHECK(X == first);

      panels = PanelMatrix<TestType>(B);
      cholesky.solve_lower(pool, panels);
      Matrix<double> gram = Matrix<double>::Zero(B.cols(), B.cols());
      panels.add_gram(pool, gram, 2);
      const Matrix<double> expected = 2 * B.transpose() * mgdl::test::solve_symmetric(A, B);
      double error = 0;
      for (Index j = 0; j < gram.cols(); ++j) {
        for (Index i = j; i < gram.rows(); ++i) error += std::abs(gram(i, j) - expected(i, j));
      }
      CHECK(error / static_cast<double>(gram.rows()) < kTolerance<TestType> * expected.norm());
    }
  }
}

TEST_CASE("a matrix that is not positive definite is refused", "[linalg/tiled_cholesky]") {
  ThreadPool pool(1);
  Matrix<double> A = Matrix<double>::Identity(200, 200);
  A(150, 150) = -1;
  TiledCholesky<double> cholesky;
  CHECK_FALSE(cholesky.compute(pool, stored<double>(A)));
}
