#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_interior_point.hpp"
#include "mgdl/detail/trend_filter_knots.hpp"
#include "mgdl/detail/trend_filter_network.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// What an interior point comes down to.
struct TrendRecovery {
  TrendNetwork network;                     ///< the neurons in use, without their objective
  std::vector<double> knots;                ///< where hinges were joined
  std::vector<KnotProblem::Affine> affine;  ///< directions of joined affine neurons
};

/// Change of slope at a knot, by a right and a left hinge.
struct TrendKink {
  double at = 0;
  double right = 0;
  double left = 0;

  double slope() const noexcept { return right + left; }
  bool opposed() const noexcept { return right * left < 0; }
};

/// How much a neuron matters to the penalty, relative to what its slack does to its constraint.
/// Near the optimum one of the two vanishes: neurons with more than 1 are in use.
inline double evidence(const TrendInteriorPoint::Use& use, double penalty) {
  return std::abs(use.factor) * use.cost / (use.slack * penalty);
}

/// The hinges in use. What the others contribute goes to the neighbours in use, so that f changes
/// only between these, and by a straight line.
inline std::vector<TrendKink> kinks_in_use(const KnotProblem& problem,
                                           const TrendInteriorPoint& point) {
  std::vector<TrendKink> kinks;
  std::vector<TrendKink> spare;  // since the last kink in use
  const auto give = [](TrendKink& kink, double slope) {
    (kink.right != 0 ? kink.right : kink.left) += slope;
  };
  const double penalty = point.penalty();
  const Index K = problem.knots.size();
  for (Index k = 0; k < K; ++k) {
    TrendKink kink{problem.knots[k], 0, 0};
    TrendKink rest{problem.knots[k], 0, 0};
    const auto sort = [&](const TrendInteriorPoint::Use& use, double& used, double& unused) {
      (evidence(use, penalty) > 1 ? used : unused) = use.factor;
    };
    sort(point.use(k), kink.right, rest.right);
    sort(point.use(K + k), kink.left, rest.left);
    spare.push_back(rest);
    if (kink.right == 0 && kink.left == 0) continue;
    for (const TrendKink& unused : spare) {
      const double share =
          kinks.empty() ? 1 : (unused.at - kinks.back().at) / (kink.at - kinks.back().at);
      give(kink, share * unused.slope());
      if (!kinks.empty()) give(kinks.back(), (1 - share) * unused.slope());
    }
    spare.clear();
    kinks.push_back(kink);
  }
  if (!kinks.empty()) {
    for (const TrendKink& unused : spare) give(kinks.back(), unused.slope());
  }
  return kinks;
}

/// Joins kinks of one sign in one gap between samples: on the samples they act like their sum,
/// which costs no more than they do. `at_samples`: also kinks at the samples that bound the gap.
/// Returns where kinks were joined.
inline std::vector<double> join_kinks(const TrendSamples& samples, bool at_samples,
                                      std::vector<TrendKink>& kinks) {
  std::vector<double> places;
  const double* const begin = samples.x.data();
  const double* const end = begin + samples.size();
  std::size_t groups = 0;
  for (std::size_t k = 0; k < kinks.size();) {
    TrendKink group = kinks[k];
    const double* const next = std::upper_bound(begin, end, group.at);
    const bool alone = group.opposed() || (!at_samples && *(next - 1) == group.at);
    double moment = group.at * group.slope();
    const std::size_t first = k++;
    for (; !alone && k < kinks.size(); ++k) {
      const TrendKink& kink = kinks[k];
      if (at_samples ? kink.at > *next : kink.at >= *next) break;
      const bool shared =
          (kink.right != 0 && group.right != 0) || (kink.left != 0 && group.left != 0);
      if (!shared || kink.opposed() || !(kink.slope() * group.slope() > 0)) break;
      group.right += kink.right;
      group.left += kink.left;
      moment += kink.at * kink.slope();
    }
    if (k > first + 1) {
      group.at = moment / group.slope();
      places.push_back(group.at);
    }
    kinks[groups++] = group;
  }
  kinks.resize(groups);
  return places;
}

/// Where a kink's right and left hinge have the same sign, slope can be moved from one to the other
/// at the same cost. Moved at three kinks at a time, so that the lines x - kink that this adds
/// cancel, until at most two kinks have both hinges.
inline void part_sides(std::vector<TrendKink>& kinks) {
  std::vector<TrendKink*> both;
  for (TrendKink& kink : kinks) {
    if (!(kink.right * kink.left > 0)) continue;
    both.push_back(&kink);
    if (both.size() < 3) continue;
    const double rate[3] = {both[2]->at - both[1]->at, both[0]->at - both[2]->at,
                            both[1]->at - both[0]->at};  // from right to left
    const auto source = [&](std::size_t i) -> double& {
      return rate[i] * both[i]->right > 0 ? both[i]->right : both[i]->left;
    };
    const auto reach = [&](std::size_t i) { return std::abs(source(i) / rate[i]); };
    std::size_t emptied = 0;
    for (std::size_t i = 1; i < 3; ++i) {
      if (reach(i) < reach(emptied)) emptied = i;
    }
    const double step = reach(emptied);
    double& gone = source(emptied);
    for (std::size_t i = 0; i < 3; ++i) {
      both[i]->left += step * rate[i];
      both[i]->right -= step * rate[i];
    }
    gone = 0;
    both.erase(both.begin() + static_cast<std::ptrdiff_t>(emptied));
  }
}

/// The network of an interior point, with as few neurons as represent it; without `join_at_samples`
/// kinks at samples stay where they are.
inline TrendRecovery recover(const TrendSamples& samples, const KnotProblem& problem,
                             const TrendInteriorPoint& point, bool join_at_samples) {
  TrendRecovery result;
  const double penalty = point.penalty();
  std::vector<TrendKink> kinks = kinks_in_use(problem, point);
  result.knots = join_kinks(samples, join_at_samples, kinks);
  part_sides(kinks);
  auto& neurons = result.network.neurons;
  const auto add = [&](double at, double slope, double direction) {
    const double a = direction * std::abs(slope);
    if (a != 0) neurons.push_back({a, -a * at, slope > 0 ? 1.0 : -1.0});
  };
  for (const TrendKink& kink : kinks) {
    add(kink.at, kink.right, 1);
    add(kink.at, kink.left, -1);
  }
  // Neurons that are active on all samples add up to one of each sign.
  for (const double sign : {1.0, -1.0}) {
    TrendNetwork::Neuron sum{0, 0, sign};
    int joined = 0;
    for (Index j = 0; j < static_cast<Index>(problem.affine.size()); ++j) {
      const auto use = point.use(2 * problem.knots.size() + j);
      if (!(use.factor * sign > 0 && evidence(use, penalty) > 1)) continue;
      sum.a += std::abs(use.factor) * problem.affine.data()[j].a;
      sum.b += std::abs(use.factor) * problem.affine.data()[j].b;
      ++joined;
    }
    if (joined == 0) continue;
    neurons.push_back(sum);
    const double norm = std::hypot(sum.a, sum.b);
    if (joined > 1) result.affine.push_back({sum.a / norm, sum.b / norm});
  }
  return result;
}

/// Makes up for the straight line that the network lacks to the values `first` and `last` at the
/// outermost samples; with a bias, for its slope. At a kink t, (x - t)_+ and -(t - x)_+ make the
/// line x - t, and cost nothing where they take from one hinge what they give to the other: two
/// kinks are enough.
inline void add_line(TrendNetwork& network, const TrendSamples& samples, double first, double last,
                     bool output_bias) {
  const double begin = samples.x[0];
  const double end = samples.x[samples.size() - 1];
  std::vector<Index> hinges;
  const auto size = static_cast<Index>(network.neurons.size());
  for (Index k = 0; k < size; ++k) {
    const double kink = network.neurons.data()[k].kink();
    if (kink > begin && kink < end) hinges.push_back(k);
  }
  const auto kink = [&](Index k) { return network.neurons.data()[k].kink(); };
  std::sort(hinges.begin(), hinges.end(), [&](Index k, Index l) { return kink(k) < kink(l); });
  if (hinges.empty()) return;
  const Index one = hinges.front();
  const Index two = hinges.back();
  const Vector<double> values = evaluate(network.neurons, Vector<double>{{begin, end}});
  const double slope = ((last - values[1]) - (first - values[0])) / (end - begin);
  const auto add = [&](Index k, double line) {
    TrendNetwork::Neuron& neuron = network.neurons.data()[k];
    const double t = neuron.kink();
    const double direction = neuron.side() == HingeSide::Right ? 1 : -1;
    const double a = std::abs(neuron.a) + direction * neuron.sign * line;
    if (!(a > 0)) return;
    neuron.a = direction * a;
    neuron.b = -neuron.a * t;
    const double partner = -direction * line;  // slope of the hinge on the other side
    const double b = -direction * std::abs(partner);
    network.neurons.push_back({b, -b * t, partner > 0 ? 1.0 : -1.0});
  };
  if (output_bias) {
    add(one, slope);
  } else if (kink(two) > kink(one)) {
    // slope_one (x - t_one) + slope_two (x - t_two)
    const double at_one = (first - values[0]) + slope * (kink(one) - begin);
    const double for_two = -at_one / (kink(two) - kink(one));
    add(one, slope - for_two);
    add(two, for_two);
  }
}

/// The kinks of a network, those that seem to be one kink of the optimum joined at their centre:
/// between them z, the dual constraint, stays within the part `margin` of its bound lambda.
inline std::vector<double> joined_kinks(const TrendSamples& samples, const TrendNetwork& network,
                                        const DualFunction& z, double lambda, double margin) {
  const double first = samples.x[0];
  const double last = samples.x[samples.size() - 1];
  std::vector<double> kinks;
  for (const HingeSide side : {HingeSide::Right, HingeSide::Left}) {
    for (const double sign : {1.0, -1.0}) {
      std::vector<TrendNetwork::Neuron> hinges;
      for (const auto& neuron : network.neurons) {
        if (neuron.side() != side || neuron.sign != sign) continue;
        if (neuron.kink() > first && neuron.kink() < last) hinges.push_back(neuron);
      }
      std::sort(hinges.begin(), hinges.end(),
                [](const auto& k, const auto& l) { return k.kink() < l.kink(); });
      for (std::size_t k = 0; k < hinges.size();) {
        double a = hinges[k].a;
        double moment = a * hinges[k].kink();
        std::size_t next = k + 1;
        for (; next < hinges.size(); ++next) {
          const double lowest =
              z.smallest_between(side, sign, hinges[next - 1].kink(), hinges[next].kink());
          if (!(lowest >= lambda * (1 - margin))) break;
          a += hinges[next].a;
          moment += hinges[next].a * hinges[next].kink();
        }
        kinks.push_back(moment / a);
        k = next;
      }
    }
  }
  return kinks;
}

}  // namespace mgdl::detail
