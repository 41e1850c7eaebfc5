#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Unit vectors a_1, a_2, ... in R^p with their factorisation [a_1 a_2 ...] = Q R: Q orthonormal, R
/// upper triangular. At most p vectors; by Gram-Schmidt, twice, so that Q is orthonormal to
/// rounding.
template <class Real>
class NormalFactors {
 public:
  explicit NormalFactors(Index p) : m_vectors(p, p), m_Q(p, p), m_R(p, p) {}

  Index size() const noexcept { return m_size; }
  auto vector(Index k) const { return m_vectors.col(k); }

  /// a = sum_k inside_k a_k + outside, with `outside` orthogonal to all a_k.
  void split(const Vector<Real>& a, Vector<Real>& inside, Vector<Real>& outside) const;

  /// Appends a vector that is not in the span of the others.
  void append(const Vector<Real>& a);

  void erase(Index k);

 private:
  /// a = Q along + outside.
  void orthogonalise(const Vector<Real>& a, Vector<Real>& along, Vector<Real>& outside) const;

  Index m_size = 0;
  Matrix<Real> m_vectors;
  Matrix<Real> m_Q;
  Matrix<Real> m_R;
};

/// What HalfSpaces::project has reached.
template <class Real>
struct HalfSpaceProjection {
  Vector<Real> point;    ///< q + sum_i mu_i a_i with mu >= 0
  Real length = 0;       ///< upper bound of |q + sum_i mu_i a_i| in exact arithmetic
  bool feasible = true;  ///< false if no point satisfies all inequalities
};

/// Projections onto {w : a_i.w >= b_i}, a_i = s_i x~_i / |x~_i|, for the signs s_i = 2 D_ii - 1 of
/// a gate's pattern: its cone for b = 0, a shifted cone otherwise. Samples with x~_i = 0 are left
/// out.
///
/// The projection of q is w = q + sum_i mu_i a_i with mu >= 0, and at most p of the mu are not
/// zero. The dual active set method starts with none of the inequalities and adds the one that is
/// violated most, dropping those whose mu would become negative. Source: Goldfarb & Idnani, "A
/// numerically stable dual method for solving strictly convex quadratic programs" (Mathematical
/// Programming 27, 1983), here with the identity as Hessian.
///
/// For b = 0 every mu >= 0 bounds the length of the projection: by Moreau's decomposition
///
///     max {q.u : u in the cone, |u| <= 1} = |projection of q| = min over mu >= 0 of
///                                                               |q + sum_i mu_i a_i|.
template <class Real>
class HalfSpaces {
 public:
  explicit HalfSpaces(const CertifySamples<Real>& samples)
      : m_samples(samples),
        m_signs(samples.values().rows()),
        m_values(m_signs.size()),
        m_normals(samples.dimension()) {}

  /// Takes the signs of a gate's pattern.
  void set_gate(const Real* gate) { set_gate(gate, m_samples); }
  /// The same where the gate belongs to the same samples in other coordinates.
  void set_gate(const Real* gate, const CertifySamples<Real>& samples);

  /// a_i.w for all samples, and zeros for rows behind them and where x~_i = 0.
  const Vector<Real>& values(const Vector<Real>& w);

  /// Smallest a_i.w - b_i over the samples with x~_i != 0, if it is negative, else 0.
  Real lowest(const Vector<Real>& w, const Vector<Real>& bounds = {}) {
    return most_violated(w, bounds).second;
  }

  /// \param q       the point to project
  /// \param bounds  b, a value for every row of samples.values(); empty: zero
  /// \param enough  for b = 0: stop as soon as `length` is at most this
  HalfSpaceProjection<Real> project(const Vector<Real>& q, const Vector<Real>& bounds = {},
                                    Real enough = -1);

 private:
  static constexpr Real kRounding = 4 * std::numeric_limits<Real>::epsilon();
  /// Distance from the span of the other normals below which a unit vector counts as in it.
  static constexpr Real kDependent = 1e-12;

  std::pair<Index, Real> most_violated(const Vector<Real>& w, const Vector<Real>& bounds);

  /// Adds inequality `row`, violated at w, and drops others until no mu is negative. Returns false
  /// if the inequalities contradict each other.
  bool add(Index row, Real bound, Vector<Real>& w);

  const CertifySamples<Real>& m_samples;
  Vector<Real> m_signs;           // s_i / |x~_i|
  Vector<Real> m_values;          // a_i.w
  std::vector<Index> m_rows;      // inequalities with a mu, which hold with equality
  NormalFactors<Real> m_normals;  // their a_i
  std::vector<Real> m_mu;
};

template <class Real>
void NormalFactors<Real>::split(const Vector<Real>& a, Vector<Real>& inside,
                                Vector<Real>& outside) const {
  orthogonalise(a, inside, outside);
  for (Index k = m_size - 1; k >= 0; --k) {
    for (Index l = k + 1; l < m_size; ++l) inside[k] -= m_R(k, l) * inside[l];
    inside[k] /= m_R(k, k);
  }
}

template <class Real>
void NormalFactors<Real>::append(const Vector<Real>& a) {
  Vector<Real> along;
  Vector<Real> outside;
  orthogonalise(a, along, outside);
  m_vectors.col(m_size) = a;
  for (Index l = 0; l < m_size; ++l) m_R(l, m_size) = along[l];
  const Real norm = outside.norm();
  m_R(m_size, m_size) = norm;
  m_Q.col(m_size) = outside / norm;
  ++m_size;
}

template <class Real>
void NormalFactors<Real>::erase(Index k) {
  const Index size = m_size;
  m_size = k;
  for (Index l = k + 1; l < size; ++l) append(Vector<Real>(m_vectors.col(l)));
}

template <class Real>
void NormalFactors<Real>::orthogonalise(const Vector<Real>& a, Vector<Real>& along,
                                        Vector<Real>& outside) const {
  along.setZero(m_size);
  outside = a;
  for (int pass = 0; pass < 2; ++pass) {
    for (Index k = 0; k < m_size; ++k) {
      const Real length = m_Q.col(k).dot(outside);
      outside -= length * m_Q.col(k);
      along[k] += length;
    }
  }
}

template <class Real>
void HalfSpaces<Real>::set_gate(const Real* gate, const CertifySamples<Real>& samples) {
  for (Index b = 0; b < samples.blocks(); ++b) {
    samples.pattern(b, gate, m_signs.data() + b * kCertifyRows);
  }
  m_signs.array() = 2 * m_signs.array() - 1;
  // Scaled once, so that x~_i.w gives a_i.w; 0 leaves a sample out.
  m_signs = (m_samples.norms().array() > 0).select(m_signs.array() / m_samples.norms().array(), 0);
}

template <class Real>
const Vector<Real>& HalfSpaces<Real>::values(const Vector<Real>& w) {
  m_values.noalias() = m_samples.values() * w;
  m_values.array() *= m_signs.array();
  return m_values;
}

template <class Real>
HalfSpaceProjection<Real> HalfSpaces<Real>::project(const Vector<Real>& q,
                                                    const Vector<Real>& bounds, Real enough) {
  HalfSpaceProjection<Real> best{q, q.norm(), true};
  m_rows.clear();
  m_normals = NormalFactors<Real>(q.size());
  m_mu.clear();
  Vector<Real> w = q;
  const Index limit = 50 + 20 * q.size();
  for (Index iteration = 0; iteration < limit && best.length > enough; ++iteration) {
    const auto [row, violation] = most_violated(w, bounds);
    Real mu = 0;
    for (const Real value : m_mu) mu += value;
    const Real rounding = kRounding * (w.norm() + q.norm() + mu);
    const bool known = std::find(m_rows.begin(), m_rows.end(), row) != m_rows.end();
    if (violation >= -rounding || known) break;
    if (!add(row, bounds.size() > 0 ? bounds[row] : 0, w)) {
      best.feasible = false;
      break;
    }
    w = q;
    mu = 0;
    for (std::size_t k = 0; k < m_mu.size(); ++k) {
      w += m_mu[k] * m_normals.vector(static_cast<Index>(k));
      mu += m_mu[k];
    }
    // What rounding can add to |w|: every term is off by some units in its last place.
    const Real length = w.norm() + kRounding * static_cast<Real>(m_mu.size() + 2) * (q.norm() + mu);
    if (bounds.size() > 0 || length < best.length) best = {w, length, true};
  }
  return best;
}

template <class Real>
std::pair<Index, Real> HalfSpaces<Real>::most_violated(const Vector<Real>& w,
                                                       const Vector<Real>& bounds) {
  values(w);
  if (bounds.size() > 0) m_values -= bounds;
  Index row = 0;
  const Real lowest = m_values.minCoeff(&row);
  return {row, std::min(lowest, 0.0)};
}

template <class Real>
bool HalfSpaces<Real>::add(Index row, Real bound, Vector<Real>& w) {
  const Vector<Real> normal = m_signs[row] * m_samples.values().row(row).transpose();
  Vector<Real> inside;
  Vector<Real> outside;
  Real mu = 0;
  while (true) {
    m_normals.split(normal, inside, outside);
    const Real squared = outside.squaredNorm();
    const bool independent = squared > kDependent * kDependent;
    Real step = std::numeric_limits<Real>::infinity();
    if (independent) step = std::max(0.0, bound - normal.dot(w)) / squared;
    std::ptrdiff_t dropped = -1;
    for (std::size_t k = 0; k < m_mu.size(); ++k) {
      const Real rate = inside[static_cast<Index>(k)];
      if (rate > 0 && m_mu[k] / rate < step) {
        step = m_mu[k] / rate;
        dropped = static_cast<std::ptrdiff_t>(k);
      }
    }
    if (std::isinf(step)) return false;
    if (independent) w += step * outside;
    for (std::size_t k = 0; k < m_mu.size(); ++k) {
      m_mu[k] = std::max(0.0, m_mu[k] - step * inside[static_cast<Index>(k)]);
    }
    mu += step;
    if (dropped < 0) break;
    m_rows.erase(m_rows.begin() + dropped);
    m_mu.erase(m_mu.begin() + dropped);
    m_normals.erase(dropped);
  }
  m_rows.push_back(row);
  m_normals.append(normal);
  m_mu.push_back(mu);
  return true;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class NormalFactors<double>;
extern template class HalfSpaces<double>;
}  // namespace mgdl::detail
#endif
