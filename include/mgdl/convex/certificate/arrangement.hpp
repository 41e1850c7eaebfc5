#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Whether a set of gates has every pattern of the samples, by counting: the number of cells that
/// the samples cut the space of gates into is known, and decided by exact signs.

namespace mgdl::detail {

/// Sign of sum_k a_k b_k without rounding (-1, 0, 1), as long as no product underflows.
///
/// Products and sums are kept as lists of doubles that add up to them exactly. Source: Shewchuk,
/// "Adaptive precision floating-point arithmetic and fast robust geometric predicates" (Discrete &
/// Computational Geometry 18, 1997), algorithm GROW-EXPANSION.
template <std::size_t count>
int sign_of_products(const std::array<std::pair<double, double>, count>& factors) {
  double value = 0;
  double size = 0;
  for (const auto& [a, b] : factors) {
    value += a * b;
    size += std::abs(a * b);
  }
  // Every product and every sum is off by half a unit in its last place.
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  if (std::abs(value) > static_cast<double>(count) * epsilon * size) return value > 0 ? 1 : -1;

  std::array<double, 2 * count> parts{};  // ascending magnitude, the largest decides
  std::size_t used = 0;
  const auto add = [&](double term) {
    for (std::size_t k = 0; k < used; ++k) {
      const double sum = term + parts[k];
      const double added = sum - term;
      parts[k] = (term - (sum - added)) + (parts[k] - added);
      term = sum;
    }
    parts[used++] = term;
  };
  for (const auto& [a, b] : factors) {
    const double product = a * b;
    add(std::fma(a, b, -product));
    add(product);
  }
  while (used > 0) {
    const double largest = parts[--used];
    if (largest != 0) return largest > 0 ? 1 : -1;
  }
  return 0;
}

/// Patterns with an active sample that n points of the line or the plane admit,
/// 1[x_i . a + b >= 0] over all (a, b): the cells of the arrangement of the great circles
/// x~_i.u = 0, without the one where no sample is active.
///
/// On the line these are 2m - 1 for m distinct points. On the sphere, by Euler's formula, they are
/// 1 + 2 sum over lines (t - 1), over all straight lines through t >= 2 of the distinct points:
/// every line is a pair of vertices where t circles meet. (m >= 2; 1 for m = 1.)
///
/// \param X  n x d, d = 1 or 2
template <class Real>
Index count_patterns(const RowMatrix<Real>& X) {
  const bool plane = X.cols() == 2;
  using Point = std::array<Real, 2>;
  std::vector<Point> points(static_cast<std::size_t>(X.rows()));
  for (Index i = 0; i < X.rows(); ++i) {
    points[static_cast<std::size_t>(i)] = {X(i, 0), plane ? X(i, 1) : 0};
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (!plane) return 2 * std::ssize(points) - 1;

  // From each point to those behind it in lexicographic order. A line through t points is met in
  // t - 1 of them.
  Index directions = 0;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const auto turn = [&, a = points[i]](const Point& b, const Point& c) {
      return sign_of_products<6>({{{a[0], b[1]},
                                   {-a[0], c[1]},
                                   {b[0], c[1]},
                                   {-b[0], a[1]},
                                   {c[0], a[1]},
                                   {-c[0], b[1]}}});
    };
    std::vector<Point> behind(points.begin() + static_cast<std::ptrdiff_t>(i) + 1, points.end());
    std::sort(behind.begin(), behind.end(),
              [&](const Point& b, const Point& c) { return turn(b, c) > 0; });
    ++directions;
    for (std::size_t k = 1; k < behind.size(); ++k) {
      if (turn(behind[k - 1], behind[k]) != 0) ++directions;
    }
  }
  return 1 + 2 * directions;
}

/// Whether gates with bias of one or two inputs have every pattern of the samples. Counted are
/// distinct patterns that are right in exact arithmetic, too.
///
/// Patterns are told apart by a hash: if two had the same one, the count would be too small and the
/// answer no.
template <class Real>
bool has_all_patterns(const RowMatrix<Real>& X, const Gates& gates, ThreadPool& pool) {
  const Index d = X.cols();
  if (!gates.bias() || d > 2) return false;
  const Index expected = count_patterns(X);
  if (gates.size() < expected) return false;
  std::vector<std::uint64_t> hashes(static_cast<std::size_t>(gates.size()));  // 0: not counted
  pool.parallel_for(gates.size(), [&](Index j, int) {
    const auto gate = gates.vectors().row(j);
    std::uint64_t hash = 0x9E3779B97F4A7C15u;
    bool any = false;
    for (Index i = 0; i < X.rows(); ++i) {
      Real value = 0;
      for (Index k = 0; k < d; ++k) value = std::fma(X(i, k), gate[k], value);
      const bool active = value + gate[d] >= 0;
      const int sign = sign_of_products<3>(
          {{{X(i, 0), gate[0]}, {d == 2 ? X(i, 1) : 0, d == 2 ? gate[1] : 0}, {1, gate[d]}}});
      if (active != (sign >= 0)) return;
      any = any || active;
      hash = (std::rotl(hash, 7) ^ (active ? 0xD6E8FEB86659FD93u : 0x5851F42D4C957F2Du)) *
             0xBF58476D1CE4E5B9u;
      hash ^= hash >> 32;
    }
    if (any) hashes[static_cast<std::size_t>(j)] = hash | 1;
  });
  std::erase(hashes, 0);
  std::sort(hashes.begin(), hashes.end());
  return std::unique(hashes.begin(), hashes.end()) - hashes.begin() == expected;
}

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

/// Largest p for which all_patterns_maximum() is there.
inline constexpr Index kArrangementDimensions = 3;

/// The left side of the dual constraint over all patterns of the samples,
///
///     max over unit vectors u in R^p of |sum_i max(0, x~_i.u) N_i|,
///
/// rounded up, for p <= 3. O(n log n) for p <= 2; for p = 3 see SphereMaximum.
///
/// \param X  x~_i, n x p, \param N  n x c
template <class Real>
Real all_patterns_maximum(const Matrix<Real>& X, const Matrix<Real>& N);

}  // namespace mgdl::detail

/// \file
/// h(u) = sum_k max(0, x_k.u) N_k on circles. Vectors have p = 2 or 3 values, and N_k has c.

namespace mgdl::detail {

/// Cosines up to this are rounding: vectors so near to a cell count as in it, which does no harm,
/// for there |B'u| is as good as equal on both sides.
template <class Real>
inline constexpr Real kCertifyRounding = 16 * std::numeric_limits<Real>::epsilon();

/// A vector of up to three values; those beyond p are zero.
template <class Real>
using CertifyPoint = std::array<Real, 3>;

template <class Real>
Real dot(const CertifyPoint<Real>& a, const CertifyPoint<Real>& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

template <class Real>
CertifyPoint<Real> scaled(std::type_identity_t<Real> factor, const CertifyPoint<Real>& a) {
  return {factor * a[0], factor * a[1], factor * a[2]};
}

/// Samples x_k of length 1 with values N_k.
template <class Real>
struct CertifyTerms {
  std::size_t dimension = 3;               ///< p, 2 or 3
  std::size_t outputs = 1;                 ///< c
  std::vector<CertifyPoint<Real>> points;  ///< x_k
  std::vector<Real> values;                ///< N_k, c values each

  const Real* value(std::size_t k) const { return values.data() + k * outputs; }
};

/// A p x c matrix B, which sums of x_k N_k' are: row l is values[l c .. l c + c).
template <class Real>
struct CertifyBlock {
  std::size_t outputs;       ///< c
  std::vector<Real> values;  ///< p c

  explicit CertifyBlock(const CertifyTerms<Real>& terms)
      : outputs(terms.outputs), values(terms.dimension * terms.outputs) {}

  /// Calls visit(B_lo, x_l N_o) for all elements.
  template <class Visit>
  void for_each(const CertifyPoint<Real>& x, const Real* N, const Visit& visit) {
    std::size_t k = 0;
    for (std::size_t l = 0; k < values.size(); ++l) {
      for (std::size_t o = 0; o < outputs; ++o, ++k) visit(values[k], x[l] * N[o]);
    }
  }

  /// |B'u|
  Real along(const CertifyPoint<Real>& u) const {
    Real squared = 0;
    for (std::size_t o = 0; o < outputs; ++o) {
      Real sum = 0;
      for (std::size_t k = o, l = 0; k < values.size(); k += outputs, ++l) sum += values[k] * u[l];
      squared += sum * sum;
    }
    return std::sqrt(squared);
  }

  /// |B|_F^2, no less than |B'u|^2 for unit vectors u.
  Real squared_norm() const {
    Real sum = 0;
    for (const Real value : values) sum += value * value;
    return sum;
  }

  /// Unit vector u of largest |B'u|.
  CertifyPoint<Real> top_direction() const {
    const std::size_t p = values.size() / outputs;
    CertifyPoint<Real> top{};
    if (outputs == 1) {
      const Real norm = std::sqrt(squared_norm());
      for (std::size_t l = 0; l < p && norm > 0; ++l) top[l] = values[l] / norm;
      return top;
    }
    std::vector<Real> gram(p * p);
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

/// A CertifyBlock<Real> with the rounding errors of its additions. Source: Neumaier,
/// "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen" (ZAMM 54, 1974); errors
/// by Knuth's TwoSum.
template <class Real>
class CompensatedBlock {
 public:
  explicit CompensatedBlock(const CertifyTerms<Real>& terms) : m_sum(terms), m_error(terms) {}

  /// += sign x N'.
  void add(int sign, const CertifyPoint<Real>& x, const Real* N) {
    std::size_t k = 0;
    m_sum.for_each(x, N, [&](Real& sum, Real product) {
      const Real term = sign * product;
      const Real next = sum + term;
      const Real added = next - sum;
      m_error.values[k++] += (sum - (next - added)) + (term - added);
      sum = next;
    });
  }

  void get(CertifyBlock<Real>& value) const {
    for (std::size_t k = 0; k < value.values.size(); ++k) {
      value.values[k] = m_sum.values[k] + m_error.values[k];
    }
  }

 private:
  CertifyBlock<Real> m_sum;
  CertifyBlock<Real> m_error;
};

/// max over unit vectors u of a plane of |h(u)|; for p = 2 the plane is the whole space.
///
/// While u turns through one revolution, every sample becomes active once and inactive once.
/// Between two such places, the crossings, h(u) = B'u with B the sum of x_k N_k' over the active
/// samples, and |h| is largest at an end or, if that is in between, at the unit vector of largest
/// |B'u|. Half a revolution is enough: at -u the other samples are active.
template <class Real>
class CircleSweep {
 public:
  /// Orthonormal vectors that span the plane.
  using Basis = std::array<CertifyPoint<Real>, 2>;

  /// \param basis    not used for p = 2
  /// \param samples  those to sum over; none of them orthogonal to the plane
  CircleSweep(const CertifyTerms<Real>& terms, const Basis& basis,
              const std::vector<std::size_t>& samples)
      : m_terms(terms), m_basis(basis), m_crossings(samples.size()) {
    for (std::size_t k = 0; k < samples.size(); ++k) {
      const CertifyPoint<Real> x = in_plane(terms.points[samples[k]]);
      // Turned to the upper half plane, samples become active in the order of their angles.
      const bool upper = x[1] > 0 || (x[1] == 0 && x[0] > 0);
      const Real angle = x[1] == 0 ? -std::numeric_limits<Real>::infinity() : -x[0] / x[1];
      m_crossings[k] = {angle, samples[k], upper ? 1 : -1};
    }
    std::sort(m_crossings.begin(), m_crossings.end(), [](const Crossing& a, const Crossing& b) {
      return a.angle < b.angle || (a.angle == b.angle && a.sample < b.sample);
    });
  }

  /// \param visit  called as visit(B, arc, side) for every arc: the one behind crossing `arc` for
  ///               side = 1, the one opposite of it for side = -1
  template <class Visit>
  Real maximum(const Visit& visit) const {
    if (m_crossings.empty()) return 0;
    CompensatedBlock<Real> all(m_terms);
    CompensatedBlock<Real> active(m_terms);
    for (const Crossing& crossing : m_crossings) {
      all.add(1, point(crossing), m_terms.value(crossing.sample));
      if (crossing.sign < 0) active.add(1, point(crossing), m_terms.value(crossing.sample));
    }
    CertifyBlock<Real> total(m_terms);
    CertifyBlock<Real> sum(m_terms);
    CertifyBlock<Real> rest(m_terms);
    all.get(total);
    Real best = 0;
    CertifyPoint<Real> from = normal(m_crossings.front());
    for (std::size_t k = 0; k < m_crossings.size(); ++k) {
      const Crossing& crossing = m_crossings[k];
      active.add(crossing.sign, point(crossing), m_terms.value(crossing.sample));
      active.get(sum);
      for (std::size_t l = 0; l < sum.values.size(); ++l) {
        rest.values[l] = total.values[l] - sum.values[l];
      }
      // The last arc ends where the first sample changes sides again.
      const bool last = k + 1 == m_crossings.size();
      const CertifyPoint<Real> next = normal(m_crossings[last ? 0 : k + 1]);
      const CertifyPoint<Real> to = scaled(last ? 1 : -1, next);
      best = arc_maximum(sum, from, to, best);
      best = arc_maximum(rest, from, to, best);
      visit(sum, k, 1);
      visit(rest, k, -1);
      from = next;
    }
    return best;
  }

  /// Whether no sample changes sides, by more than rounding, between an arc and u.
  bool same_cell(const CertifyPoint<Real>& u, std::size_t arc, int side) const {
    for (std::size_t k = 0; k < m_crossings.size(); ++k) {
      const int sign = k <= arc ? side * m_crossings[k].sign : -side * m_crossings[k].sign;
      if (sign * dot(point(m_crossings[k]), u) < -kCertifyRounding<Real>) return false;
    }
    return true;
  }

 private:
  struct Crossing {
    Real angle;  // ascends with the angle
    std::size_t sample;
    int sign;  // 1: becomes active, -1: becomes inactive
  };

  const CertifyPoint<Real>& point(const Crossing& crossing) const {
    return m_terms.points[crossing.sample];
  }
  /// Coordinates of the projection onto the plane.
  CertifyPoint<Real> in_plane(const CertifyPoint<Real>& x) const {
    if (m_terms.dimension == 2) return x;
    return {dot(m_basis[0], x), dot(m_basis[1], x), 0};
  }
  /// A unit normal to the crossing in the plane, on the side that it leads to.
  CertifyPoint<Real> normal(const Crossing& crossing) const {
    const CertifyPoint<Real> x = in_plane(point(crossing));
    return scaled(crossing.sign / std::sqrt(x[0] * x[0] + x[1] * x[1]), x);
  }

  /// Largest |B'u|, u in the plane, on the arc from.u >= 0, to.u >= 0 without the end to.u = 0, and
  /// on the opposite one; at least `best`.
  Real arc_maximum(const CertifyBlock<Real>& B, const CertifyPoint<Real>& from,
                   const CertifyPoint<Real>& to, Real best) const {
    if (B.squared_norm() <= best * best) return best;
    if (m_terms.dimension == 2) return plane_maximum(B, from, to, best);
    CertifyBlock<Real> C = B;
    for (std::size_t o = 0; o < B.outputs; ++o) {
      const CertifyPoint<Real> x =
          in_plane({B.values[o], B.values[B.outputs + o], B.values[2 * B.outputs + o]});
      for (std::size_t l = 0; l < 3; ++l) C.values[l * B.outputs + o] = x[l];
    }
    return plane_maximum(C, from, to, best);
  }

  /// The same in coordinates of the plane.
  static Real plane_maximum(const CertifyBlock<Real>& C, const CertifyPoint<Real>& from,
                            const CertifyPoint<Real>& to, Real best) {
    best = std::max(best, C.along({from[1], -from[0], 0}));
    if (C.squared_norm() <= best * best) return best;
    const CertifyPoint<Real> top = C.top_direction();
    const Real from_side = dot(from, top);
    const Real to_side = dot(to, top);
    const bool inside =
        (from_side >= -kCertifyRounding<Real> && to_side >= -kCertifyRounding<Real>) ||
        (from_side <= kCertifyRounding<Real> && to_side <= kCertifyRounding<Real>);
    return inside ? std::max(best, C.along(top)) : best;
  }

  const CertifyTerms<Real>& m_terms;
  Basis m_basis;
  std::vector<Crossing> m_crossings;
};

/// max over unit vectors u in R^3 of |h(u)|, h(u) = sum_i max(0, x_i.u) N_i.
///
/// The great circles x_i.u = 0 cut the sphere into cells. In a cell h(u) = B'u with B the sum of
/// x_i N_i' over the active samples, and |h| has no local maximum but at the unit vector of largest
/// |B'u|. So the maximum is at such a vector that lies in its own cell, or on a circle, where the
/// same holds in two dimensions: CircleSweep<Real>.
///
/// Every cell has an arc of some circle as an edge and is visited from there. Circles that meet in
/// one point need no care; where circles coincide, their samples change sides together. The time is
/// O(n^2 log n), and O(n) more for every cell with a vector that looks as if it were inside.
template <class Real>
class SphereMaximum {
 public:
  explicit SphereMaximum(const CertifyTerms<Real>& terms) : m_terms(terms), m_cell(terms) {}

  Real maximum() {
    for (std::size_t i = 0; i < m_terms.points.size(); ++i) visit_circle(i);
    return m_best;
  }

 private:
  void visit_circle(std::size_t circle) {
    const CertifyPoint<Real> normal = m_terms.points[circle];
    CertifyBlock<Real> above(m_terms);
    CertifyBlock<Real> below(m_terms);
    std::vector<std::size_t> others;
    for (std::size_t k = 0; k < m_terms.points.size(); ++k) {
      const CertifyPoint<Real>& x = m_terms.points[k];
      const Real cosine = dot(normal, x);
      const CertifyPoint<Real> beside{x[0] - cosine * normal[0], x[1] - cosine * normal[1],
                                      x[2] - cosine * normal[2]};
      if (k != circle && dot(beside, beside) > kCertifyRounding<Real> * kCertifyRounding<Real>) {
        others.push_back(k);
      } else {
        (cosine > 0 ? above : below).for_each(x, m_terms.value(k), [](Real& sum, Real term) {
          sum += term;
        });
      }
    }
    const CircleSweep<Real> sweep(m_terms, orthogonal_plane(normal), others);
    const auto visit_both = [&](const CertifyBlock<Real>& sum, std::size_t arc, int side) {
      visit_cell(sum, above, normal, sweep, arc, side);
      visit_cell(sum, below, scaled(-1, normal), sweep, arc, side);
    };
    m_best = std::max(m_best, sweep.maximum(visit_both));
    if (others.empty()) visit_both(CertifyBlock<Real>(m_terms), 0, 1);
  }

  /// Orthonormal basis of the plane normal.u = 0.
  static typename CircleSweep<Real>::Basis orthogonal_plane(const CertifyPoint<Real>& normal) {
    std::size_t axis = 0;  // farthest from the normal
    for (const std::size_t k : {1u, 2u}) {
      if (std::abs(normal[k]) < std::abs(normal[axis])) axis = k;
    }
    CertifyPoint<Real> first = scaled(-normal[axis], normal);
    first[axis] += 1;
    first = scaled(1 / std::sqrt(dot(first, first)), first);
    CertifyPoint<Real> second{};
    for (std::size_t k = 0; k < 3; ++k) {
      const std::size_t l = (k + 1) % 3;
      const std::size_t m = (k + 2) % 3;
      second[k] = normal[l] * first[m] - normal[m] * first[l];
    }
    return {first, second};
  }

  /// The cell that has this arc as an edge and is on this side of the circle. Its sum is that of
  /// the arc and of the samples of the circle that are active on this side.
  void visit_cell(const CertifyBlock<Real>& arc_sum, const CertifyBlock<Real>& side_sum,
                  const CertifyPoint<Real>& normal, const CircleSweep<Real>& sweep, std::size_t arc,
                  int side) {
    for (std::size_t k = 0; k < m_cell.values.size(); ++k) {
      m_cell.values[k] = arc_sum.values[k] + side_sum.values[k];
    }
    if (m_cell.squared_norm() <= m_best * m_best) return;  // |h| is no larger in the cell
    const CertifyPoint<Real> top = m_cell.top_direction();
    const Real value = m_cell.along(top);
    if (value <= m_best) return;
    for (const int sign : {1, -1}) {
      const CertifyPoint<Real> u = scaled(sign, top);
      if (dot(normal, u) >= -kCertifyRounding<Real> && sweep.same_cell(u, arc, side))
        m_best = value;
    }
  }

  const CertifyTerms<Real>& m_terms;
  CertifyBlock<Real> m_cell;
  Real m_best = 0;
};

template <class Real>
Real all_patterns_maximum(const Matrix<Real>& X, const Matrix<Real>& N) {
  // Sums over patterns cancel: for inputs at a distance r from the origin and 1 from each other,
  // what is left is smaller than the terms by r^2. Hence more digits than double, where there are
  // any.
  using Wide = long double;
  const Index p = X.cols();
  const Real largest = N.size() > 0 ? N.cwiseAbs().maxCoeff() : 0;
  if (largest == 0) return 0;
  // A power of two near the largest value as unit: nothing overflows, and it is not rounded.
  const Real unit = std::ldexp(1.0, std::ilogb(largest));
  CertifyTerms<Wide> terms;
  terms.dimension = p == 3 ? 3 : 2;  // one input without bias is a line of the plane
  terms.outputs = static_cast<std::size_t>(N.cols());
  Wide sizes = 0;
  for (Index i = 0; i < X.rows(); ++i) {
    CertifyPoint<Wide> x{};
    for (Index k = 0; k < p; ++k) x[static_cast<std::size_t>(k)] = X(i, k);
    const Wide norm = std::sqrt(dot(x, x));
    Wide size = 0;
    for (Index o = 0; o < N.cols(); ++o) size = std::max<Wide>(size, std::abs(N(i, o)));
    if (norm == 0 || size == 0) continue;  // would only make a circle
    terms.points.push_back(scaled(1 / norm, x));
    for (Index o = 0; o < N.cols(); ++o) terms.values.push_back(N(i, o) / unit * norm);
    sizes += size / unit * norm * std::sqrt(static_cast<Wide>(N.cols()));
  }
  if (terms.points.empty()) return 0;
  Wide maximum = 0;
  if (p == 3) {
    maximum = SphereMaximum<Wide>(terms).maximum();
  } else {
    std::vector<std::size_t> samples(terms.points.size());
    std::iota(samples.begin(), samples.end(), std::size_t{0});
    maximum = CircleSweep<Wide>(terms, {}, samples).maximum([](const auto&...) {});
  }
  // Sums are compensated, and every term is rounded a few times.
  const Wide margin = 64 * std::numeric_limits<Wide>::epsilon() * sizes;
  return std::nextafter(static_cast<Real>((maximum + margin) * unit),
                        std::numeric_limits<Real>::infinity());
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template double all_patterns_maximum(const Matrix<double>&, const Matrix<double>&);
}  // namespace mgdl::detail
#endif
