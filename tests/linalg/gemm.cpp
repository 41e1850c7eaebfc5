#include "mgdl/linalg/gemm.hpp"

#include <limits>
#include <set>
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
using mgdl::detail::Strided;
using mgdl::test::normal_matrix;
using mgdl::test::to_panels;

namespace {

constexpr auto ignore = [](auto&&...) {};

/// C = A B by gemm. A guard column behind the padding must not be touched.
template <class Scalar, class Finish>
RowMatrix<Scalar> product(Index rows, Strided<Scalar> a, const PanelShape<Scalar>& shape,
                          const Vector<Scalar>& b, const Finish& finish) {
  const Index stride = padded<Scalar>(shape.cols) + 1;
  RowMatrix<Scalar> c = RowMatrix<Scalar>::Constant(rows, stride, Scalar(-77));
  mgdl::detail::gemm(rows, a, shape, b.data(), c.data(), stride, finish);
  if ((c.col(stride - 1).array() != Scalar(-77)).any()) FAIL("wrote beyond the padded columns");
  if ((c.middleCols(shape.cols, stride - 1 - shape.cols).array() != 0).any()) {
    FAIL("the padding is not zero");
  }
  return c.leftCols(shape.cols);
}

}  // namespace

TEMPLATE_TEST_CASE("panels hold every element once", "[linalg/gemm]", float, double) {
  for (const Index cols : {Index{1}, kLanes<TestType> + 1, kPanelWidth<TestType>,
                           kPanelWidth<TestType> + 1, 3 * kPanelWidth<TestType> - 1}) {
    const PanelShape<TestType> shape{5, cols};
    CHECK(shape.size() == 5 * padded<TestType>(cols));
    std::set<Index> places;
    for (Index i = 0; i < 5; ++i) {
      for (Index j = 0; j < cols; ++j) places.insert(shape.at(i, j));
    }
    CHECK(static_cast<Index>(places.size()) == 5 * cols);
    CHECK(*places.begin() == 0);
    CHECK(*places.rbegin() < shape.size());
  }
}

TEMPLATE_TEST_CASE("the product is that of Eigen for every shape", "[linalg/gemm]", float, double) {
  constexpr Index max_rows = 13;
  constexpr Index max_cols = 2 * kPanelWidth<TestType> + 1;
  mgdl::RandomStream random(mgdl::test::seed());
  for (const Index depth : {1, 2, 255, 256, 257, 600}) {
    const auto A = normal_matrix<RowMatrix<TestType>>(max_rows, depth, random);
    const auto B = normal_matrix<RowMatrix<TestType>>(depth, max_cols, random);
    const Eigen::MatrixXd a = A.template cast<double>();
    const Eigen::MatrixXd b = B.template cast<double>();
    const Eigen::MatrixXd expected = a * b;
    const Eigen::MatrixXd bound =
        mgdl::test::rounding_bound<TestType>(a.cwiseAbs() * b.cwiseAbs(), depth);
    for (Index cols = 1; cols <= max_cols; ++cols) {
      const PanelShape<TestType> shape{depth, cols};
      const auto panels = to_panels<TestType>(B.leftCols(cols));
      RowMatrix<TestType> all;
      bool close = true;
      bool same_bits = true;
      for (Index rows = max_rows; rows >= 1; --rows) {
        const auto C = product<TestType>(rows, {A.data(), depth, 1}, shape, panels, ignore);
        const Eigen::MatrixXd error =
            (C.template cast<double>() - expected.topLeftCorner(rows, cols)).cwiseAbs();
        close = close && (error.array() <= bound.topLeftCorner(rows, cols).array()).all();
        if (rows == max_rows) all = C;
        // A row's bits do not depend on the tile that it falls into.
        same_bits = same_bits && C == all.topRows(rows);
      }
      CAPTURE(depth, cols);
      CHECK(close);
      CHECK(same_bits);
    }
  }
}

TEMPLATE_TEST_CASE("any split of the rows gives the same bits", "[linalg/gemm]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  constexpr Index rows = 29;
  constexpr Index depth = 300;
  constexpr Index cols = kPanelWidth<TestType> + 3;
  const auto A = normal_matrix<RowMatrix<TestType>>(rows, depth, random);
  const auto panels = to_panels<TestType>(normal_matrix<RowMatrix<TestType>>(depth, cols, random));
  const PanelShape<TestType> shape{depth, cols};
  const auto whole = product<TestType>(rows, {A.data(), depth, 1}, shape, panels, ignore);
  for (Index step = 1; step <= rows; ++step) {
    bool same = true;
    for (Index first = 0; first < rows; first += step) {
      const Index count = std::min(step, rows - first);
      const Strided<TestType> a{A.data() + first * depth, depth, 1};
      same = same &&
             product<TestType>(count, a, shape, panels, ignore) == whole.middleRows(first, count);
    }
    CHECK(same);
  }
  // Column-major, and inside a wider matrix.
  const mgdl::Matrix<TestType> column_major = A;
  CHECK(product<TestType>(rows, {column_major.data(), 1, rows}, shape, panels, ignore) == whole);
  RowMatrix<TestType> wide(rows, 2 * depth);
  for (Index p = 0; p < depth; ++p) wide.col(2 * p) = A.col(p);
  CHECK(product<TestType>(rows, {wide.data(), 2 * depth, 2}, shape, panels, ignore) == whole);
}

TEMPLATE_TEST_CASE("every finished tile is handed over once", "[linalg/gemm]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  for (const Index depth : {3, 256, 520}) {
    constexpr Index rows = 11;
    constexpr Index cols = kPanelWidth<TestType> + kLanes<TestType> - 1;
    const auto A = normal_matrix<RowMatrix<TestType>>(rows, depth, random);
    const auto panels =
        to_panels<TestType>(normal_matrix<RowMatrix<TestType>>(depth, cols, random));
    const PanelShape<TestType> shape{depth, cols};
    const Index stride = padded<TestType>(cols) + 1;
    Eigen::MatrixXi visits = Eigen::MatrixXi::Zero(rows, padded<TestType>(cols));
    RowMatrix<TestType> seen(rows, padded<TestType>(cols));
    const auto C = product<TestType>(
        rows, {A.data(), depth, 1}, shape, panels,
        [&](const TestType* tile, Index row, Index tile_rows, Index col, Index width) {
          visits.block(row, col, tile_rows, width).array() += 1;
          for (Index i = 0; i < tile_rows; ++i) {
            for (Index j = 0; j < width; ++j) seen(row + i, col + j) = tile[i * stride + j];
          }
        });
    CHECK((visits.array() == 1).all());
    CHECK(seen.leftCols(cols) == C);
  }
}

TEMPLATE_TEST_CASE("panels are transposed", "[linalg/gemm]", float, double) {
  constexpr Index lanes = kLanes<TestType>;
  constexpr Index panel = kPanelWidth<TestType>;
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  for (const Index rows : {Index{1}, lanes, lanes + 1, panel - 1, 2 * panel + 3}) {
    for (const Index cols : {Index{2}, 2 * lanes, 2 * lanes - 1, panel + 1, 3 * panel}) {
      CAPTURE(rows, cols);
      const auto M = normal_matrix<RowMatrix<TestType>>(rows, cols, random);
      const auto source = to_panels<TestType>(M);
      const PanelShape<TestType> shape{rows, cols};
      const PanelShape<TestType> target_shape{cols, rows};
      Vector<TestType> target = Vector<TestType>::Zero(target_shape.size());
      transpose_panels(shape, source.data(), Index{0}, rows, Index{0}, cols, target.data());
      CHECK(target == to_panels<TestType>(M.transpose()));

      // Only what was asked for.
      const Index first_row = rows > lanes ? lanes : 0;
      const Index first_col = cols > lanes ? lanes : 0;
      RowMatrix<TestType> part = RowMatrix<TestType>::Zero(rows, cols);
      part.bottomRightCorner(rows - first_row, cols - first_col) =
          M.bottomRightCorner(rows - first_row, cols - first_col);
      target.setZero();
      transpose_panels(shape, source.data(), first_row, rows, first_col, cols, target.data());
      CHECK(target == to_panels<TestType>(part.transpose()));
    }
  }
}
