#include "mgdl/linalg/outer_product.hpp"

#include <vector>

#include "support/panels.hpp"
#include "support/samples.hpp"

using mgdl::Index;
using mgdl::RowMatrix;
using mgdl::Vector;
using mgdl::detail::kLanes;
using mgdl::detail::kPanelWidth;
using mgdl::detail::padded;
using mgdl::detail::PanelShape;
using mgdl::test::from_panels;
using mgdl::test::normal_matrix;

namespace {

/// A' B, or start + A' B, from all tasks in turn. A and B lie inside wider matrices.
template <class Scalar>
Vector<Scalar> sum(const RowMatrix<Scalar>& A, const RowMatrix<Scalar>& B,
                   const Vector<Scalar>* start = nullptr) {
  const PanelShape<Scalar> shape{A.cols(), B.cols()};
  RowMatrix<Scalar> a = RowMatrix<Scalar>::Constant(A.rows(), A.cols() + 3, Scalar(1e9));
  RowMatrix<Scalar> b = RowMatrix<Scalar>::Zero(B.rows(), padded<Scalar>(B.cols()) + 5);
  a.leftCols(A.cols()) = A;
  b.leftCols(B.cols()) = B;
  b.rightCols(5).setConstant(Scalar(1e9));
  Vector<Scalar> c =
      start != nullptr ? *start : Vector<Scalar>::Constant(shape.size(), Scalar(-77));
  Vector<Scalar> buffer(mgdl::detail::kOuterBuffer<Scalar>);
  for (Index task = chunk_count(shape) - 1; task >= 0; --task) {
    add_outer_products(A.rows(), a.data(), a.cols(), b.data(), b.cols(), shape,
                       chunk_range(shape, task), c.data(), start != nullptr, buffer.data());
  }
  return c;
}

}  // namespace

TEMPLATE_TEST_CASE("tasks cover the result once", "[linalg/outer_product]", float, double) {
  for (const Index rows : {1, 127, 128, 129, 300}) {
    for (const Index cols : {Index{1}, kPanelWidth<TestType> + 1, 3 * kPanelWidth<TestType>}) {
      const PanelShape<TestType> shape{rows, cols};
      Vector<TestType> visits = Vector<TestType>::Zero(shape.size());
      for (Index task = 0; task < chunk_count(shape); ++task) {
        const auto range = chunk_range(shape, task);
        REQUIRE(range.first < range.last);
        CHECK(range.first % kLanes<TestType> == 0);
        visits
            .segment(shape.offset(range.panel, range.first),
                     (range.last - range.first) * shape.width(range.panel))
            .array() += 1;
      }
      CHECK((visits.array() == 1).all());
    }
  }
}

TEMPLATE_TEST_CASE("sums of outer products are those of Eigen", "[linalg/outer_product]", float,
                   double) {
  mgdl::RandomStream random(mgdl::test::seed());
  constexpr Index lanes = kLanes<TestType>;
  constexpr Index panel = kPanelWidth<TestType>;
  for (const Index samples : {1, 2, 255, 256, 257, 600}) {
    for (const Index k : {1, 5, 127, 131, 300}) {
      for (const Index n : {Index{1}, lanes - 1, lanes + 1, panel, panel + 1, 2 * panel + 1}) {
        if (n == 0) continue;  // without vector registers
        CAPTURE(samples, k, n);
        const auto A = normal_matrix<RowMatrix<TestType>>(samples, k, random);
        const auto B = normal_matrix<RowMatrix<TestType>>(samples, n, random);
        const Eigen::MatrixXd a = A.template cast<double>();
        const Eigen::MatrixXd b = B.template cast<double>();
        const Eigen::MatrixXd expected = a.transpose() * b;
        const Eigen::MatrixXd bound = mgdl::test::rounding_bound<TestType>(
            2 * a.cwiseAbs().transpose() * b.cwiseAbs(), samples);
        const auto once = sum(A, B);
        const Eigen::MatrixXd found = from_panels(once, k, n).template cast<double>();
        CHECK(((found - expected).array().abs() <= bound.array()).all());
        const Eigen::MatrixXd twice = from_panels(sum(A, B, &once), k, n).template cast<double>();
        CHECK(((twice - 2 * expected).array().abs() <= 2 * bound.array()).all());
      }
    }
  }
}

TEMPLATE_TEST_CASE("column sums", "[linalg/outer_product]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  for (const Index samples : {1, 255, 256, 257, 600}) {
    for (const Index width : {kLanes<TestType>, 3 * kLanes<TestType>}) {
      CAPTURE(samples, width);
      const auto B = normal_matrix<RowMatrix<TestType>>(samples, width + 2, random);
      Vector<TestType> sums = Vector<TestType>::Constant(width + 1, TestType(-77));
      mgdl::detail::add_column_sums(samples, B.data(), width + 2, width, sums.data(), false);
      const Eigen::VectorXd expected = B.leftCols(width).template cast<double>().colwise().sum();
      const double bound = 1e3 * std::numeric_limits<TestType>::epsilon();
      CHECK((sums.head(width).template cast<double>() - expected).cwiseAbs().maxCoeff() < bound);
      mgdl::detail::add_column_sums(samples, B.data(), width + 2, width, sums.data(), true);
      CHECK((sums.head(width).template cast<double>() - 2 * expected).cwiseAbs().maxCoeff() <
            2 * bound);
      CHECK(sums[width] == TestType(-77));
    }
  }
}
