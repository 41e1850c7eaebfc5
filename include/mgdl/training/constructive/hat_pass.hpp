#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/constructive/hat_network.hpp"
#include "mgdl/training/constructive/kuhn_triangulation.hpp"

namespace mgdl::detail {

/// Samples in a lattice: which nodes have one in their support, and with what weight.
class HatLattice {
 public:
  /// points: n x d; spacing: a power of two
  template <class Real = double>
  HatLattice(const RowMatrix<double>& points, double spacing)
      : m_corners(points.cols() + 1),
        m_node(static_cast<std::size_t>(points.rows() * m_corners), -1),
        m_weight(m_node.size(), 0) {
    struct Corner {
      KuhnNode node;
      std::size_t slot;
    };
    std::vector<Corner> corners;
    corners.reserve(m_node.size());
    for (Index i = 0; i < points.rows(); ++i) {
      const KuhnSimplex simplex = kuhn_simplex(points.row(i).data(), points.cols(), spacing);
      for (Index k = 0; k < m_corners; ++k) {
        const auto corner = static_cast<std::size_t>(k);
        if (!(simplex.weights[corner] > 0)) continue;
        const auto slot = static_cast<std::size_t>(i * m_corners + k);
        m_weight[slot] = simplex.weights[corner];
        corners.push_back({simplex.corners[corner], slot});
      }
    }
    std::sort(corners.begin(), corners.end(), [](const Corner& a, const Corner& b) {
      return a.node < b.node || (a.node == b.node && a.slot < b.slot);
    });
    for (const Corner& corner : corners) {
      if (m_nodes.empty() || m_nodes.back() != corner.node) m_nodes.push_back(corner.node);
      m_node[corner.slot] = static_cast<Index>(m_nodes.size()) - 1;
    }
  }

  /// In lexicographic order.
  const std::vector<KuhnNode>& nodes() const noexcept { return m_nodes; }
  Index size() const noexcept { return static_cast<Index>(m_nodes.size()); }

  /// Number of the node, -1 if no sample is in its support.
  Index find(const KuhnNode& node) const {
    const auto at = std::lower_bound(m_nodes.begin(), m_nodes.end(), node);
    return at != m_nodes.end() && *at == node ? static_cast<Index>(at - m_nodes.begin()) : -1;
  }

  /// Calls visit(node, weight) for every node whose hat is positive at sample i.
  template <class Visit>
  void for_each_node(Index i, const Visit& visit) const {
    for (Index k = 0; k < m_corners; ++k) {
      const auto slot = static_cast<std::size_t>(i * m_corners + k);
      if (m_node[slot] >= 0) visit(m_node[slot], m_weight[slot]);
    }
  }

  /// sum_j values_j * hat_j(x_i): n x c, for values (nodes x c).
  template <class Real = double>
  RowMatrix<Real> evaluate(const RowMatrix<double>& values) const {
    const Index n = static_cast<Index>(m_node.size()) / m_corners;
    RowMatrix<double> sum = RowMatrix<double>::Zero(n, values.cols());
    for (Index i = 0; i < n; ++i) {
      for_each_node(i, [&](Index j, double weight) { sum.row(i) += weight * values.row(j); });
    }
    return sum;
  }

 private:
  Index m_corners;
  std::vector<Index> m_node;     // n x (d + 1), -1 where the weight is 0
  std::vector<double> m_weight;  // n x (d + 1)
  std::vector<KuhnNode> m_nodes;
};

/// Nodes whose residuals are all within this part of the largest one wait for a later pass. Any
/// part up to 1/2 leaves what a pass proves as it is; this one needs the fewest hats in most of
/// what was measured.
inline constexpr double kWaits = 0.125;

/// Largest residual of each output beyond `floors`.
template <class Real = double>
RowVector<double> excess(const RowMatrix<double>& residual, const RowMatrix<double>& floors) {
  return (residual.cwiseAbs() - floors).colwise().maxCoeff().cwiseMax(0.0);
}

/// What no function of the inputs can take away: max - min of |r| among samples with equal inputs,
/// max |r| if their signs differ, and so 0 for a sample that is alone. n x c.
template <class Real = double>
RowMatrix<double> residual_floors(const RowMatrix<double>& points,
                                  const RowMatrix<double>& residual) {
  const DistinctRows groups(points);
  RowMatrix<double> floors(residual.rows(), residual.cols());
  for (Index g = 0; g < groups.size(); ++g) {
    const auto group = static_cast<std::size_t>(g);
    const std::span<const Index> rows(groups.order.data() + groups.first[group],
                                      groups.order.data() + groups.first[group + 1]);
    RowVector<double> least = residual.row(rows[0]);
    RowVector<double> most = least;
    for (const Index i : rows) {
      least = least.cwiseMin(residual.row(i));
      most = most.cwiseMax(residual.row(i));
    }
    for (const Index i : rows) floors.row(i) = (most - least).cwiseMin(most.cwiseMax(-least));
  }
  return floors;
}

/// A pass over all nodes of a lattice: the height of every hat,
///
///     s_j = sign * min |r_i| over the samples i in the support of hat j if all r_i have that sign,
///     s_j = 0 if not,
///
/// separately for each output; balanced: sign * min(2 min |r_i|, (min |r_i| + max |r_i|) / 2). At
/// every sample the sum of any of the hats is a convex combination of numbers between 0 and r_i
/// (balanced: 2 r_i), so it lies between them too.
struct HatPass {
  template <class Real = double>
  HatPass(HatLattice where, const RowMatrix<double>& residual, const RowMatrix<double>& floors,
          bool balanced)
      : lattice(std::move(where)), before(excess(residual, floors)) {
    // Differences of this size are rounding of what was subtracted so far; their signs say nothing.
    const double zero = 4 * std::numeric_limits<double>::epsilon() * residual.cwiseAbs().maxCoeff();
    const Index c = residual.cols();
    const double infinity = std::numeric_limits<double>::infinity();
    RowMatrix<double> least = RowMatrix<double>::Constant(lattice.size(), c, infinity);
    RowMatrix<double> most = -least;
    RowMatrix<double> need = RowMatrix<double>::Zero(lattice.size(), c);
    for (Index i = 0; i < residual.rows(); ++i) {
      lattice.for_each_node(i, [&](Index j, double) {
        least.row(j) = least.row(j).cwiseMin(residual.row(i));
        most.row(j) = most.row(j).cwiseMax(residual.row(i));
        need.row(j) = need.row(j).cwiseMax(residual.row(i).cwiseAbs() - floors.row(i));
      });
    }
    values.setZero(lattice.size(), c);
    for (Index j = 0; j < lattice.size(); ++j) {
      for (Index k = 0; k < c; ++k) {
        const double sign = least(j, k) > zero ? 1 : most(j, k) < -zero ? -1 : 0;
        if (sign == 0 || need(j, k) <= kWaits * before[k]) continue;
        const double low = sign > 0 ? least(j, k) : -most(j, k);
        const double high = sign > 0 ? most(j, k) : -least(j, k);
        values(j, k) = sign * (balanced ? std::min(2 * low, (low + high) / 2) : low);
      }
    }
    const RowVector<double> after = excess(residual - lattice.evaluate(values), floors);
    left.setZero(c);
    for (Index k = 0; k < c; ++k) {
      if (before[k] > zero) left[k] = after[k] / before[k];
    }
  }

  HatLattice lattice;
  RowMatrix<double> values;  ///< s, nodes x c
  RowVector<double> before;  ///< each output's largest residual beyond the floors
  RowVector<double> left;    ///< the part of it after all hats; 0 where there was only rounding
};

/// A pass and its spacing.
struct ChosenPass {
  double spacing = 0;
  HatPass pass;
};

/// The pass over the coarsest lattice that halves what every output has beyond the floors. A
/// lattice that parts all different inputs takes all of it away; if inputs are too close for that,
/// the pass that leaves least. Nothing if there is nothing to take away.
///
/// points: n x d, residual: n x c, epsilon: rounding of the points
template <class Real = double>
std::optional<ChosenPass> choose_pass(const RowMatrix<double>& points,
                                      const RowMatrix<double>& residual, bool balanced,
                                      double epsilon) {
  const RowMatrix<double> floors = residual_floors(points, residual);
  const double extent = (points.colwise().maxCoeff() - points.colwise().minCoeff()).maxCoeff();
  const double finest = std::max(4 * epsilon * points.cwiseAbs().maxCoeff(), 0x1p-90);
  double spacing = std::exp2(std::ceil(std::log2(std::max(extent, 2 * finest))));
  std::optional<ChosenPass> best;
  for (; spacing >= finest; spacing /= 2) {
    HatPass pass(HatLattice(points, spacing), residual, floors, balanced);
    if (pass.left.maxCoeff() <= 0.5) return ChosenPass{spacing, std::move(pass)};
    const double least = best ? best->pass.left.mean() : 1;
    if (pass.left.mean() < least) best.emplace(ChosenPass{spacing, std::move(pass)});
  }
  return best;
}

/// Hats of the pass that the last grades of a model belong to.
struct PlacedHats {
  double spacing = 0;
  std::vector<KuhnNode> nodes;
  std::vector<RowVector<double>> values;  // of each node, in the model's standardised unit
  Index grades = 0;
};

/// Reads them off the weights; nothing if the last grade is of another kind. This is what spares
/// the trainer a memory: a pass goes on in a model that was stored and loaded as in the run that
/// began it.
template <class Scalar>
std::optional<PlacedHats> placed_hats(const MultigradeModel<Scalar>& model) {
  PlacedHats placed;
  for (Index k = model.grades(); k > 0; --k) {
    const auto coordinates = carried_coordinates(model, k - 1);
    if (!coordinates.complete()) return {};
    const auto grade = read_hats(coordinates, model.grade(k).network);
    if (!grade) return {};
    if (placed.grades == 0) {
      placed.spacing = grade->spacing;
      placed.grades = grade->position + 1;
    }
    // The positions have to count down to 0.
    const Index position = placed.grades - 1 - (model.grades() - k);
    if (grade->spacing != placed.spacing || grade->position != position) return {};
    for (std::size_t j = 0; j < grade->nodes.size(); ++j) {
      placed.nodes.push_back(grade->nodes[j]);
      placed.values.push_back(grade->values.row(static_cast<Index>(j)).template cast<double>());
    }
    if (grade->position == 0) return placed;
  }
  return {};
}

/// A pass at some grade: what it started from and which nodes are still to come.
struct UnfinishedPass {
  ChosenPass chosen;
  RowMatrix<double> start;  ///< residual at its start, n x c
  std::vector<Index> left;  ///< nodes of hats that are not placed yet
  Index position = 0;       ///< grades that it already has
};

/// Nodes whose hat is not zero, but for those in `placed` (sorted).
template <class Real = double>
std::vector<Index> nodes_left(const HatPass& pass, const std::vector<Index>& placed) {
  std::vector<Index> left;
  for (Index j = 0; j < pass.lattice.size(); ++j) {
    if ((pass.values.row(j).array() != 0).any() &&
        !std::binary_search(placed.begin(), placed.end(), j)) {
      left.push_back(j);
    }
  }
  return left;
}

/// The pass that the last grades of a model have begun, if they have, it is not at its end, and it
/// is a pass over these samples: on others its hats would have other heights.
///
/// points: n x d, residual: n x c, unit: size of the residual's unit in the model's
template <class Scalar>
std::optional<UnfinishedPass> continue_pass(const MultigradeModel<Scalar>& model, double unit,
                                            const RowMatrix<double>& points,
                                            const RowMatrix<double>& residual, bool balanced) {
  const auto placed = placed_hats(model);
  if (!placed) return {};
  // Far from the samples of the pass, nodes would not be integers any more.
  if (!(points.cwiseAbs().maxCoeff() < 0x1p52 * placed->spacing)) return {};
  HatLattice lattice(points, placed->spacing);
  RowMatrix<double> values = RowMatrix<double>::Zero(lattice.size(), residual.cols());
  std::vector<Index> numbers;
  for (std::size_t j = 0; j < placed->nodes.size(); ++j) {
    const Index number = lattice.find(placed->nodes[j]);
    if (number < 0) return {};
    numbers.push_back(number);
    values.row(number) = placed->values[j] / unit;
  }
  std::sort(numbers.begin(), numbers.end());
  if (std::adjacent_find(numbers.begin(), numbers.end()) != numbers.end()) return {};
  RowMatrix<double> start = residual + lattice.evaluate(values);
  HatPass pass(std::move(lattice), start, residual_floors(points, start), balanced);
  const double rounding = 256 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  for (const Index j : numbers) {
    const double difference = (pass.values.row(j) - values.row(j)).cwiseAbs().maxCoeff();
    if (!(difference <= rounding * start.cwiseAbs().maxCoeff())) return {};
  }
  std::vector<Index> left = nodes_left(pass, numbers);
  if (left.empty()) return {};
  return UnfinishedPass{
      {placed->spacing, std::move(pass)}, std::move(start), std::move(left), placed->grades};
}

/// The nodes of the pass's next grade. Those left are dealt in turn to the grades that they need,
/// by falling contribution to the sum of squares, so that every grade lowers it by about the same.
template <class Real = double>
std::vector<Index> next_share(const UnfinishedPass& work, const Vector<double>& weights,
                              Index hats) {
  const HatPass& pass = work.chosen.pass;
  Vector<double> gain = Vector<double>::Zero(pass.lattice.size());
  for (Index i = 0; i < work.start.rows(); ++i) {
    pass.lattice.for_each_node(i, [&](Index j, double weight) {
      gain[j] += weights[i] * weight * pass.values.row(j).dot(work.start.row(i));
    });
  }
  std::vector<Index> order = work.left;
  std::sort(order.begin(), order.end(),
            [&](Index a, Index b) { return gain[a] > gain[b] || (gain[a] == gain[b] && a < b); });
  const auto room = static_cast<std::size_t>(hats);
  const std::size_t grades = (order.size() + room - 1) / room;
  std::vector<Index> share;
  for (std::size_t k = 0; k < order.size(); k += grades) share.push_back(order[k]);
  return share;
}

}  // namespace mgdl::detail
