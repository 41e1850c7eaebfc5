#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/hat_network.hpp"
#include "mgdl/detail/hat_pass.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

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
inline std::vector<Index> nodes_left(const HatPass& pass, const std::vector<Index>& placed) {
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
inline std::vector<Index> next_share(const UnfinishedPass& work, const Vector<double>& weights,
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
