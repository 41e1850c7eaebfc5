#include "mgdl/convex/group_lasso/masked_products.hpp"

#include <numeric>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/group_lasso/dual_system.hpp"
#include "support/factorisations.hpp"
#include "support/samples.hpp"

using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::Vector;
using mgdl::detail::kPanelWidth;
using mgdl::detail::MaskedProducts;
using mgdl::detail::PanelMatrix;
using mgdl::detail::ThreadPool;
using mgdl::test::normal_matrix;

namespace {

/// Samples, patterns and a selection of gates in no order.
template <class Real>
struct Setting {
  Setting(Index n, Index d, Index P, std::uint64_t stream)
      : random(mgdl::test::seed(), stream),
        X(normal_matrix<RowMatrix<double>>(n, d, random)),
        gates(X, normal_matrix<RowMatrix<double>>(P, d + 1, random)),
        samples(n, d + 1) {
    samples.leftCols(d) = X.cast<Real>();
    samples.rightCols(1).setOnes();
    for (Index j = gates.size() - 1; j >= 0; j -= 1 + j % 3) selection.push_back(j);
  }

  MaskedProducts<Real> products() const { return {samples, {gates.pattern(0), gates.words()}}; }

  /// D_j X as a dense matrix.
  Matrix<double> masked(Index j) const {
    Matrix<double> result = samples.template cast<double>();
    for (Index i = 0; i < result.rows(); ++i) {
      if (!gates.active(i, j)) result.row(i).setZero();
    }
    return result;
  }

  RandomStream random;
  RowMatrix<double> X;
  Gates gates;
  RowMatrix<Real> samples;
  std::vector<Index> selection;
};

template <class Real>
Matrix<double> dense(const PanelMatrix<Real>& panels) {
  Matrix<double> result(panels.rows(), panels.cols());
  for (Index i = 0; i < result.rows(); ++i) {
    for (Index j = 0; j < result.cols(); ++j) {
      result(i, j) =
          static_cast<double>(panels.row(j / kPanelWidth<Real>, i)[j % kPanelWidth<Real>]);
    }
  }
  return result;
}

template <class Real>
constexpr double kProductTolerance = std::is_same_v<Real, float> ? 2e-5 : 1e-13;

double difference(const Matrix<double>& a, const Matrix<double>& b) {
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.cols() == b.cols());
  return (a - b).norm() / (1 + b.norm());
}

}  // namespace

TEST_CASE("a bit matrix is transposed", "[convex/group_lasso/masked_products]") {
  RandomStream random(mgdl::test::seed());
  std::array<std::uint64_t, 64> bits;
  for (auto& word : bits) word = (std::uint64_t{random.next_bits()} << 32) | random.next_bits();
  auto transposed = bits;
  mgdl::detail::transpose_bits(transposed);
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t j = 0; j < 64; ++j) REQUIRE((bits[i] >> j & 1u) == (transposed[j] >> i & 1u));
  }
}

TEMPLATE_TEST_CASE("products from bits equal dense products",
                   "[convex/group_lasso/masked_products]", float, double) {
  struct Size {
    Index n, d, P, c;
  };
  // Around the borders of words, blocks of samples and blocks of gates; more inputs than kDepth.
  for (const Size size : {Size{1, 1, 40, 1}, Size{63, 2, 5, 2}, Size{64, 3, 70, 1},
                          Size{129, 7, 200, 3}, Size{300, 20, 131, 1}, Size{70, 270, 9, 2}}) {
    CAPTURE(size.n, size.d, size.P, size.c);
    Setting<TestType> setting(size.n, size.d, size.P, static_cast<std::uint64_t>(size.n));
    const auto products = setting.products();
    const Index p = size.d + 1;
    const auto count = static_cast<Index>(setting.selection.size());
    const auto N = normal_matrix<RowMatrix<TestType>>(size.n, size.c, setting.random);
    const auto U = normal_matrix<RowMatrix<TestType>>(count, p * size.c, setting.random);
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      RowMatrix<TestType> correlation, applied;
      products.correlate(pool, setting.selection, N, correlation);
      products.apply(pool, setting.selection, U, size.c, applied);
      Matrix<double> expected_applied = Matrix<double>::Zero(size.n, size.c);
      Matrix<double> expected(count, p * size.c);
      for (Index k = 0; k < count; ++k) {
        const Matrix<double> A = setting.masked(setting.selection[static_cast<std::size_t>(k)]);
        const RowMatrix<double> g = A.transpose() * N.template cast<double>();
        expected.row(k) = Eigen::Map<const mgdl::RowVector<double>>(g.data(), g.size());
        const RowMatrix<double> u =
            Eigen::Map<const RowMatrix<TestType>>(U.row(k).data(), p, size.c)
                .template cast<double>();
        expected_applied += A * u;
      }
      CHECK(difference(correlation.template cast<double>(), expected) <
            kProductTolerance<TestType>);
      CHECK(difference(applied.template cast<double>(), expected_applied) <
            kProductTolerance<TestType>);
    }
  }
}

TEMPLATE_TEST_CASE("entries of Gram blocks equal dense products",
                   "[convex/group_lasso/masked_products]", float, double) {
  const Index p = 11;
  Setting<TestType> setting(197, p - 1, 40, 6);
  const auto products = setting.products();
  std::vector<std::pair<Index, Index>> entries;
  for (Index r = 0; r < p; ++r) {
    for (Index t = r; t < p; ++t) entries.emplace_back(r, t);
  }
  const std::vector<std::pair<Index, Index>> gates{{3, 3}, {7, 2}, {0, 30}};
  mgdl::detail::AlignedVector<TestType> sums;
  products.gram(gates, entries, sums);
  const Index stride = mgdl::detail::padded<TestType>(std::ssize(entries));
  REQUIRE(sums.size() == 3 * stride);
  for (Index k = 0; k < 3; ++k) {
    const auto [i, j] = gates[static_cast<std::size_t>(k)];
    const Matrix<double> block = setting.masked(i).transpose() * setting.masked(j);
    Matrix<double> found = Matrix<double>::Zero(p, p);
    for (Index m = 0; m < std::ssize(entries); ++m) {
      const auto [r, t] = entries[static_cast<std::size_t>(m)];
      found(r, t) = found(t, r) = static_cast<double>(sums[k * stride + m]);
    }
    CHECK(difference(found, block) < kProductTolerance<TestType>);
  }
}

TEMPLATE_TEST_CASE("columns and their correlations equal dense products",
                   "[convex/group_lasso/masked_products]", float, double) {
  Setting<TestType> setting(150, 6, 190, 5);
  const auto products = setting.products();
  const Index p = 7;
  const Index c = 2;
  const auto count = static_cast<Index>(setting.selection.size());
  const auto U = normal_matrix<RowMatrix<double>>(count, p * c, setting.random);
  ThreadPool pool(2);
  PanelMatrix<TestType> phi(150, count);
  products.columns(pool, setting.selection, U, 1, c, phi);
  Matrix<double> expected(150, count);
  for (Index k = 0; k < count; ++k) {
    Vector<double> u(p);
    for (Index r = 0; r < p; ++r) u[r] = U(k, r * c + 1);
    expected.col(k) = setting.masked(setting.selection[static_cast<std::size_t>(k)]) * u;
  }
  CHECK(difference(dense(phi), expected) < kProductTolerance<TestType>);

  const std::vector<Index> others{3, 0, 17, 8};
  Vector<TestType> factors(4);
  factors << TestType(0.5), TestType(-2), TestType(3), TestType(1);
  PanelMatrix<TestType> result(4 * p, count);
  products.correlate_columns(pool, others, factors, phi, result);
  Matrix<double> correlated(4 * p, count);
  for (Index k = 0; k < 4; ++k) {
    correlated.middleRows(k * p, p) =
        static_cast<double>(factors[k]) *
        setting.masked(others[static_cast<std::size_t>(k)]).transpose() * expected;
  }
  CHECK(difference(dense(result), correlated) < kProductTolerance<TestType>);
}

TEMPLATE_TEST_CASE("both factorisations invert K and give the same H",
                   "[convex/group_lasso/masked_products]", float, double) {
  const Index n = 210;
  const Index d = 4;
  const Index c = 3;
  Setting<TestType> setting(n, d, 150, 7);
  setting.samples /= TestType(std::sqrt(double(n)));
  const auto products = setting.products();
  ThreadPool pool(2);
  mgdl::detail::SampleSystem<TestType> by_samples(products);
  mgdl::detail::GroupSystem<TestType> by_groups(products);
  // The second set of gates overlaps the first, so that Gram blocks are kept and added.
  for (const std::vector<Index>& active :
       {std::vector<Index>{}, std::vector<Index>{4, 9, 2}, std::vector<Index>{9, 40, 4, 77, 11}}) {
    Vector<double> eta(std::ssize(active));
    Matrix<double> K = Matrix<double>::Identity(n, n);
    for (Index k = 0; k < eta.size(); ++k) {
      eta[k] = std::exp(setting.random.normal());
      const Matrix<double> A = setting.masked(active[static_cast<std::size_t>(k)]);
      K += eta[k] * A * A.transpose();
    }
    REQUIRE(by_samples.factor(pool, active, eta));
    REQUIRE(by_groups.factor(pool, active, eta));
    const auto r = normal_matrix<Matrix<double>>(n, c, setting.random);
    for (const bool samples : {true, false}) {
      CAPTURE(active.size(), samples);
      RowMatrix<double> z = r;
      samples ? by_samples.apply(pool, z) : by_groups.apply(pool, z);
      CHECK(difference(K * z, r) < 30 * kProductTolerance<TestType>);
    }
    const std::vector<Index> working{2, 4, 9, 11, 60};
    const auto u = normal_matrix<RowMatrix<double>>(5, (d + 1) * c, setting.random);
    Matrix<double> H = Matrix<double>::Zero(5, 5);
    for (Index o = 0; o < c; ++o) {
      Matrix<double> phi(n, 5);
      for (Index k = 0; k < 5; ++k) {
        Vector<double> direction(d + 1);
        for (Index q = 0; q <= d; ++q) direction[q] = u(k, q * c + o);
        phi.col(k) = setting.masked(working[static_cast<std::size_t>(k)]) * direction;
      }
      H += phi.transpose() * mgdl::test::solve_symmetric(K, phi);
    }
    const Matrix<double> lower = H.triangularView<Eigen::Lower>();
    for (const bool samples : {true, false}) {
      const Matrix<double> result = samples ? by_samples.hessian(pool, working, u, c)
                                            : by_groups.hessian(pool, working, u, c);
      const Matrix<double> part = result.triangularView<Eigen::Lower>();
      CHECK(difference(part, lower) < 30 * kProductTolerance<TestType>);
    }
  }
}
