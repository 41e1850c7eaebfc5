#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <limits>
#include <optional>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_network.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// Where in the cone of its gap a neuron may move.
enum class TrendFace {
  Sample,     ///< kink at sample `place`: z = (slope)
  Gap,        ///< kink in gap `place`: z = (slope, value at the first active sample)
  Direction,  ///< kink in gap `place`, or affine, in a fixed direction: z = (factor)
  Affine      ///< active everywhere: z = (value at the first sample, value at the last)
};

/// A neuron. Slopes are positive and in the direction away from the kink.
struct TrendAtom {
  HingeSide side = HingeSide::Right;
  TrendFace face = TrendFace::Sample;
  Index place = 0;
  double sign = 1;
  Eigen::Vector2d z{0, 0};
  Eigen::Vector2d along{0, 0};  // of Direction, in the coordinates of Gap
  bool everywhere = false;      // of Direction: in those of Affine

  bool right() const noexcept { return side == HingeSide::Right; }
  bool affine() const noexcept {
    return face == TrendFace::Affine || (face == TrendFace::Direction && everywhere);
  }
  /// Coordinates that are free on its face.
  Index dimension() const noexcept {
    return face == TrendFace::Gap || face == TrendFace::Affine ? 2 : 1;
  }
  /// Coordinates of the cone, whatever the face.
  Eigen::Vector2d coordinates() const {
    return face == TrendFace::Direction ? Eigen::Vector2d(z[0] * along) : z;
  }
  /// Component j on its face of a gradient in the coordinates of the cone.
  double projected(const Eigen::Vector2d& v, Index j) const {
    return face == TrendFace::Direction ? v.dot(along) : v[j];
  }
  /// Where its kink is: samples have even, gaps odd numbers.
  Index position() const noexcept { return 2 * place + (face == TrendFace::Sample ? 0 : 1); }
};

/// The cones of (a, b) of neurons of one side and sign with their kink in one gap, in which a
/// network is linear in its neurons.
class TrendCones {
 public:
  /// \param samples  kept by reference; at least two
  explicit TrendCones(const TrendSamples& samples)
      : m_samples(samples), m_length(samples.x[samples.size() - 1] - samples.x[0]) {}

  /// From the first to the last sample.
  double length() const noexcept { return m_length; }
  double first() const { return m_samples.x[0]; }
  double last() const { return m_samples.x[m_samples.size() - 1]; }
  double width(Index gap) const { return m_samples.x[gap + 1] - m_samples.x[gap]; }
  /// The active sample next to the kink.
  double edge(const TrendAtom& atom) const {
    const bool beyond = atom.right() && atom.face != TrendFace::Sample;
    return m_samples.x[beyond ? atom.place + 1 : atom.place];
  }

  /// (a, b) of the neuron with given coordinates; linear in these.
  Eigen::Vector2d line(const TrendAtom& atom, const Eigen::Vector2d& z) const {
    if (atom.affine()) {
      const double a = (z[1] - z[0]) / m_length;
      return {a, z[0] > z[1] ? z[0] - a * first() : z[1] - a * last()};
    }
    const double a = atom.right() ? z[0] : -z[0];
    return {a, z[1] - a * edge(atom)};
  }

  /// Values of the two coordinates' neurons at x, where the neuron is active, and their slopes.
  Eigen::Vector2d values(const TrendAtom& atom, double x) const {
    if (atom.affine()) return {(last() - x) / m_length, (x - first()) / m_length};
    return {atom.right() ? x - edge(atom) : edge(atom) - x, 1};
  }
  Eigen::Vector2d slopes(const TrendAtom& atom) const {
    if (atom.affine()) return {-1 / m_length, 1 / m_length};
    return {atom.right() ? 1.0 : -1.0, 0};
  }

  /// Correlations of the two coordinates' neurons.
  Eigen::Vector2d correlations(const TrendAtom& atom, const DualFunction& z) const {
    if (atom.affine()) {
      return {z.at(HingeSide::Left, m_samples.size() - 1) / m_length,
              z.at(HingeSide::Right, 0) / m_length};
    }
    if (atom.face == TrendFace::Sample) return {z.at(atom.side, atom.place), 0};
    return {z.at(atom.side, atom.right() ? atom.place + 1 : atom.place),
            z.sum_beside(atom.side, atom.place)};
  }

  /// The atom of a neuron, in the cone that its kink is in; none if it is active nowhere.
  std::optional<TrendAtom> admit(const TrendNetwork::Neuron& neuron) const {
    constexpr double kNear = 1e-9;  // of the width of a gap: a kink at a sample
    const Index m = m_samples.size();
    TrendAtom atom;
    atom.sign = neuron.sign;
    atom.side = neuron.side();
    const double kink = neuron.a != 0 ? neuron.kink() : -std::numeric_limits<double>::infinity();
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
    const double slope = std::abs(neuron.a);
    const double from = kink - x[gap];
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
  bool settle(TrendAtom& atom) const {
    const auto sample = [&](HingeSide side, Index place, double slope) {
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
  double reach(const TrendAtom& atom, const Eigen::Vector2d& step) const {
    double part = 1;
    const auto limit = [&](double value, double change) {
      if (value + change < 0) part = std::min(part, std::max(0.0, -value / change));
    };
    if (atom.face == TrendFace::Gap) {
      limit(atom.z[1], step[1]);
      const double h = width(atom.place);
      limit(h * atom.z[0] - atom.z[1], h * step[0] - step[1]);
    } else {
      limit(atom.z[0], step[0]);
      if (atom.face == TrendFace::Affine) limit(atom.z[1], step[1]);
    }
    return part;
  }

 private:
  const TrendSamples& m_samples;
  double m_length;
};

}  // namespace mgdl::detail
