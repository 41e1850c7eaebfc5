#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_knots.hpp"
#include "mgdl/detail/trend_filter_network.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// A dual point scaled to where the dual objective is largest under all constraints.
struct TrendBound {
  DualFunction z;    ///< of the point before it was scaled
  Vector<double> N;  ///< before it was scaled; of sum zero with a bias
  double scale = 0;  ///< scale N is feasible
  double value = 0;  ///< lower bound of the optimum
  double gap = 1;    ///< of the network that it was made from, relative to its objective
};

inline TrendBound bound_by(const TrendSamples& samples, Vector<double> N, double lambda,
                           bool output_bias) {
  constexpr double kRounding = 1e-12;  // more than the norm is off by
  if (output_bias) N -= samples.w * (N.sum() / samples.w.sum());
  TrendBound bound{DualFunction(samples, N), std::move(N)};
  const double linear = bound.N.dot(samples.y);
  const double square = bound.N.cwiseAbs2().cwiseQuotient(samples.w).sum();
  if (square > 0) {
    bound.scale =
        std::max(0.0, std::min(lambda / (bound.z.norm() * (1 + kRounding)), linear / square));
  }
  bound.value = samples.scatter + bound.scale * (linear - 0.5 * bound.scale * square);
  return bound;
}

/// The bound that a network's own residuals prove. That is what can be certified from the network
/// alone.
inline TrendBound residual_bound(const TrendSamples& samples, const TrendNetwork& network,
                                 double lambda, bool output_bias) {
  Vector<double> residual = samples.y - evaluate(network.neurons, samples.x);
  residual.array() -= network.bias;
  TrendBound bound = bound_by(samples, samples.w.cwiseProduct(residual), lambda, output_bias);
  bound.gap = network.primal > 0 ? (network.primal - bound.value) / network.primal : 0;
  return bound;
}

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
class TrendPolish {
 public:
  /// \param samples  kept by reference; at least two
  /// \param slack    part of lambda by which the correlation may be larger inside a gap than at
  ///                 the sample that bounds it, before a kink leaves that sample
  TrendPolish(const TrendSamples& samples, double lambda, bool output_bias, double slack,
              const TrendNetwork& start)
      : m_samples(samples),
        m_lambda(lambda),
        m_output_bias(output_bias),
        m_slack(slack),
        m_length(samples.x[samples.size() - 1] - samples.x[0]),
        m_best(start),
        m_bound(residual_bound(samples, start, lambda, output_bias)) {
    for (const auto& neuron : start.neurons) admit(neuron);
  }

  /// Works until the gap of the network by its own residuals is at most `target`, no progress is
  /// made or the work is too much; with less effort once the gap is at most `tolerance`.
  ///
  /// \param work  that may be done, in cubes of the number of coordinates; reduced by what was done
  void run(double tolerance, double target, double& work) {
    constexpr int kSteps = 200;
    constexpr int kPatience = 12;
    constexpr double kExtraSamples = 1.5e6;  // to evaluate at once the gap is small enough
    if (m_bound.gap <= target) return;
    Position now = position(m_atoms);
    if (now.bound.gap < m_bound.gap) keep(now);
    int idle = 0;
    bool settled = true;
    double spent = 0;
    for (int step = 0; step < kSteps && !(m_bound.gap <= target); ++step) {
      const bool enough = m_bound.gap <= tolerance;
      if (idle >= kPatience) return;
      if (!enough) spent = m_evaluated;
      if (m_evaluated - spent > kExtraSamples) return;
      std::vector<Atom> atoms = m_atoms;
      bool changed = false;
      if (settled || step < 3) changed = release(now.bound.z, atoms);
      changed = join(now.bound.z, atoms) || changed;
      if (changed) {
        m_atoms = atoms;
        now = position(m_atoms);
        if (now.bound.gap < m_bound.gap) keep(now);
      }
      Index size = 0;
      for (const Atom& atom : m_atoms) size += dimension(atom);
      const auto count = static_cast<double>(size);
      const double cost = count * count * count;
      if (size == 0 || cost > work) return;
      work -= cost;

      const Vector<double> direction = newton(now.bound);
      if (direction.size() == 0) return;
      const double before = m_bound.gap;
      const double primal = now.network.primal;
      const bool moved = advance(direction, now, settled);
      if (now.bound.gap < m_bound.gap) keep(now);
      const bool progress =
          m_bound.gap < 0.9 * before || (moved && now.network.primal < primal * (1 - 1e-13));
      idle = progress ? 0 : idle + 1;
    }
  }

  /// The best network, by its own bound.
  const TrendNetwork& network() const noexcept { return m_best; }
  const TrendBound& bound() const noexcept { return m_bound; }

 private:
  enum class Face {
    Sample,     ///< kink at sample `place`: z = (slope)
    Gap,        ///< kink in gap `place`: z = (slope, value at the first active sample)
    Direction,  ///< kink in gap `place`, or affine, in a fixed direction: z = (factor)
    Affine      ///< active everywhere: z = (value at the first sample, value at the last)
  };

  /// A neuron. Slopes are positive and in the direction away from the kink.
  struct Atom {
    HingeSide side = HingeSide::Right;
    Face face = Face::Sample;
    Index place = 0;
    double sign = 1;
    Eigen::Vector2d z{0, 0};
    Eigen::Vector2d along{0, 0};  // of Direction, in the coordinates of Gap
    bool everywhere = false;      // of Direction: in those of Affine
  };

  struct Position {
    TrendNetwork network;
    TrendBound bound;
  };

  static bool right(const Atom& atom) { return atom.side == HingeSide::Right; }
  static Index dimension(const Atom& atom) {
    return atom.face == Face::Gap || atom.face == Face::Affine ? 2 : 1;
  }
  static bool affine(const Atom& atom) {
    return atom.face == Face::Affine || (atom.face == Face::Direction && atom.everywhere);
  }
  /// Coordinates of the cone, whatever the face.
  static Eigen::Vector2d coordinates(const Atom& atom) {
    return atom.face == Face::Direction ? Eigen::Vector2d(atom.z[0] * atom.along) : atom.z;
  }

  double width(Index gap) const { return m_samples.x[gap + 1] - m_samples.x[gap]; }
  double first() const { return m_samples.x[0]; }
  double last() const { return m_samples.x[m_samples.size() - 1]; }
  /// The active sample next to the kink.
  double edge(const Atom& atom) const {
    const bool beyond = right(atom) && atom.face != Face::Sample;
    return m_samples.x[beyond ? atom.place + 1 : atom.place];
  }

  /// (a, b) of the neuron with given coordinates; linear in these.
  Eigen::Vector2d line(const Atom& atom, const Eigen::Vector2d& z) const {
    if (affine(atom)) {
      const double a = (z[1] - z[0]) / m_length;
      return {a, z[0] > z[1] ? z[0] - a * first() : z[1] - a * last()};
    }
    const double a = right(atom) ? z[0] : -z[0];
    return {a, z[1] - a * edge(atom)};
  }

  /// Values of the two coordinates' neurons at x, where the neuron is active, and their slopes.
  Eigen::Vector2d values(const Atom& atom, double x) const {
    if (affine(atom)) return {(last() - x) / m_length, (x - first()) / m_length};
    return {right(atom) ? x - edge(atom) : edge(atom) - x, 1};
  }
  Eigen::Vector2d slopes(const Atom& atom) const {
    if (affine(atom)) return {-1 / m_length, 1 / m_length};
    return {right(atom) ? 1.0 : -1.0, 0};
  }

  /// Correlations of the two coordinates' neurons.
  Eigen::Vector2d correlations(const Atom& atom, const DualFunction& z) const {
    if (affine(atom)) {
      return {z.at(HingeSide::Left, m_samples.size() - 1) / m_length,
              z.at(HingeSide::Right, 0) / m_length};
    }
    if (atom.face == Face::Sample) return {z.at(atom.side, atom.place), 0};
    return {z.at(atom.side, right(atom) ? atom.place + 1 : atom.place),
            z.sum_beside(atom.side, atom.place)};
  }

  static double projected(const Atom& atom, const Eigen::Vector2d& v, Index j) {
    return atom.face == Face::Direction ? v.dot(atom.along) : v[j];
  }

  /// Takes a neuron into account in the cone that its kink is in.
  void admit(const TrendNetwork::Neuron& neuron) {
    constexpr double kNear = 1e-9;  // of the width of a gap: a kink at a sample
    const Index m = m_samples.size();
    Atom atom;
    atom.sign = neuron.sign;
    atom.side = neuron.side();
    const double kink = neuron.a != 0 ? neuron.kink() : -std::numeric_limits<double>::infinity();
    const bool before = right(atom) ? kink <= first() : kink >= last();
    if (before) {
      atom.face = Face::Affine;
      atom.z << std::max(0.0, neuron.a * first() + neuron.b),
          std::max(0.0, neuron.a * last() + neuron.b);
      if (atom.z.maxCoeff() > 0) {
        settle(atom);
        m_atoms.push_back(atom);
      }
      return;
    }
    if (right(atom) ? kink >= last() : kink <= first()) return;  // active nowhere
    const auto& x = m_samples.x;
    const Index gap =
        std::min(std::upper_bound(x.data(), x.data() + m, kink) - x.data(), m - 1) - 1;
    const double slope = std::abs(neuron.a);
    const double from = kink - x[gap];
    if (from <= kNear * width(gap) || from >= (1 - kNear) * width(gap)) {
      atom.face = Face::Sample;
      atom.place = from <= kNear * width(gap) ? gap : gap + 1;
      atom.z << slope, 0;
      const bool nowhere = right(atom) ? atom.place == m - 1 : atom.place == 0;
      if (nowhere) return;
    } else {
      atom.face = Face::Gap;
      atom.place = gap;
      atom.z << slope, slope * (right(atom) ? width(gap) - from : from);
    }
    m_atoms.push_back(atom);
  }

  /// Moves an atom that left its cone to the edge. Returns whether it changed its face; an atom
  /// that is nothing has z = 0.
  bool settle(Atom& atom) const {
    const auto sample = [&](HingeSide side, Index place, double slope) {
      atom.side = side;
      atom.face = Face::Sample;
      atom.place = place;
      atom.z << std::max(0.0, slope), 0;
      return true;
    };
    if (atom.face == Face::Affine) {
      if (atom.z[0] > 0 && atom.z[1] > 0) return false;
      if (atom.z[0] <= 0) return sample(HingeSide::Right, 0, atom.z[1] / m_length);
      return sample(HingeSide::Left, m_samples.size() - 1, atom.z[0] / m_length);
    }
    if (atom.face == Face::Gap) {
      const Index near = right(atom) ? atom.place + 1 : atom.place;
      const Index far = right(atom) ? atom.place : atom.place + 1;
      const bool nowhere = right(atom) ? near == m_samples.size() - 1 : near == 0;
      if (atom.z[1] <= 0) return sample(atom.side, near, nowhere ? 0 : atom.z[0]);
      if (atom.z[1] >= width(atom.place) * atom.z[0]) return sample(atom.side, far, atom.z[0]);
      return false;
    }
    if (atom.z[0] > 0) return false;
    atom.z.setZero();
    return true;
  }

  /// Largest part of a step, at most 1, that keeps the atom in its cone.
  double reach(const Atom& atom, const Eigen::Vector2d& step) const {
    double part = 1;
    const auto limit = [&](double value, double change) {
      if (value + change < 0) part = std::min(part, std::max(0.0, -value / change));
    };
    if (atom.face == Face::Gap) {
      limit(atom.z[1], step[1]);
      const double h = width(atom.place);
      limit(h * atom.z[0] - atom.z[1], h * step[0] - step[1]);
    } else {
      limit(atom.z[0], step[0]);
      if (atom.face == Face::Affine) limit(atom.z[1], step[1]);
    }
    return part;
  }

  Position position(const std::vector<Atom>& atoms) {
    m_evaluated += static_cast<double>(m_samples.size());
    TrendNetwork network;
    for (const Atom& atom : atoms) {
      const Eigen::Vector2d v = line(atom, coordinates(atom));
      if (v[0] != 0 || v[1] != 0) network.neurons.push_back({v[0], v[1], atom.sign});
    }
    assess(network, m_samples, m_lambda, m_output_bias);
    TrendBound bound = residual_bound(m_samples, network, m_lambda, m_output_bias);
    return {std::move(network), std::move(bound)};
  }

  void keep(const Position& at) {
    m_best = at.network;
    m_bound = at.bound;
  }

  /// Newton's direction for the coordinates of all atoms; empty if there is none.
  Vector<double> newton(const TrendBound& at) const {
    const auto count = static_cast<Index>(m_atoms.size());
    // The samples between places where an atom begins or ends to be active.
    std::vector<Index> cuts{0, m_samples.size()};
    std::vector<Index> begins;
    std::vector<Index> ends;
    for (const Atom& atom : m_atoms) {
      Index begin = 0;
      Index end = m_samples.size();
      if (!affine(atom)) (right(atom) ? begin : end) = atom.place + 1;
      begins.push_back(begin);
      ends.push_back(end);
      cuts.push_back(begin);
      cuts.push_back(end);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    const auto segments = static_cast<Index>(cuts.size()) - 1;
    Index size = m_output_bias ? 1 : 0;
    for (const Atom& atom : m_atoms) size += dimension(atom);

    // Rows: the lines of the segments, mean value and slope.
    Matrix<double> design = Matrix<double>::Zero(size, 2 * segments);
    for (Index s = 0; s < segments; ++s) {
      KnotProblem::Segment segment;
      double rest = 0;
      const Index begin = cuts.data()[s];
      const double origin = m_samples.x[begin];
      for (Index i = begin; i < cuts.data()[s + 1]; ++i) {
        add_sample(segment, rest, m_samples.x[i] - origin, 0, m_samples.w[i]);
      }
      const double root = std::sqrt(segment.weight);
      const double spread = std::sqrt(segment.spread);
      Index row = 0;
      for (Index k = 0; k < count; ++k) {
        const Atom& atom = m_atoms.data()[k];
        const Index d = dimension(atom);
        if (begins.data()[k] <= begin && begin < ends.data()[k]) {
          Eigen::Vector2d value = values(atom, origin);
          const Eigen::Vector2d slope = slopes(atom);
          value += segment.before * slope;
          for (Index j = 0; j < d; ++j) {
            design(row + j, 2 * s) = root * atom.sign * projected(atom, value, j);
            design(row + j, 2 * s + 1) = spread * atom.sign * projected(atom, slope, j);
          }
        }
        row += d;
      }
      if (m_output_bias) design(row, 2 * s) = root;
    }
    Matrix<double> hessian = Matrix<double>::Zero(size, size);
    hessian.selfadjointView<Eigen::Lower>().rankUpdate(design);

    Vector<double> descent = Vector<double>::Zero(size);
    Index row = 0;
    for (const Atom& atom : m_atoms) {
      const Index d = dimension(atom);
      const Eigen::Vector2d unit0(1, 0);
      const Eigen::Vector2d unit1(0, 1);
      Eigen::Vector2d z = atom.face == Face::Direction ? atom.along : atom.z;
      if (atom.face == Face::Sample) z = unit0;
      const Eigen::Vector2d v = line(atom, z);
      const double norm = v.norm();
      const Eigen::Vector2d pull(v.dot(line(atom, unit0)), v.dot(line(atom, unit1)));
      const Eigen::Vector2d drive = atom.sign * correlations(atom, at.z) - m_lambda / norm * pull;
      for (Index j = 0; j < d; ++j) descent[row + j] = projected(atom, drive, j);
      if (d == 2) {
        // The penalty bends only across v.
        const double turn = affine(atom) ? 1 / m_length : 1;
        const Eigen::Vector2d across = turn / norm * Eigen::Vector2d(-z[1], z[0]);
        hessian.block<2, 2>(row, row) += m_lambda / norm * across * across.transpose();
      }
      row += d;
    }

    Vector<double> scale = hessian.diagonal();
    const double tiny = scale.maxCoeff() * 1e-300;
    scale = scale.unaryExpr([&](double v) { return v > tiny ? 1 / std::sqrt(v) : 0.0; });
    hessian = scale.asDiagonal() * hessian * scale.asDiagonal();
    Eigen::LLT<Matrix<double>> factors;
    for (double ridge = 1e-14; ridge < 1e-3; ridge *= 100) {
      hessian.diagonal().setConstant(1 + ridge);
      factors.compute(hessian);
      if (factors.info() != Eigen::Success) continue;
      Vector<double> direction = factors.solve(scale.cwiseProduct(descent)).cwiseProduct(scale);
      if (direction.allFinite()) return direction;
    }
    return {};
  }

  /// Moves along a direction as far as the objective falls: a part of the whole way, with what
  /// leaves its cone stopped at the edge, or else up to the first edge. Returns whether it moved;
  /// `settled` says whether no atom changed its face.
  bool advance(const Vector<double>& direction, Position& now, bool& settled) {
    constexpr int kHalvings = 12;
    std::vector<Eigen::Vector2d> steps;
    double first_edge = 1;
    Index row = 0;
    for (const Atom& atom : m_atoms) {
      Eigen::Vector2d step(direction[row], 0);
      if (dimension(atom) == 2) step[1] = direction[row + 1];
      row += dimension(atom);
      first_edge = std::min(first_edge, reach(atom, step));
      steps.push_back(step);
    }
    const auto attempt = [&](double part, bool stop) {
      std::vector<Atom> atoms;
      bool kept = true;
      for (std::size_t k = 0; k < m_atoms.size(); ++k) {
        Atom atom = m_atoms[k];
        const bool at_edge = stop && reach(atom, steps[k]) <= part * (1 + 1e-12);
        atom.z += part * steps[k];
        if (at_edge && atom.face == Face::Gap) {
          // Which edge it is, rounding must not decide.
          const double h = width(atom.place);
          const bool near = atom.z[1] < 0.5 * h * atom.z[0];
          atom.z[1] = near ? 0 : h * atom.z[0];
        } else if (at_edge && atom.face == Face::Affine) {
          (atom.z[0] < atom.z[1] ? atom.z[0] : atom.z[1]) = 0;
        } else if (at_edge) {
          atom.z[0] = 0;
        }
        if (settle(atom)) kept = false;
        if (atom.z[0] > 0 || atom.z[1] > 0) atoms.push_back(atom);
      }
      Position next = position(atoms);
      const double rounding = 1e-15 * std::abs(now.network.primal);
      const double change = next.network.primal - now.network.primal;
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
    double part = first_edge < 1 && first_edge > 0 ? 0.5 * first_edge : 0.5;
    for (int halving = 0; halving < kHalvings; ++halving, part *= 0.5) {
      if (attempt(part, false)) return true;
    }
    settled = true;
    return false;
  }

  /// Lets kinks leave samples where the correlation grows into a gap, and adds neurons where it is
  /// above lambda and there is none. Returns whether anything changed.
  bool release(const DualFunction& z, std::vector<Atom>& atoms) const {
    bool changed = false;
    const Index m = m_samples.size();
    const double rise = 1 + std::max(m_slack, 1e-14);
    for (Atom& atom : atoms) {
      if (atom.face == Face::Direction) {
        if (!(atom.z[0] > 0)) continue;
        atom.z = coordinates(atom);
        atom.face = atom.everywhere ? Face::Affine : Face::Gap;
        settle(atom);
        changed = true;
        continue;
      }
      if (atom.face != Face::Sample) continue;
      const Index i = atom.place;
      double best = z.relative(atom.side, i) * rise;
      if (!(atom.sign * z.at(atom.side, i) > 0)) continue;
      Index gap = -1;
      for (const Index g : {i - 1, i}) {
        HingePeak peak;
        if (g < 0 || g + 1 >= m || !z.peak_inside(atom.side, g, peak)) continue;
        if (peak.sign == atom.sign && peak.value > best) {
          best = peak.value;
          gap = g;
        }
      }
      const bool outermost = right(atom) ? i == 0 : i == m - 1;
      const auto all = z.affine_peak();
      if (outermost && all.sign == atom.sign && all.value > best) {
        const double value = atom.z[0] * m_length;
        atom.z << (right(atom) ? 0 : value), (right(atom) ? value : 0);
        atom.face = Face::Affine;
        changed = true;
      } else if (gap >= 0) {
        const bool near = right(atom) ? gap == i - 1 : gap == i;
        atom.z[1] = near ? 0 : atom.z[0] * width(gap);
        atom.face = Face::Gap;
        atom.place = gap;
        changed = true;
      }
    }

    const double limit = m_lambda * rise;
    std::vector<Atom> added;
    const auto missing = [&](HingeSide side, double sign, Index position, bool inside) {
      const Index from = inside ? position : position - 1;
      const Index to = inside ? position : position + 1;
      for (const Atom& atom : atoms) {
        if (atom.sign != sign) continue;
        if (affine(atom)) {
          const Index end = side == HingeSide::Right ? 0 : 2 * (m - 1);
          if (position == end) return false;
        } else if (atom.side == side && place(atom) >= from && place(atom) <= to) {
          return false;
        }
      }
      return true;
    };
    const auto add = [&](HingeSide side, const HingePeak& peak) {
      Atom atom;
      atom.side = side;
      atom.sign = peak.sign;
      atom.place = peak.place;
      if (!missing(side, peak.sign, 2 * peak.place + (peak.inside ? 1 : 0), peak.inside)) return;
      if (peak.inside) {
        atom.face = Face::Direction;
        atom.along << 1, (right(atom) ? edge(atom) - peak.kink : peak.kink - edge(atom));
      }
      added.push_back(atom);
    };
    for (const HingeSide side : {HingeSide::Right, HingeSide::Left}) {
      z.for_each_peak(side, limit, [&](const HingePeak& peak) { add(side, peak); });
      const Index i = side == HingeSide::Right ? 0 : m - 1;
      const double value = z.relative(side, i);
      const double sign = z.at(side, i) > 0 ? 1 : -1;
      if (value > limit) add(side, {m_samples.x[i], value, sign, i, false});
    }
    const auto all = z.affine_peak();
    if (all.value > limit) {
      bool present = false;
      for (const Atom& atom : atoms) present = present || (affine(atom) && atom.sign == all.sign);
      if (!present) {
        Atom atom;
        atom.face = Face::Direction;
        atom.everywhere = true;
        atom.sign = all.sign;
        atom.along << all.a * first() + all.b, all.a * last() + all.b;
        if (atom.along.minCoeff() > 0) added.push_back(atom);
      }
    }
    atoms.insert(atoms.end(), added.begin(), added.end());
    return changed || !added.empty();
  }

  /// Samples have even, gaps odd numbers.
  static Index place(const Atom& atom) {
    return 2 * atom.place + (atom.face == Face::Sample ? 0 : 1);
  }

  /// Adds up atoms in one cone. Returns whether there were any.
  bool join(const DualFunction& z, std::vector<Atom>& atoms) const {
    const auto rank = [&](const Atom& atom) {
      return 4 * (atom.sign > 0 ? 0 : 1) + (affine(atom) ? 2 : right(atom) ? 0 : 1);
    };
    std::stable_sort(atoms.begin(), atoms.end(), [&](const Atom& k, const Atom& l) {
      if (rank(k) != rank(l)) return rank(k) < rank(l);
      return !affine(k) && place(k) < place(l);
    });
    std::vector<Atom> joined;
    for (const Atom& atom : atoms) {
      if (joined.empty() || rank(joined.back()) != rank(atom) || !join(z, joined.back(), atom)) {
        joined.push_back(atom);
      }
    }
    const bool changed = joined.size() < atoms.size();
    atoms = std::move(joined);
    return changed;
  }

  bool join(const DualFunction& z, Atom& one, const Atom& other) const {
    if (affine(one)) {
      one.z = coordinates(one) + coordinates(other);
      one.face = Face::Affine;
      return true;
    }
    const Index from = place(one);
    const Index to = place(other);
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
      HingePeak peak;
      const bool inside = z.peak_inside(one.side, gap, peak) && peak.sign == one.sign;
      if (m_slack > 0 && !(inside && peak.value > m_lambda * (1 + m_slack))) return false;
    }
    const auto inside = [&](const Atom& atom) -> Eigen::Vector2d {
      if (atom.face != Face::Sample) return coordinates(atom);
      const bool near = right(atom) ? atom.place == gap + 1 : atom.place == gap;
      return {atom.z[0], near ? 0 : atom.z[0] * width(gap)};
    };
    one.z = inside(one) + inside(other);
    one.face = Face::Gap;
    one.place = gap;
    return true;
  }

  const TrendSamples& m_samples;
  double m_lambda;
  bool m_output_bias;
  double m_slack;
  double m_length;
  TrendNetwork m_best;
  TrendBound m_bound;
  std::vector<Atom> m_atoms;
  double m_evaluated = 0;
};

}  // namespace mgdl::detail
