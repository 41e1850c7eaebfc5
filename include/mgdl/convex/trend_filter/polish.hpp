#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "mgdl/convex/trend_filter/cones.hpp"
#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// A network with what its own residuals prove.
template <class Real>
struct TrendPolished {
  TrendNetwork<Real> network;
  TrendBound<Real> bound;
};

/// Moves the neurons of a nearly optimal network to where the optimality conditions hold, to
/// rounding if it can. Works until the gap of the network by its own residuals is at most `target`,
/// no progress is made or the work is too much; with less effort once the gap is at most
/// `tolerance`.
///
/// \param samples  at least two
/// \param slack    part of lambda by which the correlation may be larger inside a gap than at the
///                 sample that bounds it, before a kink leaves that sample
/// \param work     that may be done, in cubes of the number of coordinates; reduced by this
/// \param go_on    asked before every step, with the gap; false ends it
/// \returns the best network, by its own bound
template <class Real>
TrendPolished<Real> polish_network(const TrendSamples<Real>& samples, Real lambda, bool output_bias,
                                   Real slack, const TrendNetwork<Real>& start, Real tolerance,
                                   Real target, Real& work, const std::function<bool(Real)>& go_on);

/// Moves the neurons of a nearly optimal network to where the optimality conditions hold, to
/// rounding if it can.
///
/// Neurons with their kink in one gap between samples, on one side and with one sign, form a convex
/// cone of (a, b) in which the network is linear and the penalty is a norm: there are two
/// coordinates inside the cone and one on its edges, where the kink is at a sample. Newton's method
/// moves all neurons at once. What would leave its cone stops at the edge and what shrinks to zero
/// is dropped; the dual function says which neurons leave the edge for the inside of a gap, and
/// where one is missing. Neighbouring cones share an edge, and in each there is at most one neuron:
/// the sum of two costs no more.
template <class Real>
class TrendPolish {
 public:
  /// \param samples  kept by reference; at least two
  /// \param slack    part of lambda by which the correlation may be larger inside a gap than at
  ///                 the sample that bounds it, before a kink leaves that sample
  TrendPolish(const TrendSamples<Real>& samples, Real lambda, bool output_bias, Real slack,
              const TrendNetwork<Real>& start)
      : m_samples(samples),
        m_lambda(lambda),
        m_output_bias(output_bias),
        m_slack(slack),
        m_cones(samples),
        m_best(start),
        m_bound(residual_bound(samples, start, lambda, output_bias)) {
    for (const auto& neuron : start.neurons) {
      if (const auto atom = m_cones.admit(neuron)) m_atoms.push_back(*atom);
    }
  }

  /// Works until the gap of the network by its own residuals is at most `target`, no progress is
  /// made or the work is too much; with less effort once the gap is at most `tolerance`.
  ///
  /// \param work   that may be done, in cubes of the number of coordinates; reduced by this
  /// \param go_on  asked before every step, with the gap; false ends it
  void run(Real tolerance, Real target, Real& work, const std::function<bool(Real)>& go_on) {
    constexpr int kSteps = 200;
    constexpr int kPatience = 12;
    constexpr Real kExtraSamples = 1.5e6;  // to evaluate at once the gap is small enough
    if (m_bound.gap <= target) return;
    Position now = position(m_atoms);
    if (now.bound.gap < m_bound.gap) keep(now);
    int idle = 0;
    bool settled = true;
    Real spent = 0;
    for (int step = 0; step < kSteps && !(m_bound.gap <= target); ++step) {
      const bool enough = m_bound.gap <= tolerance;
      if (idle >= kPatience) return;
      if (!enough) spent = m_evaluated;
      if (m_evaluated - spent > kExtraSamples) return;
      std::vector<TrendAtom<Real>> atoms = m_atoms;
      bool changed = false;
      if (settled || step < 3) changed = release(now.bound.z, atoms);
      changed = join(now.bound.z, atoms) || changed;
      if (changed) {
        m_atoms = atoms;
        now = position(m_atoms);
        if (now.bound.gap < m_bound.gap) keep(now);
      }
      Index size = 0;
      for (const TrendAtom<Real>& atom : m_atoms) size += atom.dimension();
      const auto count = static_cast<Real>(size);
      const Real cost = count * count * count;
      if (size == 0 || cost > work) return;
      if (!go_on(m_bound.gap)) return;
      work -= cost;

      const Vector<Real> direction =
          trend_newton_direction(m_samples, m_cones, m_atoms, now.bound.z, m_lambda, m_output_bias);
      if (direction.size() == 0) return;
      const Real before = m_bound.gap;
      const Real primal = now.network.primal;
      const bool moved = advance(direction, now, settled);
      if (now.bound.gap < m_bound.gap) keep(now);
      const bool progress =
          m_bound.gap < 0.9 * before || (moved && now.network.primal < primal * (1 - 1e-13));
      idle = progress ? 0 : idle + 1;
    }
  }

  /// The best network, by its own bound.
  const TrendNetwork<Real>& network() const noexcept { return m_best; }
  const TrendBound<Real>& bound() const noexcept { return m_bound; }

 private:
  struct Position {
    TrendNetwork<Real> network;
    TrendBound<Real> bound;
  };

  Position position(const std::vector<TrendAtom<Real>>& atoms) {
    m_evaluated += static_cast<Real>(m_samples.size());
    TrendNetwork<Real> network;
    for (const TrendAtom<Real>& atom : atoms) {
      const Eigen::Vector2<Real> v = m_cones.line(atom, atom.coordinates());
      if (v[0] != 0 || v[1] != 0) network.neurons.push_back({v[0], v[1], atom.sign});
    }
    assess(network, m_samples, m_lambda, m_output_bias);
    TrendBound<Real> bound = residual_bound(m_samples, network, m_lambda, m_output_bias);
    return {std::move(network), std::move(bound)};
  }

  void keep(const Position& at) {
    m_best = at.network;
    m_bound = at.bound;
  }

  /// Moves along a direction as far as the objective falls: a part of the whole way, with what
  /// leaves its cone stopped at the edge, or else up to the first edge. Returns whether it moved;
  /// `settled` says whether no atom changed its face.
  bool advance(const Vector<Real>& direction, Position& now, bool& settled) {
    constexpr int kHalvings = 12;
    std::vector<Eigen::Vector2<Real>> steps;
    Real first_edge = 1;
    Index row = 0;
    for (const TrendAtom<Real>& atom : m_atoms) {
      Eigen::Vector2<Real> step(direction[row], 0);
      if (atom.dimension() == 2) step[1] = direction[row + 1];
      row += atom.dimension();
      first_edge = std::min(first_edge, m_cones.reach(atom, step));
      steps.push_back(step);
    }
    const auto attempt = [&](Real part, bool stop) {
      std::vector<TrendAtom<Real>> atoms;
      bool kept = true;
      for (std::size_t k = 0; k < m_atoms.size(); ++k) {
        TrendAtom<Real> atom = m_atoms[k];
        const bool at_edge = stop && m_cones.reach(atom, steps[k]) <= part * (1 + 1e-12);
        atom.z += part * steps[k];
        if (at_edge && atom.face == TrendFace::Gap) {
          // Which edge it is, rounding must not decide.
          const Real h = m_cones.width(atom.place);
          const bool near = atom.z[1] < 0.5 * h * atom.z[0];
          atom.z[1] = near ? 0 : h * atom.z[0];
        } else if (at_edge && atom.face == TrendFace::Affine) {
          (atom.z[0] < atom.z[1] ? atom.z[0] : atom.z[1]) = 0;
        } else if (at_edge) {
          atom.z[0] = 0;
        }
        if (m_cones.settle(atom)) kept = false;
        if (atom.z[0] > 0 || atom.z[1] > 0) atoms.push_back(atom);
      }
      Position next = position(atoms);
      const Real rounding = 1e-15 * std::abs(now.network.primal);
      const Real change = next.network.primal - now.network.primal;
      const bool better =
          change < -rounding || (change <= rounding && next.bound.gap < now.bound.gap);
      // A stop at an edge is progress of its own: it may be all that the rest waits for.
      if (!better && !(stop && change <= 10 * rounding)) return false;
      m_atoms = std::move(atoms);
      now = std::move(next);
      settled = kept;
      return true;
    };
    if (attempt(1, false)) return true;
    if (first_edge < 1) {
      if (attempt(0.5, false)) return true;
      if (attempt(first_edge, true)) return true;
    }
    Real part = first_edge < 1 && first_edge > 0 ? 0.5 * first_edge : 0.5;
    for (int halving = 0; halving < kHalvings; ++halving, part *= 0.5) {
      if (attempt(part, false)) return true;
    }
    settled = true;
    return false;
  }

  /// Lets kinks leave samples where the correlation grows into a gap, and adds neurons where it is
  /// above lambda and there is none. Returns whether anything changed.
  bool release(const DualFunction<Real>& z, std::vector<TrendAtom<Real>>& atoms) const {
    bool changed = false;
    const Index m = m_samples.size();
    const Real rise = 1 + std::max(m_slack, 1e-14);
    for (TrendAtom<Real>& atom : atoms) {
      if (atom.face == TrendFace::Direction) {
        if (!(atom.z[0] > 0)) continue;
        atom.z = atom.coordinates();
        atom.face = atom.everywhere ? TrendFace::Affine : TrendFace::Gap;
        m_cones.settle(atom);
        changed = true;
        continue;
      }
      if (atom.face != TrendFace::Sample) continue;
      const Index i = atom.place;
      Real best = z.relative(atom.side, i) * rise;
      if (!(atom.sign * z.at(atom.side, i) > 0)) continue;
      Index gap = -1;
      for (const Index g : {i - 1, i}) {
        HingePeak<Real> peak;
        if (g < 0 || g + 1 >= m || !z.peak_inside(atom.side, g, peak)) continue;
        if (peak.sign == atom.sign && peak.value > best) {
          best = peak.value;
          gap = g;
        }
      }
      const bool outermost = atom.right() ? i == 0 : i == m - 1;
      const auto all = z.affine_peak();
      if (outermost && all.sign == atom.sign && all.value > best) {
        const Real value = atom.z[0] * m_cones.length();
        atom.z << (atom.right() ? 0 : value), (atom.right() ? value : 0);
        atom.face = TrendFace::Affine;
        changed = true;
      } else if (gap >= 0) {
        const bool near = atom.right() ? gap == i - 1 : gap == i;
        atom.z[1] = near ? 0 : atom.z[0] * m_cones.width(gap);
        atom.face = TrendFace::Gap;
        atom.place = gap;
        changed = true;
      }
    }

    const Real limit = m_lambda * rise;
    std::vector<TrendAtom<Real>> added;
    const auto missing = [&](HingeSide side, Real sign, Index position, bool inside) {
      const Index from = inside ? position : position - 1;
      const Index to = inside ? position : position + 1;
      for (const TrendAtom<Real>& atom : atoms) {
        if (atom.sign != sign) continue;
        if (atom.affine()) {
          const Index end = side == HingeSide::Right ? 0 : 2 * (m - 1);
          if (position == end) return false;
        } else if (atom.side == side && atom.position() >= from && atom.position() <= to) {
          return false;
        }
      }
      return true;
    };
    const auto add = [&](HingeSide side, const HingePeak<Real>& peak) {
      TrendAtom<Real> atom;
      atom.side = side;
      atom.sign = peak.sign;
      atom.place = peak.place;
      if (!missing(side, peak.sign, 2 * peak.place + (peak.inside ? 1 : 0), peak.inside)) return;
      if (peak.inside) {
        atom.face = TrendFace::Direction;
        atom.along << 1,
            (atom.right() ? m_cones.edge(atom) - peak.kink : peak.kink - m_cones.edge(atom));
      }
      added.push_back(atom);
    };
    for (const HingeSide side : {HingeSide::Right, HingeSide::Left}) {
      z.for_each_peak(side, limit, [&](const HingePeak<Real>& peak) { add(side, peak); });
      const Index i = side == HingeSide::Right ? 0 : m - 1;
      const Real value = z.relative(side, i);
      const Real sign = z.at(side, i) > 0 ? 1 : -1;
      if (value > limit) add(side, {m_samples.x[i], value, sign, i, false});
    }
    const auto all = z.affine_peak();
    if (all.value > limit) {
      bool present = false;
      for (const TrendAtom<Real>& atom : atoms)
        present = present || (atom.affine() && atom.sign == all.sign);
      if (!present) {
        TrendAtom<Real> atom;
        atom.face = TrendFace::Direction;
        atom.everywhere = true;
        atom.sign = all.sign;
        atom.along << all.a * m_cones.first() + all.b, all.a * m_cones.last() + all.b;
        if (atom.along.minCoeff() > 0) added.push_back(atom);
      }
    }
    atoms.insert(atoms.end(), added.begin(), added.end());
    return changed || !added.empty();
  }

  /// Adds up atoms in one cone. Returns whether there were any.
  bool join(const DualFunction<Real>& z, std::vector<TrendAtom<Real>>& atoms) const {
    const auto rank = [&](const TrendAtom<Real>& atom) {
      return 4 * (atom.sign > 0 ? 0 : 1) + (atom.affine() ? 2 : atom.right() ? 0 : 1);
    };
    std::stable_sort(atoms.begin(), atoms.end(),
                     [&](const TrendAtom<Real>& k, const TrendAtom<Real>& l) {
                       if (rank(k) != rank(l)) return rank(k) < rank(l);
                       return !k.affine() && k.position() < l.position();
                     });
    std::vector<TrendAtom<Real>> joined;
    for (const TrendAtom<Real>& atom : atoms) {
      if (joined.empty() || rank(joined.back()) != rank(atom) || !join(z, joined.back(), atom)) {
        joined.push_back(atom);
      }
    }
    const bool changed = joined.size() < atoms.size();
    atoms = std::move(joined);
    return changed;
  }

  bool join(const DualFunction<Real>& z, TrendAtom<Real>& one, const TrendAtom<Real>& other) const {
    if (one.affine()) {
      one.z = one.coordinates() + other.coordinates();
      one.face = TrendFace::Affine;
      return true;
    }
    const Index from = one.position();
    const Index to = other.position();
    if (from == to && from % 2 == 0) {
      one.z += other.z;
      return true;
    }
    Index cell = from;
    if (from % 2 == 0) cell = from + 1;
    if (to != cell && to != cell + 1) return false;
    if (to == from) cell = from;
    const Index gap = cell / 2;
    if (to == from + 2) {
      if (cell == from) return false;
      HingePeak<Real> peak;
      const bool inside = z.peak_inside(one.side, gap, peak) && peak.sign == one.sign;
      if (m_slack > 0 && !(inside && peak.value > m_lambda * (1 + m_slack))) return false;
    }
    const auto inside = [&](const TrendAtom<Real>& atom) -> Eigen::Vector2<Real> {
      if (atom.face != TrendFace::Sample) return atom.coordinates();
      const bool near = atom.right() ? atom.place == gap + 1 : atom.place == gap;
      return {atom.z[0], near ? 0 : atom.z[0] * m_cones.width(gap)};
    };
    one.z = inside(one) + inside(other);
    one.face = TrendFace::Gap;
    one.place = gap;
    return true;
  }

  const TrendSamples<Real>& m_samples;
  Real m_lambda;
  bool m_output_bias;
  Real m_slack;
  TrendCones<Real> m_cones;
  TrendNetwork<Real> m_best;
  TrendBound<Real> m_bound;
  std::vector<TrendAtom<Real>> m_atoms;
  Real m_evaluated = 0;
};

template <class Real>
TrendPolished<Real> polish_network(const TrendSamples<Real>& samples, Real lambda, bool output_bias,
                                   Real slack, const TrendNetwork<Real>& start, Real tolerance,
                                   Real target, Real& work,
                                   const std::function<bool(Real)>& go_on) {
  TrendPolish<Real> method(samples, lambda, output_bias, slack, start);
  method.run(tolerance, target, work, go_on);
  return {method.network(), method.bound()};
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template TrendPolished<double> polish_network(const TrendSamples<double>&, double, bool,
                                                     double, const TrendNetwork<double>&, double,
                                                     double, double&,
                                                     const std::function<bool(double)>&);
}  // namespace mgdl::detail
#endif
