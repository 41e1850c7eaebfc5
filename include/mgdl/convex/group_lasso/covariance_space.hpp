#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "mgdl/convex/group_lasso/dual_system.hpp"
#include "mgdl/convex/group_lasso/newton_space.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

/// What GroupLassoNewton computes with where samples are many and gates few: one number per
/// coefficient. With the columns A of all A_j, G = A'A and B = A'Y are all that is needed of the
/// samples. For the groups in use, E = diag(sqrt(eta)) and T = I + E G E:
///
///     U = E T^-1 E B,   A'R = B - G U,   ||R||^2 = ||Y||^2 - <U, B + A'R>.
///
/// Residuals that are small beside Y come out by differences of large numbers: the certificate
/// shows it, and SampleSpace goes on.
template <class Real>
class CovarianceSpace : public NewtonSpace<Real> {
 public:
  using NewtonSpace<Real>::factor;

  CovarianceSpace(ThreadPool& pool, const GroupLassoProblem<Real>& problem)
      : m_inputs(problem.products().dimension()), m_outputs(problem.outputs()) {
    const MaskedProducts<Real>& products = problem.products();
    GroupGram<Real> gram(products);
    gram.add(pool, problem.all_gates());
    m_gram = gram.take();
    RowMatrix<Real> correlation;
    products.correlate(pool, problem.all_gates(), problem.targets(), correlation);
    m_targets = Eigen::Map<const RowMatrix<Real>>(correlation.data(), m_gram.rows(), m_outputs);
    if (problem.bias().size() > 0) {
      products.correlate(pool, problem.all_gates(), problem.bias(), correlation);
      const Eigen::Map<const Vector<Real>> share(correlation.data(), m_gram.rows());
      m_gram.noalias() -= share * share.transpose();
    }
    m_energy = problem.targets().squaredNorm();
  }

  /// Whether G costs less than what the steps of SampleSpace would, and fits into some memory.
  ///
  /// \param problems  penalties that will be solved for
  static bool pays(const GroupLassoProblem<Real>& problem, Index problems) {
    constexpr Real kSteps = 400;      // products with all columns that SampleSpace takes
    constexpr Index kColumns = 2048;  // G has 32 MiB
    const Index columns = problem.gates() * problem.products().dimension();
    const Real solves = std::min(static_cast<Real>(problems), Real(8));
    return columns <= kColumns && problem.products().size() >= 2 * columns &&
           static_cast<Real>(columns) <= kSteps * solves;
  }

  /// To rounding.
  bool move_to(Real, Real lambda, Real, GroupLassoPoint<Real>& point) override {
    if (!factor(point.eta)) return false;
    GroupCoefficients<Real>& U = point.coefficients;
    U.gates = m_gates;
    U.values.resize(std::ssize(m_gates), m_inputs * m_outputs);
    Matrix<Real> V = m_root.asDiagonal() * m_targets(m_columns, kAll);
    if (!m_gates.empty()) columns(U.values) = m_root.asDiagonal() * m_factor.solve(V);
    evaluate(lambda, point);
    return true;
  }

  void refine(Real lambda, GroupLassoPoint<Real>& point) override {
    if (!factor(point.eta) || m_gates.empty()) return;
    const Vector<Real> inverse = m_root.cwiseInverse();
    for (int pass = 0; pass < 3; ++pass) {
      RowMatrix<Real> step = point.correlation(m_gates, kAll);
      step.array().colwise() *= point.eta(m_gates).array();
      step -= point.coefficients.values;
      const Matrix<Real> scaled = inverse.asDiagonal() * columns(step);
      columns(point.coefficients.values) += m_root.asDiagonal() * m_factor.solve(scaled);
      evaluate(lambda, point);
    }
  }

  Matrix<Real> hessian(const std::vector<Index>& gates,
                       const RowMatrix<Real>& directions) override {
    const auto count = static_cast<Index>(gates.size());
    Matrix<Real> H = Matrix<Real>::Zero(count, count);
    Matrix<Real> image(m_gram.rows(), count);  // A'phi
    Vector<Real> u(m_inputs);
    for (Index o = 0; o < m_outputs; ++o) {
      for (Index k = 0; k < count; ++k) {
        for (Index r = 0; r < m_inputs; ++r) u[r] = directions(k, r * m_outputs + o);
        image.col(k).noalias() = rows_of(gates, k, m_gram).transpose() * u;
      }
      for (Index k = 0; k < count; ++k) {
        for (Index r = 0; r < m_inputs; ++r) u[r] = directions(k, r * m_outputs + o);
        H.row(k).noalias() += u.transpose() * rows_of(gates, k, image);
      }
      if (m_columns.empty()) continue;
      Matrix<Real> inside = m_root.asDiagonal() * image(m_columns, kAll);
      m_factor.solve_lower(inside);
      H.noalias() -= inside.transpose() * inside;
    }
    return H;
  }

  Real ridge() const override { return 1e-13; }

 private:
  bool factorise(const std::vector<Index>& gates, const Vector<Real>& eta) override {
    m_gates = gates;
    m_columns.clear();
    for (const Index j : gates) {
      for (Index r = 0; r < m_inputs; ++r) m_columns.push_back(j * m_inputs + r);
    }
    const auto count = std::ssize(m_columns);
    m_root.resize(count);
    for (Index i = 0; i < count; ++i) {
      m_root[i] = std::sqrt(eta[m_columns[static_cast<std::size_t>(i)] / m_inputs]);
    }
    Matrix<Real> T = m_root.asDiagonal() * m_gram(m_columns, m_columns) * m_root.asDiagonal();
    T.diagonal().array() += 1;
    return count == 0 || m_factor.compute(T);
  }

  /// Rows of A_j, j = gates[k], in a matrix with a row for each column of A.
  template <class Values>
  auto rows_of(const std::vector<Index>& gates, Index k, const Values& values) const {
    return values.middleRows(gates[static_cast<std::size_t>(k)] * m_inputs, m_inputs);
  }

  /// The blocks of groups, row k being vec(U_k), as the columns of A count them.
  Eigen::Map<RowMatrix<Real>> columns(RowMatrix<Real>& values) const {
    return {values.data(), values.rows() * m_inputs, m_outputs};
  }

  void evaluate(Real lambda, GroupLassoPoint<Real>& point) const {
    RowMatrix<Real>& correlation = point.correlation;
    const auto U = columns(point.coefficients.values);
    correlation.resize(m_gram.rows() / m_inputs, m_inputs * m_outputs);
    auto of_all = columns(correlation);
    of_all = m_targets;
    for (Index i = 0; i < std::ssize(m_columns); ++i) {
      of_all.noalias() -= m_gram.row(m_columns[static_cast<std::size_t>(i)]).transpose() * U.row(i);
    }
    const Real explained = (U.array() * m_targets(m_columns, kAll).array()).sum();
    point.inner = m_energy - explained;
    point.squares =
        std::max(Real(0), point.inner - (U.array() * of_all(m_columns, kAll).array()).sum());
    point.loss = 0.5 * point.squares;
    point.residual.resize(0, 0);
    point.complete(lambda);
  }

  Index m_inputs;                // p
  Index m_outputs;               // c
  RowMatrix<Real> m_gram;        // G
  RowMatrix<Real> m_targets;     // B, (P p) x c
  Real m_energy = 0;             // ||Y||^2
  std::vector<Index> m_gates;    // with eta > 0
  std::vector<Index> m_columns;  // theirs
  Vector<Real> m_root;           // sqrt(eta) of these
  Cholesky<Real> m_factor;       // of T
};

}  // namespace mgdl::detail
