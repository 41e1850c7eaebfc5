#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/certify_circle.hpp"

namespace mgdl::detail {

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
