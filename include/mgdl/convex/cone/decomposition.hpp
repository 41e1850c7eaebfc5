#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mgdl/convex/certificate/half_spaces.hpp"
#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// u = v - w with v and w in a cone, or near to that.
template <class Real>
struct ConeDifference {
  Vector<Real> v;
  Vector<Real> w;
  bool exact = true;  ///< whether u = v - w and both are in the cone, but for rounding
};

/// Writes vectors as differences of two vectors of the cone K = {v : a_i.v >= 0} of a gate's
/// pattern: u = v - w means D X~ u = max(0, X~ v) - max(0, X~ w), a gated unit as two ReLU neurons.
template <class Real>
class ConeDecomposer {
 public:
  explicit ConeDecomposer(const CertifySamples<Real>& samples)
      : m_samples(samples), m_cone(samples), m_bounds(samples.values().rows()) {}

  /// Takes the cone of this gate's pattern.
  void set_gate(const Real* gate) { set_gate(gate, m_samples); }
  /// \param patterns  the samples that the gate belongs to: the same ones, maybe in other
  ///                  coordinates
  void set_gate(const Real* gate, const CertifySamples<Real>& patterns) {
    m_cone.set_gate(gate, patterns);
    // The shortest vector with a_i.z >= 1 for all i: the axis of the cone, if it has an interior.
    m_bounds = (m_samples.norms().array() > 0).select(Vector<Real>::Ones(m_bounds.size()), 0);
    const HalfSpaceProjection<Real> axis =
        m_cone.project(Vector<Real>::Zero(m_samples.dimension()), m_bounds);
    // A little more than the rounding of the projection that is no longer needed.
    const Real margin = 1 + m_cone.lowest(axis.point, m_bounds);
    m_has_interior = axis.feasible && margin > 0.5;
    if (m_has_interior) m_axis = axis.point / margin;
  }

  /// The decomposition of least ||v|| + ||w||; where the cone has no interior, nearest().
  ///
  /// For fixed weights, v = u + w and the w with the least (||v||^2 / alpha + ||w||^2 / beta) / 2
  /// is a projection of a multiple of -u onto a shifted cone; with alpha = ||v|| and beta = ||w||
  /// from the step before, the sum of lengths never grows. Source: Weiszfeld's algorithm, e.g. Beck
  /// & Sabach, "Weiszfeld's method: old and new results" (Journal of Optimization Theory and
  /// Applications 164, 2015).
  ConeDifference<Real> shortest(const Vector<Real>& u) {
    const Real rounding = 16 * kEpsilon * u.norm();
    if (m_cone.lowest(u) >= -rounding) return {u, Vector<Real>::Zero(u.size()), true};
    if (m_cone.lowest(-u) >= -rounding) return {Vector<Real>::Zero(u.size()), -u, true};
    if (!m_has_interior) return nearest(u);
    // w in K and u + w in K.
    const Vector<Real> bounds = (-m_cone.values(u)).cwiseMax(0);
    Vector<Real> best;
    Real length = std::numeric_limits<Real>::infinity();
    Real share = 0.5;
    for (int iteration = 0; iteration < kIterations; ++iteration) {
      const Vector<Real> w = inside(m_cone.project(-share * u, bounds).point, bounds);
      const Real v_length = (u + w).norm();
      const Real w_length = w.norm();
      const Real before = length;
      if (v_length + w_length < length) {
        best = w;
        length = v_length + w_length;
      }
      if (!(before - length > kTolerance * length)) break;
      share = w_length / (v_length + w_length);
    }
    // The rounding of w is large for a v that is much shorter: both are moved by a little more.
    const Real lowest = m_cone.lowest(u + best);
    if (lowest < 0) best += (4 * kEpsilon * best.norm() - lowest) * m_axis;
    return {u + best, best, true};
  }

  /// v and w the points of the cone that are nearest to u and to -u: v - w is u if one of them is
  /// zero.
  ConeDifference<Real> nearest(const Vector<Real>& u) {
    ConeDifference<Real> result{m_cone.project(u).point, m_cone.project(-u).point, false};
    // In the polar cone only rounding is left.
    const Real rounding = 1e-12 * u.norm();
    if (result.v.norm() <= rounding) result.v.setZero();
    if (result.w.norm() <= rounding) result.w.setZero();
    return result;
  }

 private:
  static constexpr Real kEpsilon = std::numeric_limits<Real>::epsilon();
  static constexpr int kIterations = 100;
  static constexpr Real kTolerance = 1e-12;

  /// w moved along the axis until a_i.w >= b_i holds for all i: what the projection leaves to do is
  /// rounding.
  Vector<Real> inside(Vector<Real> w, const Vector<Real>& bounds) {
    const Real lowest = m_cone.lowest(w, bounds);
    if (lowest < 0) w -= lowest * m_axis;
    return w;
  }

  const CertifySamples<Real>& m_samples;
  HalfSpaces<Real> m_cone;
  Vector<Real> m_bounds;
  Vector<Real> m_axis;  // a_i.z >= 1 for all i
  bool m_has_interior = false;
};

}  // namespace mgdl::detail
