#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/bounds/relaxation.hpp"

namespace mgdl::detail {

/// Encloses the maxima of m functions over a box of inputs, by cutting it in halves.
///
/// The boxes that are left cover the whole one, so at any time the largest of their bounds is a
/// bound, and the largest value met anywhere is below the maximum. Whichever function is farthest
/// from its tolerance has its worst box cut next, across the input that its bound owes most to; a
/// box inherits its parent's bounds, so that they never become worse. A round cuts a fixed number
/// of boxes, whose halves are shared by the threads: the result does not depend on their number.
template <class Real>
class BoxSearch {
 public:
  /// What is searched. `bound` may be called by several threads at once.
  struct Problem {
    FunctionRef<BoxBounds<Real>(const RowVector<Real>& lower, const RowVector<Real>& upper)> bound;
    /// Values at points (n x d) of the box, n x m; may move points that cannot be met exactly.
    FunctionRef<RowMatrix<Real>(RowMatrix<Real>& points)> values;
    /// What tolerances are relative to, given the largest values so far: m.
    FunctionRef<RowVector<Real>(const RowVector<Real>& attained)> unit;
  };

  struct Limits {
    Index max_boxes;
    double relative_tolerance;
    double time_limit_seconds;
  };

  RowVector<Real> upper;     // m: proven
  RowVector<Real> attained;  // m: values met
  RowMatrix<Real> points;    // m x d: where
  Index boxes = 0;
  Termination termination = Termination::NotRun;
  double elapsed_seconds = 0;

  BoxSearch(const Problem& problem, Index functions, const RowVector<Real>& lower,
            const RowVector<Real>& upper_side, const Limits& limits, const Executor& threads);

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr std::size_t kCuts = 16;  // in a round

  struct Half {
    RowVector<Real> lower, upper;
  };

  /// A box; `cut` is the input to cut it at, -1 if nothing is gained by that.
  struct Leaf {
    RowVector<Real> lower, upper, bounds;
    Index cut = -1;
    bool open = true;  // not cut yet
  };

  /// The largest bound first; of equal ones the oldest box.
  struct Entry {
    double bound;
    Index leaf;
    bool operator<(const Entry& other) const {
      return bound < other.bound || (bound == other.bound && leaf > other.leaf);
    }
  };

  Leaf& at(Index i) { return m_leaves[static_cast<std::size_t>(i)]; }

  static double middle_of(const Leaf& leaf, Index input) {
    return leaf.lower[input] / 2 + leaf.upper[input] / 2;
  }

  /// Bounds the boxes and puts them where they can be chosen.
  void add(const std::vector<Half>& halves, const std::vector<Index>& parents,
           const Executor& threads) {
    const auto count = static_cast<Index>(halves.size());
    std::vector<BoxBounds<Real>> found(halves.size());
    threads.pool().parallel_for(count, [&](Index i, int) {
      const Half& half = halves[static_cast<std::size_t>(i)];
      found[static_cast<std::size_t>(i)] = m_problem.bound(half.lower, half.upper);
    });
    boxes += count;
    const Index d = points.cols();
    const Index functions = attained.size();
    RowMatrix<Real> tried(count * (functions + 1), d);
    for (Index i = 0; i < count; ++i) {
      const Half& half = halves[static_cast<std::size_t>(i)];
      BoxBounds<Real>& box = found[static_cast<std::size_t>(i)];
      Leaf leaf{half.lower, half.upper, box.upper};
      if (!parents.empty()) {
        Leaf& parent = at(parents[static_cast<std::size_t>(i)]);
        parent.open = false;
        leaf.bounds = leaf.bounds.cwiseMin(parent.bounds);
      }
      leaf.cut = cut_of(leaf, box.scores);
      const auto number = static_cast<Index>(m_leaves.size());
      for (Index f = 0; f < functions; ++f) {
        auto& queue = m_queues[static_cast<std::size_t>(f)];
        queue.push_back({leaf.bounds[f], number});
        std::push_heap(queue.begin(), queue.end());
      }
      tried.middleRows(i * (functions + 1), box.corners.rows()) = box.corners;
      for (Index row = box.corners.rows(); row <= functions; ++row) {
        tried.row(i * (functions + 1) + row) = half.lower / 2 + half.upper / 2;
      }
      m_leaves.push_back(std::move(leaf));
    }
    try_points(tried);
  }

  /// The input with the largest score that can still be cut.
  static Index cut_of(const Leaf& leaf, const RowVector<Real>& scores) {
    Index best = -1;
    for (Index i = 0; i < scores.size(); ++i) {
      const double middle = middle_of(leaf, i);
      if (!(scores[i] > 0) || !(middle > leaf.lower[i] && middle < leaf.upper[i])) continue;
      if (best < 0 || scores[i] > scores[best]) best = i;
    }
    return best;
  }

  /// Remembers the largest values. Values that are not finite are none.
  void try_points(RowMatrix<Real>& tried) {
    const RowMatrix<Real> values = m_problem.values(tried);
    for (Index row = 0; row < values.rows(); ++row) {
      for (Index f = 0; f < values.cols(); ++f) {
        if (!(values(row, f) > attained[f]) || !std::isfinite(values(row, f))) continue;
        attained[f] = values(row, f);
        points.row(f) = tried.row(row);
      }
    }
  }

  /// Values at random points, and from the best of them upwards along the axes.
  void look_around(const RowVector<Real>& lower, const RowVector<Real>& upper_side) {
    constexpr Index kPoints = 256;
    constexpr int kSteps = 40;
    const Index d = lower.size();
    RandomStream random(/*seed=*/0, /*stream=*/0xB0C5);
    RowMatrix<Real> tried(kPoints, d);
    for (Index i = 0; i < kPoints; ++i) {
      for (Index j = 0; j < d; ++j) {
        tried(i, j) = lower[j] + random.uniform() * (upper_side[j] - lower[j]);
      }
    }
    try_points(tried);
    RowVector<Real> step = RowVector<Real>::Constant(attained.size(), 0.25);
    for (int k = 0; k < kSteps; ++k) {
      const RowVector<Real> before = attained;
      tried.resize(2 * d * attained.size(), d);
      for (Index row = 0; row < tried.rows(); ++row) {
        const Index f = row / (2 * d);
        const Index j = row / 2 % d;
        const double change = step[f] * (upper_side[j] - lower[j]) * (row % 2 == 0 ? 1 : -1);
        tried.row(row) = points.row(f);
        tried(row, j) = std::clamp(tried(row, j) + change, lower[j], upper_side[j]);
      }
      try_points(tried);
      for (Index f = 0; f < attained.size(); ++f) {
        if (!(attained[f] > before[f])) step[f] /= 2;
      }
    }
  }

  /// The largest bound of a function over all boxes.
  double worst(Index f) {
    return exhausted(f) ? -kInfinity : m_queues[static_cast<std::size_t>(f)].front().bound;
  }

  /// How far the function's bound is above its largest value, in what tolerances are relative to.
  double relative_gap(Index f, const RowVector<Real>& unit) {
    const double gap = worst(f) - attained[f];
    return gap > 0 ? gap / std::max<double>(unit[f], std::numeric_limits<double>::min()) : 0;
  }

  bool reached(double tolerance) {
    const RowVector<Real> unit = m_problem.unit(attained);
    for (Index f = 0; f < attained.size(); ++f) {
      if (relative_gap(f, unit) > tolerance) return false;
    }
    return true;
  }

  /// The boxes to cut next; none, and the reason in `termination`, at the end.
  std::vector<Index> choose(const Limits& limits) {
    const RowVector<Real> unit = m_problem.unit(attained);
    std::vector<Index> chosen;
    const Index left = (limits.max_boxes - boxes) / 2;
    while (chosen.size() < kCuts) {
      Index best = -1;
      double largest = limits.relative_tolerance;
      for (Index f = 0; f < attained.size(); ++f) {
        if (m_settled[static_cast<std::size_t>(f)] || exhausted(f)) continue;
        const double gap = relative_gap(f, unit);
        if (!(gap > largest)) continue;
        largest = gap;
        best = f;
      }
      if (best < 0) break;
      const Index leaf = m_queues[static_cast<std::size_t>(best)].front().leaf;
      if (at(leaf).cut < 0) {
        m_settled[static_cast<std::size_t>(best)] = true;  // rounding is what is left
        continue;
      }
      if (static_cast<Index>(chosen.size()) == left) {
        if (chosen.empty()) termination = Termination::MaxIterations;
        break;
      }
      at(leaf).open = false;
      chosen.push_back(leaf);
    }
    if (chosen.empty() && termination == Termination::NotRun) {
      termination = reached(limits.relative_tolerance) ? Termination::ToleranceReached
                                                       : Termination::NoProgress;
    }
    return chosen;
  }

  /// Whether all boxes of a round have been chosen already.
  bool exhausted(Index f) {
    auto& queue = m_queues[static_cast<std::size_t>(f)];
    while (!queue.empty() && !at(queue.front().leaf).open) {
      std::pop_heap(queue.begin(), queue.end());
      queue.pop_back();
    }
    return queue.empty();
  }

  Stopwatch m_clock;
  Problem m_problem;
  std::vector<Leaf> m_leaves;
  std::vector<std::vector<Entry>> m_queues;  // heaps, one for each function
  std::vector<bool> m_settled;
};

template <class Real>
BoxSearch<Real>::BoxSearch(const Problem& problem, Index functions, const RowVector<Real>& lower,
                           const RowVector<Real>& upper_side, const Limits& limits,
                           const Executor& threads)
    : upper(RowVector<Real>::Constant(functions, kInfinity)),
      attained(RowVector<Real>::Constant(functions, -kInfinity)),
      points(lower.replicate(functions, 1)),
      m_problem(problem),
      m_queues(static_cast<std::size_t>(functions)),
      m_settled(static_cast<std::size_t>(functions), false) {
  add({{lower, upper_side}}, {}, threads);
  look_around(lower, upper_side);
  while (termination == Termination::NotRun) {
    const std::vector<Index> chosen = choose(limits);
    if (chosen.empty()) break;
    std::vector<Half> halves;
    std::vector<Index> parents;
    for (const Index i : chosen) {
      const Leaf& leaf = at(i);
      const double middle = middle_of(leaf, leaf.cut);
      Half low{leaf.lower, leaf.upper};
      Half high = low;
      low.upper[leaf.cut] = middle;
      high.lower[leaf.cut] = middle;
      halves.push_back(std::move(low));
      halves.push_back(std::move(high));
      parents.insert(parents.end(), {i, i});
    }
    add(halves, parents, threads);
    if (m_clock.seconds() >= limits.time_limit_seconds && !reached(limits.relative_tolerance)) {
      termination = Termination::TimeLimit;
    }
  }
  for (Index f = 0; f < functions; ++f) upper[f] = worst(f);
  elapsed_seconds = m_clock.seconds();
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class BoxSearch<double>;
}  // namespace mgdl::detail
#endif
