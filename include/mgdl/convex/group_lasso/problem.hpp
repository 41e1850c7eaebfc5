#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/group_lasso/masked_products.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The gated problem as its solvers see it.

namespace mgdl::detail {

/// The power of four that brings the largest absolute value near to 1; 1 for zeros. A problem whose
/// numbers are divided by it has the same bits, as far as nothing overflows or vanishes.
template <class Values>
double near_power_of_four(const Values& values) {
  const double largest = values.size() > 0 ? values.cwiseAbs().maxCoeff() : 0;
  return largest > 0 ? std::ldexp(1.0, std::ilogb(largest) / 2 * 2) : 1;
}

/// min_U 1/2 ||Y - sum_j D_j X U_j||^2 + lambda sum_j ||U_j||, with the weights folded in: rows of
/// X and Y are sqrt(w_i) x~_i / s and sqrt(w_i) y_i / t, samples without weight are left out. The
/// units s and t are powers of four, so that no square overflows or vanishes: a solution U of this
/// problem with the penalty lambda / (s t) is one of the problem in the units of the samples when
/// it is multiplied by t / s. An unpenalised bias is projected out: residuals are made orthogonal
/// to the unit vector sqrt(w).
template <class Real>
class GroupLassoProblem {
 public:
  GroupLassoProblem(const Dataset<Real>& data, const Gates& gates, bool output_bias)
      : m_products(scaled_samples(data, gates), bits_of(data, gates)) {
    m_root_weights = root_weights(data);
    const Vector<Real>& root = m_root_weights;
    const std::vector<Index> rows = weighted_rows(data);
    m_targets = data.targets()(rows, kAll);
    m_target_unit = near_power_of_four(m_targets);
    m_targets /= m_target_unit;
    const Real before = (root.asDiagonal() * m_targets).norm();
    if (output_bias) centre(root);
    m_targets.array().colwise() *= root.array();
    m_squared_norm = std::max(m_products.samples().squaredNorm(), std::numeric_limits<Real>::min());
    m_all.resize(static_cast<std::size_t>(gates.size()));
    std::iota(m_all.begin(), m_all.end(), Index{0});
    if (output_bias) {
      m_bias = root / root.norm();
      project(m_targets);
      // Constant targets leave nothing but rounding.
      if (m_targets.norm() <= 1e-14 * before) m_targets.setZero();
    }
    m_rounding = 64 * std::numeric_limits<Real>::epsilon() * std::sqrt(m_squared_norm) * before;
  }

  Index gates() const noexcept { return static_cast<Index>(m_all.size()); }
  Index outputs() const noexcept { return m_targets.cols(); }
  const std::vector<Index>& all_gates() const noexcept { return m_all; }
  const MaskedProducts<Real>& products() const noexcept { return m_products; }
  /// Y, without its weighted mean if there is an output bias.
  const RowMatrix<Real>& targets() const noexcept { return m_targets; }
  /// The unit vector that residuals are orthogonal to; empty without output bias.
  const Vector<Real>& bias() const noexcept { return m_bias; }

  /// ||X||_F^2, an upper bound of ||A_j||^2.
  Real squared_norm() const noexcept { return m_squared_norm; }
  /// What rounding can make of ||A_j'Y|| where it is zero: targets that correlate with the gates by
  /// no more cannot be explained by them.
  Real rounding() const noexcept { return m_rounding; }
  /// Units of penalties and of solutions.
  /// \{
  Real lambda_unit() const noexcept { return m_sample_unit * m_target_unit; }
  Real solution_unit() const noexcept { return m_target_unit / m_sample_unit; }
  /// \}
  /// What targets are divided by.
  Real target_unit() const noexcept { return m_target_unit; }
  /// sqrt(w) of the samples with weight.
  const Vector<Real>& root_weights() const noexcept { return m_root_weights; }

  /// Removes what the output bias can fit.
  template <class Values>
  void project(Values& values) const {
    if (m_bias.size() == 0) return;
    for (Index o = 0; o < values.cols(); ++o) {
      values.col(o) -= m_bias.dot(values.col(o)) * m_bias;
    }
  }

  /// Y - sum_k D_j X U_k for j = gates[k], projected.
  void residual(ThreadPool& pool, const std::vector<Index>& gates, const RowMatrix<Real>& U,
                RowMatrix<Real>& result) const {
    m_products.apply(pool, gates, U, outputs(), result);
    project(result);
    result = m_targets - result;
  }

 private:
  /// Takes a mean that is much larger than the deviations out of the targets before they are
  /// rounded by their weights.
  void centre(const Vector<Real>& root) {
    constexpr Real kLarge = 100;
    const Vector<Real> weights = root.cwiseAbs2() / root.squaredNorm();
    for (Index o = 0; o < m_targets.cols(); ++o) {
      const Real mean = weights.dot(m_targets.col(o));
      const Real deviation = (m_targets.col(o).array() - mean).abs().maxCoeff();
      if (std::abs(mean) > kLarge * deviation) m_targets.col(o).array() -= mean;
    }
  }

  static std::vector<Index> weighted_rows(const Dataset<Real>& data) {
    std::vector<Index> rows;
    for (Index i = 0; i < data.size(); ++i) {
      if (data.weights()[i] > 0) rows.push_back(i);
    }
    return rows;
  }

  static Vector<Real> root_weights(const Dataset<Real>& data) {
    return data.weights()(weighted_rows(data)).cwiseSqrt();
  }

  RowMatrix<Real> scaled_samples(const Dataset<Real>& data, const Gates& gates) {
    const std::vector<Index> rows = weighted_rows(data);
    RowMatrix<Real> samples(static_cast<Index>(rows.size()), gates.dimension());
    samples.leftCols(data.inputs().cols()) = data.inputs()(rows, kAll);
    if (gates.bias()) samples.rightCols(1).setOnes();
    m_sample_unit = near_power_of_four(samples);
    samples /= m_sample_unit;
    samples.array().colwise() *= root_weights(data).array();
    return samples;
  }

  /// The patterns of the samples with weight: those of `gates` if that is all samples, else copies.
  PatternBits bits_of(const Dataset<Real>& data, const Gates& gates) {
    const std::vector<Index> rows = weighted_rows(data);
    const auto n = static_cast<Index>(rows.size());
    if (n == data.size()) return {gates.pattern(0), gates.words()};
    const Index words = (n + 63) / 64;
    m_bits.assign(static_cast<std::size_t>(words * gates.size()), 0);
    for (Index j = 0; j < gates.size(); ++j) {
      std::uint64_t* bits = m_bits.data() + j * words;
      for (Index i = 0; i < n; ++i) {
        const bool on = gates.active(rows[static_cast<std::size_t>(i)], j);
        bits[i / 64] |= std::uint64_t{on} << (i % 64);
      }
    }
    return {m_bits.data(), words};
  }

  std::vector<std::uint64_t> m_bits;  // before m_products, which refers to it, as to the unit
  Real m_sample_unit = 1;
  MaskedProducts<Real> m_products;
  RowMatrix<Real> m_targets;
  Real m_target_unit = 1;
  Real m_squared_norm = 0;
  Real m_rounding = 0;
  Vector<Real> m_root_weights;
  Vector<Real> m_bias;
  std::vector<Index> m_all;
};

/// The blocks of some gates: row k is vec(U_k) (p c values), entry r c + o for input r, output o.
template <class Real>
struct GroupCoefficients {
  std::vector<Index> gates;
  RowMatrix<Real> values;
};

/// The dual objective of the best feasible multiple s R, s >= 0, of residuals R: the largest
/// s <R, Y> - s^2 / 2 ||R||^2 with s largest <= lambda.
///
/// \param inner    <R, Y>
/// \param squares  ||R||^2
/// \param largest  the left side of the dual constraint at R
/// \param longest  another bound of s
template <class Real>
Real scaled_dual(Real inner, Real squares, Real largest, Real lambda,
                 Real longest = std::numeric_limits<Real>::max()) noexcept {
  if (squares <= 0) return 0;
  const Real limit = largest > 0 ? std::min(lambda / largest, longest) : longest;
  const Real s = std::min(std::max(Real(0), inner / squares), limit);
  return s * inner - Real(0.5) * s * s * squares;
}

/// Objective and bound of coefficients, with what they are computed from.
template <class Real>
struct GroupLassoPoint {
  GroupCoefficients<Real> coefficients;
  Vector<Real> eta;             // of all gates, where GroupLassoNewton has made the coefficients
  RowMatrix<Real> residual;     // R, n x c; empty where only what follows is known of it
  RowMatrix<Real> correlation;  // X' D_j R of all gates, P x (p c)
  Vector<Real> norms;           // of its rows
  Real squares = 0;             // ||R||^2
  Real inner = 0;               // <R, Y>
  Real loss = 0;                // 1/2 ||R||^2; with another loss that of R, see ClippedSpace
  Real longest = std::numeric_limits<Real>::max();  // multiple of R that the loss allows
  Real primal = 0;
  Real dual = 0;
  Real relative_gap() const noexcept { return primal > 0 ? (primal - dual) / primal : 0; }

  /// Objective and bound for this penalty, from the rest.
  void complete(Real lambda) {
    norms = correlation.rowwise().norm();
    primal = loss + lambda * coefficients.values.rowwise().norm().sum();
    dual = scaled_dual<Real>(inner, squares, norms.maxCoeff(), lambda, longest);
  }
};

/// Of groups, the `limit` with the largest norms, of equal ones the first.
template <class Real>
void keep_largest(std::vector<Index>& groups, const Vector<Real>& norms, Index limit) {
  if (std::ssize(groups) <= limit) return;
  const auto larger = [&](Index a, Index b) {
    return norms[a] != norms[b] ? norms[a] > norms[b] : a < b;
  };
  std::nth_element(groups.begin(), groups.begin() + limit, groups.end(), larger);
  groups.resize(static_cast<std::size_t>(limit));
}

/// The groups to solve for next, ascending: those in use (eta > 0), and of those that violate
/// ||g_j|| <= lambda the worst, as many as are in use or at least 20.
///
/// \param norms  ||g_j||
template <class Real>
std::vector<Index> working_set(const Vector<Real>& eta, const Vector<Real>& norms, Real lambda) {
  constexpr Index kFirst = 20;
  std::vector<Index> working;
  std::vector<Index> violated;
  for (Index j = 0; j < eta.size(); ++j) {
    if (eta[j] > 0) {
      working.push_back(j);
    } else if (norms[j] > lambda) {
      violated.push_back(j);
    }
  }
  keep_largest(violated, norms, std::max<Index>(kFirst, std::ssize(working)));
  working.insert(working.end(), violated.begin(), violated.end());
  std::sort(working.begin(), working.end());
  return working;
}

/// Completes a point from its coefficients.
template <class Real>
void evaluate(ThreadPool& pool, const GroupLassoProblem<Real>& problem, Real lambda,
              GroupLassoPoint<Real>& point) {
  problem.residual(pool, point.coefficients.gates, point.coefficients.values, point.residual);
  problem.products().correlate(pool, problem.all_gates(), point.residual, point.correlation);
  point.squares = point.residual.squaredNorm();
  point.loss = 0.5 * point.squares;
  point.inner = (point.residual.array() * problem.targets().array()).sum();
  point.complete(lambda);
}

}  // namespace mgdl::detail
