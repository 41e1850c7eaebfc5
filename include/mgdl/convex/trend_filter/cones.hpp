#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

/// Where in the cone of its gap a neuron may move.
enum class TrendFace {
  Sample,     ///< kink at sample `place`: z = (slope)
  Gap,        ///< kink in gap `place`: z = (slope, value at the first active sample)
  Direction,  ///< kink in gap `place`, or affine, in a fixed direction: z = (factor)
  Affine      ///< active everywhere: z = (value at the first sample, value at the last)
};

/// A neuron. Slopes are positive and in the direction away from the kink.
template <class Real>
struct TrendAtom {
  HingeSide side = HingeSide::Right;
  TrendFace face = TrendFace::Sample;
  Index place = 0;
  Real sign = 1;
  Eigen::Vector2<Real> z{0, 0};
  Eigen::Vector2<Real> along{0, 0};  // of Direction, in the coordinates of Gap
  bool everywhere = false;           // of Direction: in those of Affine

  bool right() const noexcept { return side == HingeSide::Right; }
  bool affine() const noexcept {
    return face == TrendFace::Affine || (face == TrendFace::Direction && everywhere);
  }
  /// Coordinates that are free on its face.
  Index dimension() const noexcept {
    return face == TrendFace::Gap || face == TrendFace::Affine ? 2 : 1;
  }
  /// Coordinates of the cone, whatever the face.
  Eigen::Vector2<Real> coordinates() const {
    return face == TrendFace::Direction ? Eigen::Vector2<Real>(z[0] * along) : z;
  }
  /// Component j on its face of a gradient in the coordinates of the cone.
  Real projected(const Eigen::Vector2<Real>& v, Index j) const {
    return face == TrendFace::Direction ? v.dot(along) : v[j];
  }
  /// Where its kink is: samples have even, gaps odd numbers.
  Index position() const noexcept { return 2 * place + (face == TrendFace::Sample ? 0 : 1); }
};

/// The cones of (a, b) of neurons of one side and sign with their kink in one gap, in which a
/// network is linear in its neurons.
template <class Real>
class TrendCones {
 public:
  /// \param samples  kept by reference; at least two
  explicit TrendCones(const TrendSamples<Real>& samples)
      : m_samples(samples), m_length(samples.x[samples.size() - 1] - samples.x[0]) {}

  /// From the first to the last sample.
  Real length() const noexcept { return m_length; }
  Real first() const { return m_samples.x[0]; }
  Real last() const { return m_samples.x[m_samples.size() - 1]; }
  Real width(Index gap) const { return m_samples.x[gap + 1] - m_samples.x[gap]; }
  /// The active sample next to the kink.
  Real edge(const TrendAtom<Real>& atom) const {
    const bool beyond = atom.right() && atom.face != TrendFace::Sample;
    return m_samples.x[beyond ? atom.place + 1 : atom.place];
  }

  /// (a, b) of the neuron with given coordinates; linear in these.
  Eigen::Vector2<Real> line(const TrendAtom<Real>& atom, const Eigen::Vector2<Real>& z) const {
    if (atom.affine()) {
      const Real a = (z[1] - z[0]) / m_length;
      return {a, z[0] > z[1] ? z[0] - a * first() : z[1] - a * last()};
    }
    const Real a = atom.right() ? z[0] : -z[0];
    return {a, z[1] - a * edge(atom)};
  }

  /// Values of the two coordinates' neurons at x, where the neuron is active, and their slopes.
  Eigen::Vector2<Real> values(const TrendAtom<Real>& atom, Real x) const {
    if (atom.affine()) return {(last() - x) / m_length, (x - first()) / m_length};
    return {atom.right() ? x - edge(atom) : edge(atom) - x, 1};
  }
  Eigen::Vector2<Real> slopes(const TrendAtom<Real>& atom) const {
    if (atom.affine()) return {-1 / m_length, 1 / m_length};
    return {atom.right() ? 1.0 : -1.0, 0};
  }

  /// Correlations of the two coordinates' neurons.
  Eigen::Vector2<Real> correlations(const TrendAtom<Real>& atom,
                                    const DualFunction<Real>& z) const {
    if (atom.affine()) {
      return {z.at(HingeSide::Left, m_samples.size() - 1) / m_length,
              z.at(HingeSide::Right, 0) / m_length};
    }
    if (atom.face == TrendFace::Sample) return {z.at(atom.side, atom.place), 0};
    return {z.at(atom.side, atom.right() ? atom.place + 1 : atom.place),
            z.sum_beside(atom.side, atom.place)};
  }

  /// The atom of a neuron, in the cone that its kink is in; none if it is active nowhere.
  std::optional<TrendAtom<Real>> admit(const typename TrendNetwork<Real>::Neuron& neuron) const {
    constexpr Real kNear = 1e-9;  // of the width of a gap: a kink at a sample
    const Index m = m_samples.size();
    TrendAtom<Real> atom;
    atom.sign = neuron.sign;
    atom.side = neuron.side();
    const Real kink = neuron.a != 0 ? neuron.kink() : -std::numeric_limits<Real>::infinity();
    const bool before = atom.right() ? kink <= first() : kink >= last();
    if (before) {
      atom.face = TrendFace::Affine;
      atom.z << std::max(0.0, neuron.a * first() + neuron.b),
          std::max(0.0, neuron.a * last() + neuron.b);
      if (!(atom.z.maxCoeff() > 0)) return std::nullopt;
      settle(atom);
      return atom;
    }
    if (atom.right() ? kink >= last() : kink <= first()) return std::nullopt;
    const auto& x = m_samples.x;
    const Index gap =
        std::min(std::upper_bound(x.data(), x.data() + m, kink) - x.data(), m - 1) - 1;
    const Real slope = std::abs(neuron.a);
    const Real from = kink - x[gap];
    if (from <= kNear * width(gap) || from >= (1 - kNear) * width(gap)) {
      atom.face = TrendFace::Sample;
      atom.place = from <= kNear * width(gap) ? gap : gap + 1;
      atom.z << slope, 0;
      const bool nowhere = atom.right() ? atom.place == m - 1 : atom.place == 0;
      if (nowhere) return std::nullopt;
    } else {
      atom.face = TrendFace::Gap;
      atom.place = gap;
      atom.z << slope, slope * (atom.right() ? width(gap) - from : from);
    }
    return atom;
  }

  /// Moves an atom that left its cone to the edge. Returns whether it changed its face; an atom
  /// that is nothing has z = 0.
  bool settle(TrendAtom<Real>& atom) const {
    const auto sample = [&](HingeSide side, Index place, Real slope) {
      atom.side = side;
      atom.face = TrendFace::Sample;
      atom.place = place;
      atom.z << std::max(0.0, slope), 0;
      return true;
    };
    if (atom.face == TrendFace::Affine) {
      if (atom.z[0] > 0 && atom.z[1] > 0) return false;
      if (atom.z[0] <= 0) return sample(HingeSide::Right, 0, atom.z[1] / m_length);
      return sample(HingeSide::Left, m_samples.size() - 1, atom.z[0] / m_length);
    }
    if (atom.face == TrendFace::Gap) {
      const Index near = atom.right() ? atom.place + 1 : atom.place;
      const Index far = atom.right() ? atom.place : atom.place + 1;
      const bool nowhere = atom.right() ? near == m_samples.size() - 1 : near == 0;
      if (atom.z[1] <= 0) return sample(atom.side, near, nowhere ? 0 : atom.z[0]);
      if (atom.z[1] >= width(atom.place) * atom.z[0]) return sample(atom.side, far, atom.z[0]);
      return false;
    }
    if (atom.z[0] > 0) return false;
    atom.z.setZero();
    return true;
  }

  /// Largest part of a step, at most 1, that keeps the atom in its cone.
  Real reach(const TrendAtom<Real>& atom, const Eigen::Vector2<Real>& step) const {
    Real part = 1;
    const auto limit = [&](Real value, Real change) {
      if (value + change < 0) part = std::min(part, std::max(0.0, -value / change));
    };
    if (atom.face == TrendFace::Gap) {
      limit(atom.z[1], step[1]);
      const Real h = width(atom.place);
      limit(h * atom.z[0] - atom.z[1], h * step[0] - step[1]);
    } else {
      limit(atom.z[0], step[0]);
      if (atom.face == TrendFace::Affine) limit(atom.z[1], step[1]);
    }
    return part;
  }

 private:
  const TrendSamples<Real>& m_samples;
  Real m_length;
};

/// Newton's direction for the coordinates of all atoms; empty if there is none.
///
/// \param z  the dual function of the network's residuals
template <class Real>
Vector<Real> trend_newton_direction(const TrendSamples<Real>& samples,
                                    const TrendCones<Real>& cones,
                                    const std::vector<TrendAtom<Real>>& atoms,
                                    const DualFunction<Real>& z, Real lambda, bool output_bias) {
  const auto count = static_cast<Index>(atoms.size());
  // The samples between places where an atom begins or ends to be active.
  std::vector<Index> cuts{0, samples.size()};
  std::vector<Index> begins;
  std::vector<Index> ends;
  for (const TrendAtom<Real>& atom : atoms) {
    Index begin = 0;
    Index end = samples.size();
    if (!atom.affine()) (atom.right() ? begin : end) = atom.place + 1;
    begins.push_back(begin);
    ends.push_back(end);
    cuts.push_back(begin);
    cuts.push_back(end);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  const auto segments = static_cast<Index>(cuts.size()) - 1;
  Index size = output_bias ? 1 : 0;
  for (const TrendAtom<Real>& atom : atoms) size += atom.dimension();

  // Rows: the lines of the segments, mean value and slope.
  Matrix<Real> design = Matrix<Real>::Zero(size, 2 * segments);
  for (Index s = 0; s < segments; ++s) {
    typename KnotProblem<Real>::Segment segment;
    Real rest = 0;
    const Index begin = cuts.data()[s];
    const Real origin = samples.x[begin];
    for (Index i = begin; i < cuts.data()[s + 1]; ++i) {
      add_sample<Real>(segment, rest, samples.x[i] - origin, 0, samples.w[i]);
    }
    const Real root = std::sqrt(segment.weight);
    const Real spread = std::sqrt(segment.spread);
    Index row = 0;
    for (Index k = 0; k < count; ++k) {
      const TrendAtom<Real>& atom = atoms.data()[k];
      const Index d = atom.dimension();
      if (begins.data()[k] <= begin && begin < ends.data()[k]) {
        Eigen::Vector2<Real> value = cones.values(atom, origin);
        const Eigen::Vector2<Real> slope = cones.slopes(atom);
        value += segment.before * slope;
        // Not a loop over j < d: GCC 12 vectorises that at -O3 and writes beyond d.
        const auto fill = [&](Index j) {
          design(row + j, 2 * s) = root * atom.sign * atom.projected(value, j);
          design(row + j, 2 * s + 1) = spread * atom.sign * atom.projected(slope, j);
        };
        fill(0);
        if (d == 2) fill(1);
      }
      row += d;
    }
    if (output_bias) design(row, 2 * s) = root;
  }
  Matrix<Real> hessian = Matrix<Real>::Zero(size, size);
  hessian.template selfadjointView<Eigen::Lower>().rankUpdate(design);

  Vector<Real> descent = Vector<Real>::Zero(size);
  Index row = 0;
  for (const TrendAtom<Real>& atom : atoms) {
    const Index d = atom.dimension();
    const Eigen::Vector2<Real> unit0(1, 0);
    const Eigen::Vector2<Real> unit1(0, 1);
    Eigen::Vector2<Real> at = atom.face == TrendFace::Direction ? atom.along : atom.z;
    if (atom.face == TrendFace::Sample) at = unit0;
    const Eigen::Vector2<Real> v = cones.line(atom, at);
    const Real norm = v.norm();
    const Eigen::Vector2<Real> pull(v.dot(cones.line(atom, unit0)), v.dot(cones.line(atom, unit1)));
    const Eigen::Vector2<Real> drive =
        atom.sign * cones.correlations(atom, z) - lambda / norm * pull;
    descent[row] = atom.projected(drive, 0);
    if (d == 2) {
      descent[row + 1] = atom.projected(drive, 1);
      // The penalty bends only across v.
      const Real turn = atom.affine() ? 1 / cones.length() : 1;
      const Eigen::Vector2<Real> across = turn / norm * Eigen::Vector2<Real>(-at[1], at[0]);
      hessian.template block<2, 2>(row, row) += lambda / norm * across * across.transpose();
    }
    row += d;
  }

  Vector<Real> scale = hessian.diagonal();
  const Real tiny = scale.maxCoeff() * 1e-300;
  scale = scale.unaryExpr([&](Real v) { return v > tiny ? 1 / std::sqrt(v) : 0.0; });
  hessian = scale.asDiagonal() * hessian * scale.asDiagonal();
  Cholesky<Real> factors;
  for (Real ridge = 1e-14; ridge < 1e-3; ridge *= 100) {
    hessian.diagonal().setConstant(1 + ridge);
    if (!factors.compute(hessian)) continue;
    const Vector<Real> scaled = scale.cwiseProduct(descent);
    const Vector<Real> direction = factors.solve(scaled).cwiseProduct(scale);
    if (direction.allFinite()) return direction;
  }
  return {};
}

}  // namespace mgdl::detail
