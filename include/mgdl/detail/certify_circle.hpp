#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/certify_eigen.hpp"

/// \file
/// h(u) = sum_k max(0, x_k.u) N_k on circles. Vectors have p = 2 or 3 values, and N_k has c.

namespace mgdl::detail {

/// Sums over patterns cancel: for inputs at a distance r from the origin and 1 from each other,
/// what is left is smaller than the terms by r^2. Hence more digits than double, where there are
/// any.
using CertifyReal = long double;

/// Cosines up to this are rounding: vectors so near to a cell count as in it, which does no harm,
/// for there |B'u| is as good as equal on both sides.
inline constexpr CertifyReal kCertifyRounding = 16 * std::numeric_limits<CertifyReal>::epsilon();

/// A vector of up to three values; those beyond p are zero.
using CertifyPoint = std::array<CertifyReal, 3>;

inline CertifyReal dot(const CertifyPoint& a, const CertifyPoint& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

inline CertifyPoint scaled(CertifyReal factor, const CertifyPoint& a) {
  return {factor * a[0], factor * a[1], factor * a[2]};
}

/// Samples x_k of length 1 with values N_k.
struct CertifyTerms {
  std::size_t dimension = 3;         ///< p, 2 or 3
  std::size_t outputs = 1;           ///< c
  std::vector<CertifyPoint> points;  ///< x_k
  std::vector<CertifyReal> values;   ///< N_k, c values each

  const CertifyReal* value(std::size_t k) const { return values.data() + k * outputs; }
};

/// A p x c matrix B, which sums of x_k N_k' are: row l is values[l c .. l c + c).
struct CertifyBlock {
  std::size_t outputs;              ///< c
  std::vector<CertifyReal> values;  ///< p c

  explicit CertifyBlock(const CertifyTerms& terms)
      : outputs(terms.outputs), values(terms.dimension * terms.outputs) {}

  /// Calls visit(B_lo, x_l N_o) for all elements.
  template <class Visit>
  void for_each(const CertifyPoint& x, const CertifyReal* N, const Visit& visit) {
    std::size_t k = 0;
    for (std::size_t l = 0; k < values.size(); ++l) {
      for (std::size_t o = 0; o < outputs; ++o, ++k) visit(values[k], x[l] * N[o]);
    }
  }

  /// |B'u|
  CertifyReal along(const CertifyPoint& u) const {
    CertifyReal squared = 0;
    for (std::size_t o = 0; o < outputs; ++o) {
      CertifyReal sum = 0;
      for (std::size_t k = o, l = 0; k < values.size(); k += outputs, ++l) sum += values[k] * u[l];
      squared += sum * sum;
    }
    return std::sqrt(squared);
  }

  /// |B|_F^2, no less than |B'u|^2 for unit vectors u.
  CertifyReal squared_norm() const {
    CertifyReal sum = 0;
    for (const CertifyReal value : values) sum += value * value;
    return sum;
  }

  /// Unit vector u of largest |B'u|.
  CertifyPoint top_direction() const {
    const std::size_t p = values.size() / outputs;
    CertifyPoint top{};
    if (outputs == 1) {
      const CertifyReal norm = std::sqrt(squared_norm());
      for (std::size_t l = 0; l < p && norm > 0; ++l) top[l] = values[l] / norm;
      return top;
    }
    std::vector<CertifyReal> gram(p * p);
    for (std::size_t k = 0; k < gram.size(); ++k) {
      for (std::size_t o = 0; o < outputs; ++o) {
        gram[k] += values[k / p * outputs + o] * values[k % p * outputs + o];
      }
    }
    const auto vector = largest_eigenvector(std::move(gram), static_cast<Index>(p));
    std::copy(vector.begin(), vector.end(), top.begin());
    return top;
  }
};

/// A CertifyBlock with the rounding errors of its additions. Source: Neumaier,
/// "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen" (ZAMM 54, 1974); errors
/// by Knuth's TwoSum.
class CompensatedBlock {
 public:
  explicit CompensatedBlock(const CertifyTerms& terms) : m_sum(terms), m_error(terms) {}

  /// += sign x N'.
  void add(int sign, const CertifyPoint& x, const CertifyReal* N) {
    std::size_t k = 0;
    m_sum.for_each(x, N, [&](CertifyReal& sum, CertifyReal product) {
      const CertifyReal term = sign * product;
      const CertifyReal next = sum + term;
      const CertifyReal added = next - sum;
      m_error.values[k++] += (sum - (next - added)) + (term - added);
      sum = next;
    });
  }

  void get(CertifyBlock& value) const {
    for (std::size_t k = 0; k < value.values.size(); ++k) {
      value.values[k] = m_sum.values[k] + m_error.values[k];
    }
  }

 private:
  CertifyBlock m_sum;
  CertifyBlock m_error;
};

/// max over unit vectors u of a plane of |h(u)|; for p = 2 the plane is the whole space.
///
/// While u turns through one revolution, every sample becomes active once and inactive once.
/// Between two such places, the crossings, h(u) = B'u with B the sum of x_k N_k' over the active
/// samples, and |h| is largest at an end or, if that is in between, at the unit vector of largest
/// |B'u|. Half a revolution is enough: at -u the other samples are active.
class CircleSweep {
 public:
  /// Orthonormal vectors that span the plane.
  using Basis = std::array<CertifyPoint, 2>;

  /// \param basis    not used for p = 2
  /// \param samples  those to sum over; none of them orthogonal to the plane
  CircleSweep(const CertifyTerms& terms, const Basis& basis,
              const std::vector<std::size_t>& samples)
      : m_terms(terms), m_basis(basis), m_crossings(samples.size()) {
    for (std::size_t k = 0; k < samples.size(); ++k) {
      const CertifyPoint x = in_plane(terms.points[samples[k]]);
      // Turned to the upper half plane, samples become active in the order of their angles.
      const bool upper = x[1] > 0 || (x[1] == 0 && x[0] > 0);
      const CertifyReal angle =
          x[1] == 0 ? -std::numeric_limits<CertifyReal>::infinity() : -x[0] / x[1];
      m_crossings[k] = {angle, samples[k], upper ? 1 : -1};
    }
    std::sort(m_crossings.begin(), m_crossings.end(), [](const Crossing& a, const Crossing& b) {
      return a.angle < b.angle || (a.angle == b.angle && a.sample < b.sample);
    });
  }

  /// \param visit  called as visit(B, arc, side) for every arc: the one behind crossing `arc` for
  ///               side = 1, the one opposite of it for side = -1
  template <class Visit>
  CertifyReal maximum(const Visit& visit) const {
    if (m_crossings.empty()) return 0;
    CompensatedBlock all(m_terms);
    CompensatedBlock active(m_terms);
    for (const Crossing& crossing : m_crossings) {
      all.add(1, point(crossing), m_terms.value(crossing.sample));
      if (crossing.sign < 0) active.add(1, point(crossing), m_terms.value(crossing.sample));
    }
    CertifyBlock total(m_terms);
    CertifyBlock sum(m_terms);
    CertifyBlock rest(m_terms);
    all.get(total);
    CertifyReal best = 0;
    CertifyPoint from = normal(m_crossings.front());
    for (std::size_t k = 0; k < m_crossings.size(); ++k) {
      const Crossing& crossing = m_crossings[k];
      active.add(crossing.sign, point(crossing), m_terms.value(crossing.sample));
      active.get(sum);
      for (std::size_t l = 0; l < sum.values.size(); ++l) {
        rest.values[l] = total.values[l] - sum.values[l];
      }
      // The last arc ends where the first sample changes sides again.
      const bool last = k + 1 == m_crossings.size();
      const CertifyPoint next = normal(m_crossings[last ? 0 : k + 1]);
      const CertifyPoint to = scaled(last ? 1 : -1, next);
      best = arc_maximum(sum, from, to, best);
      best = arc_maximum(rest, from, to, best);
      visit(sum, k, 1);
      visit(rest, k, -1);
      from = next;
    }
    return best;
  }

  /// Whether no sample changes sides, by more than rounding, between an arc and u.
  bool same_cell(const CertifyPoint& u, std::size_t arc, int side) const {
    for (std::size_t k = 0; k < m_crossings.size(); ++k) {
      const int sign = k <= arc ? side * m_crossings[k].sign : -side * m_crossings[k].sign;
      if (sign * dot(point(m_crossings[k]), u) < -kCertifyRounding) return false;
    }
    return true;
  }

 private:
  struct Crossing {
    CertifyReal angle;  // ascends with the angle
    std::size_t sample;
    int sign;  // 1: becomes active, -1: becomes inactive
  };

  const CertifyPoint& point(const Crossing& crossing) const {
    return m_terms.points[crossing.sample];
  }
  /// Coordinates of the projection onto the plane.
  CertifyPoint in_plane(const CertifyPoint& x) const {
    if (m_terms.dimension == 2) return x;
    return {dot(m_basis[0], x), dot(m_basis[1], x), 0};
  }
  /// A unit normal to the crossing in the plane, on the side that it leads to.
  CertifyPoint normal(const Crossing& crossing) const {
    const CertifyPoint x = in_plane(point(crossing));
    return scaled(crossing.sign / std::sqrt(x[0] * x[0] + x[1] * x[1]), x);
  }

  /// Largest |B'u|, u in the plane, on the arc from.u >= 0, to.u >= 0 without the end to.u = 0, and
  /// on the opposite one; at least `best`.
  CertifyReal arc_maximum(const CertifyBlock& B, const CertifyPoint& from, const CertifyPoint& to,
                          CertifyReal best) const {
    if (B.squared_norm() <= best * best) return best;
    if (m_terms.dimension == 2) return plane_maximum(B, from, to, best);
    CertifyBlock C = B;
    for (std::size_t o = 0; o < B.outputs; ++o) {
      const CertifyPoint x =
          in_plane({B.values[o], B.values[B.outputs + o], B.values[2 * B.outputs + o]});
      for (std::size_t l = 0; l < 3; ++l) C.values[l * B.outputs + o] = x[l];
    }
    return plane_maximum(C, from, to, best);
  }

  /// The same in coordinates of the plane.
  static CertifyReal plane_maximum(const CertifyBlock& C, const CertifyPoint& from,
                                   const CertifyPoint& to, CertifyReal best) {
    best = std::max(best, C.along({from[1], -from[0], 0}));
    if (C.squared_norm() <= best * best) return best;
    const CertifyPoint top = C.top_direction();
    const CertifyReal from_side = dot(from, top);
    const CertifyReal to_side = dot(to, top);
    const bool inside = (from_side >= -kCertifyRounding && to_side >= -kCertifyRounding) ||
                        (from_side <= kCertifyRounding && to_side <= kCertifyRounding);
    return inside ? std::max(best, C.along(top)) : best;
  }

  const CertifyTerms& m_terms;
  Basis m_basis;
  std::vector<Crossing> m_crossings;
};

}  // namespace mgdl::detail
