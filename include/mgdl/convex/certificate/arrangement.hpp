#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Unit eigenvector for the largest eigenvalue of a symmetric positive semidefinite matrix, given
/// row by row, by Jacobi's rotations.
///
/// Plain loops, here and in the other parts of certificates that are not products of large
/// matrices: expressions of Eigen take seconds to compile for every type of number.
template <class Scalar>
std::vector<Scalar> largest_eigenvector(std::vector<Scalar> A, Index size) {
  const auto at = [size](Index row, Index col) {
    return static_cast<std::size_t>(row * size + col);
  };
  std::vector<Scalar> V(A.size(), Scalar(0));
  for (Index k = 0; k < size; ++k) V[at(k, k)] = 1;
  constexpr int kSweeps = 50;  // a few are enough, for every sweep nearly squares what is left
  bool diagonal = false;
  for (int sweep = 0; sweep < kSweeps && !diagonal; ++sweep) {
    diagonal = true;
    for (Index p = 0; p < size; ++p) {
      for (Index q = p + 1; q < size; ++q) {
        const Scalar a = A[at(p, q)];
        const Scalar size_pq = std::sqrt(std::abs(A[at(p, p)] * A[at(q, q)]));
        if (std::abs(a) <= std::numeric_limits<Scalar>::epsilon() * size_pq) continue;
        diagonal = false;
        const Scalar half = (A[at(q, q)] - A[at(p, p)]) / (2 * a);
        const Scalar tangent = (half >= 0 ? 1 : -1) / (std::abs(half) + std::sqrt(1 + half * half));
        const Scalar cosine = 1 / std::sqrt(1 + tangent * tangent);
        const Scalar sine = tangent * cosine;
        const auto rotate = [cosine, sine](Scalar& x, Scalar& y) {
          const Scalar old = x;
          x = cosine * old - sine * y;
          y = sine * old + cosine * y;
        };
        for (Index k = 0; k < size; ++k) rotate(A[at(k, p)], A[at(k, q)]);
        for (Index k = 0; k < size; ++k) rotate(A[at(p, k)], A[at(q, k)]);
        for (Index k = 0; k < size; ++k) rotate(V[at(k, p)], V[at(k, q)]);
      }
    }
  }
  Index largest = 0;
  for (Index k = 1; k < size; ++k) {
    if (A[at(k, k)] > A[at(largest, largest)]) largest = k;
  }
  std::vector<Scalar> vector;
  for (Index k = 0; k < size; ++k) vector.push_back(V[at(k, largest)]);
  return vector;
}

}  // namespace mgdl::detail

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

/// max over unit vectors u in R^3 of |h(u)|, h(u) = sum_i max(0, x_i.u) N_i.
///
/// The great circles x_i.u = 0 cut the sphere into cells. In a cell h(u) = B'u with B the sum of
/// x_i N_i' over the active samples, and |h| has no local maximum but at the unit vector of largest
/// |B'u|. So the maximum is at such a vector that lies in its own cell, or on a circle, where the
/// same holds in two dimensions: CircleSweep.
///
/// Every cell has an arc of some circle as an edge and is visited from there. Circles that meet in
/// one point need no care; where circles coincide, their samples change sides together. The time is
/// O(n^2 log n), and O(n) more for every cell with a vector that looks as if it were inside.
class SphereMaximum {
 public:
  explicit SphereMaximum(const CertifyTerms& terms) : m_terms(terms), m_cell(terms) {}

  CertifyReal maximum() {
    for (std::size_t i = 0; i < m_terms.points.size(); ++i) visit_circle(i);
    return m_best;
  }

 private:
  void visit_circle(std::size_t circle) {
    const CertifyPoint normal = m_terms.points[circle];
    CertifyBlock above(m_terms);
    CertifyBlock below(m_terms);
    std::vector<std::size_t> others;
    for (std::size_t k = 0; k < m_terms.points.size(); ++k) {
      const CertifyPoint& x = m_terms.points[k];
      const CertifyReal cosine = dot(normal, x);
      const CertifyPoint beside{x[0] - cosine * normal[0], x[1] - cosine * normal[1],
                                x[2] - cosine * normal[2]};
      if (k != circle && dot(beside, beside) > kCertifyRounding * kCertifyRounding) {
        others.push_back(k);
      } else {
        (cosine > 0 ? above : below)
            .for_each(x, m_terms.value(k), [](CertifyReal& sum, CertifyReal term) { sum += term; });
      }
    }
    const CircleSweep sweep(m_terms, orthogonal_plane(normal), others);
    const auto visit_both = [&](const CertifyBlock& sum, std::size_t arc, int side) {
      visit_cell(sum, above, normal, sweep, arc, side);
      visit_cell(sum, below, scaled(-1, normal), sweep, arc, side);
    };
    m_best = std::max(m_best, sweep.maximum(visit_both));
    if (others.empty()) visit_both(CertifyBlock(m_terms), 0, 1);
  }

  /// Orthonormal basis of the plane normal.u = 0.
  static CircleSweep::Basis orthogonal_plane(const CertifyPoint& normal) {
    std::size_t axis = 0;  // farthest from the normal
    for (const std::size_t k : {1u, 2u}) {
      if (std::abs(normal[k]) < std::abs(normal[axis])) axis = k;
    }
    CertifyPoint first = scaled(-normal[axis], normal);
    first[axis] += 1;
    first = scaled(1 / std::sqrt(dot(first, first)), first);
    CertifyPoint second{};
    for (std::size_t k = 0; k < 3; ++k) {
      const std::size_t l = (k + 1) % 3;
      const std::size_t m = (k + 2) % 3;
      second[k] = normal[l] * first[m] - normal[m] * first[l];
    }
    return {first, second};
  }

  /// The cell that has this arc as an edge and is on this side of the circle. Its sum is that of
  /// the arc and of the samples of the circle that are active on this side.
  void visit_cell(const CertifyBlock& arc_sum, const CertifyBlock& side_sum,
                  const CertifyPoint& normal, const CircleSweep& sweep, std::size_t arc, int side) {
    for (std::size_t k = 0; k < m_cell.values.size(); ++k) {
      m_cell.values[k] = arc_sum.values[k] + side_sum.values[k];
    }
    if (m_cell.squared_norm() <= m_best * m_best) return;  // |h| is no larger in the cell
    const CertifyPoint top = m_cell.top_direction();
    const CertifyReal value = m_cell.along(top);
    if (value <= m_best) return;
    for (const int sign : {1, -1}) {
      const CertifyPoint u = scaled(sign, top);
      if (dot(normal, u) >= -kCertifyRounding && sweep.same_cell(u, arc, side)) m_best = value;
    }
  }

  const CertifyTerms& m_terms;
  CertifyBlock m_cell;
  CertifyReal m_best = 0;
};

/// Largest p for which all_patterns_maximum() is there.
inline constexpr Index kArrangementDimensions = 3;

/// The left side of the dual constraint over all patterns of the samples,
///
///     max over unit vectors u in R^p of |sum_i max(0, x~_i.u) N_i|,
///
/// rounded up, for p <= 3. O(n log n) for p <= 2; for p = 3 see SphereMaximum.
///
/// \param X  x~_i, n x p, \param N  n x c
inline double all_patterns_maximum(const Matrix<double>& X, const Matrix<double>& N) {
  const Index p = X.cols();
  const double largest = N.size() > 0 ? N.cwiseAbs().maxCoeff() : 0;
  if (largest == 0) return 0;
  // A power of two near the largest value as unit: nothing overflows, and it is not rounded.
  const double unit = std::ldexp(1.0, std::ilogb(largest));
  CertifyTerms terms;
  terms.dimension = p == 3 ? 3 : 2;  // one input without bias is a line of the plane
  terms.outputs = static_cast<std::size_t>(N.cols());
  CertifyReal sizes = 0;
  for (Index i = 0; i < X.rows(); ++i) {
    CertifyPoint x{};
    for (Index k = 0; k < p; ++k) x[static_cast<std::size_t>(k)] = X(i, k);
    const CertifyReal norm = std::sqrt(dot(x, x));
    CertifyReal size = 0;
    for (Index o = 0; o < N.cols(); ++o) size = std::max<CertifyReal>(size, std::abs(N(i, o)));
    if (norm == 0 || size == 0) continue;  // would only make a circle
    terms.points.push_back(scaled(1 / norm, x));
    for (Index o = 0; o < N.cols(); ++o) terms.values.push_back(N(i, o) / unit * norm);
    sizes += size / unit * norm * std::sqrt(static_cast<CertifyReal>(N.cols()));
  }
  if (terms.points.empty()) return 0;
  CertifyReal maximum = 0;
  if (p == 3) {
    maximum = SphereMaximum(terms).maximum();
  } else {
    std::vector<std::size_t> samples(terms.points.size());
    std::iota(samples.begin(), samples.end(), std::size_t{0});
    maximum = CircleSweep(terms, {}, samples).maximum([](const auto&...) {});
  }
  // Sums are compensated, and every term is rounded a few times.
  const CertifyReal margin = 64 * std::numeric_limits<CertifyReal>::epsilon() * sizes;
  return std::nextafter(static_cast<double>((maximum + margin) * unit),
                        std::numeric_limits<double>::infinity());
}

}  // namespace mgdl::detail
