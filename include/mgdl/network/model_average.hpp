#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

/// \file
/// The mean of several models, those of a cross-validation say, as one model: whatever predicts,
/// bounds, stores or exports a model does so with their mean.

namespace mgdl {

/// One network whose output is the mean of the outputs of K members. Hidden layers are side by
/// side, and so are the features: those of member 1 first.
///
/// Every member reads inputs of its own, followed by `shared_inputs` that all of them read; the
/// network reads [own inputs of 1, ..., own inputs of K, shared inputs]. Where all inputs are
/// shared the first layer is a full one; where none are, and in all further hidden layers, a layer
/// of K groups. Where members differ in their sizes, or share only a part of their inputs, it is a
/// full one with zeros, K times the work. A member with fewer hidden layers than another one gets
/// the missing ones as identities behind its last one.
///
/// \param shared_inputs  from 0 to the inputs of each member
/// \throws InvalidArgument without members, for members of different outputs, or for other
///         `shared_inputs`
template <class Scalar>
ReluNetwork<Scalar> average(const std::vector<ReluNetwork<Scalar>>& members, Index shared_inputs);

/// The model whose prefix of k grades is the mean of the members' prefixes, for every k. Grade k is
/// average() of the members' grades k; a member that has fewer grades takes part with all of them
/// (and beyond them with weights that are zero). Errors of the grades are NaN.
///
/// \throws InvalidArgument without members, or for members that differ in standardisation or link
template <class Scalar>
MultigradeModel<Scalar> average(const std::vector<MultigradeModel<Scalar>>& members);

/// Member `index` (from 0) of the `count` members of an average() of networks of equal sizes.
///
/// Its hidden layers come back to the bit. The weights of its readout are those of the average
/// times `count`, which may round; detail::divisible_readout() makes readouts that do not. Its bias
/// is not in the average, only the mean of all members' is: `bias` is the member's own one, or, if
/// empty, this mean is taken.
///
/// \throws InvalidArgument for an index or a count that cannot be, for layers that cannot be
/// divided
///         and for weights other than zero between members
template <class Scalar>
ReluNetwork<Scalar> member(const ReluNetwork<Scalar>& network, Index index, Index count,
                           Index shared_inputs, const RowVector<Scalar>& bias = {});

/// The same for models. Errors of the grades are NaN.
///
/// \param biases  the bias of the member's readout in each grade; or none, see above
template <class Scalar>
MultigradeModel<Scalar> member(const MultigradeModel<Scalar>& model, Index index, Index count,
                               const std::vector<RowVector<Scalar>>& biases = {});

}  // namespace mgdl

namespace mgdl::detail {

/// The readout with weights that come back to the bit when they are divided by `count` and
/// multiplied by it again: each is `count` times a number that is short enough for that, which
/// changes it by at most 2 count roundings.
template <class Scalar>
DenseLayer<Scalar> divisible_readout(const DenseLayer<Scalar>& readout, Index count) {
  const int bits = std::numeric_limits<Scalar>::digits -
                   static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count - 1)));
  RowMatrix<Scalar> weights = readout.weights();
  for (Index i = 0; i < weights.size(); ++i) {
    Scalar& weight = weights.data()[i];
    int exponent = 0;
    const Scalar mantissa = std::frexp(weight / static_cast<Scalar>(count), &exponent);
    weight = std::ldexp(std::round(std::ldexp(mantissa, bits)), exponent - bits) *
             static_cast<Scalar>(count);
  }
  return {std::move(weights), readout.bias(), readout.groups()};
}

/// Layers side by side, where the last `shared` inputs of each are the same.
template <class Scalar>
DenseLayer<Scalar> side_by_side(const std::vector<DenseLayer<Scalar>>& layers, Index shared) {
  const DenseLayer<Scalar>& first = layers.front();
  Index own = 0;
  Index outputs = 0;
  bool equal = true;  // in their sizes
  bool ungrouped = true;
  for (const auto& layer : layers) {
    own += layer.inputs() - shared;
    outputs += layer.outputs();
    equal = equal && layer.group_inputs() == first.group_inputs() &&
            layer.outputs() == first.outputs() && layer.groups() == first.groups();
    ungrouped = ungrouped && layer.groups() == 1;
  }
  RowVector<Scalar> bias(outputs);
  const bool beside = (equal && shared == 0) || (ungrouped && own == 0);
  RowMatrix<Scalar> weights =
      RowMatrix<Scalar>::Zero(beside ? first.group_inputs() : own + shared, outputs);
  Index row = 0;
  Index column = 0;
  for (const auto& layer : layers) {
    const Index m = layer.outputs();
    bias.segment(column, m) = layer.bias();
    if (beside) {
      weights.middleCols(column, m) = layer.weights();
    } else {
      const Index n = layer.inputs() - shared;
      const RowMatrix<Scalar> dense = layer.dense_weights();
      weights.block(row, column, n, m) = dense.topRows(n);
      weights.block(own, column, shared, m) = dense.bottomRows(shared);
      row += n;
    }
    column += m;
  }
  const Index groups = shared == 0 && beside ? std::ssize(layers) * first.groups() : 1;
  return {std::move(weights), std::move(bias), groups};
}

/// The readouts' mean, one below the other.
template <class Scalar>
DenseLayer<Scalar> mean_readout(const std::vector<DenseLayer<Scalar>>& readouts) {
  Index inputs = 0;
  for (const auto& readout : readouts) inputs += readout.inputs();
  const Index outputs = readouts.front().outputs();
  const auto count = static_cast<Scalar>(readouts.size());
  RowMatrix<Scalar> weights(inputs, outputs);
  Eigen::RowVectorXd bias = Eigen::RowVectorXd::Zero(outputs);
  Index row = 0;
  for (const auto& readout : readouts) {
    weights.middleRows(row, readout.inputs()) = readout.dense_weights() / count;
    bias += readout.bias().template cast<double>();
    row += readout.inputs();
  }
  return {std::move(weights), (bias / static_cast<double>(count)).template cast<Scalar>()};
}

/// A network of the same sizes, but for its inputs, and with weights that are zero.
template <class Scalar>
ReluNetwork<Scalar> zero_network(const ReluNetwork<Scalar>& like, Index inputs) {
  std::vector<DenseLayer<Scalar>> layers;
  for (const auto& layer : like.layers()) {
    layers.emplace_back(RowMatrix<Scalar>::Zero(inputs, layer.outputs()),
                        RowVector<Scalar>::Zero(layer.outputs()));
    inputs = layer.outputs();
  }
  return ReluNetwork<Scalar>(std::move(layers));
}

/// What side_by_side() made of layer `index` of `count` equal ones.
template <class Scalar>
DenseLayer<Scalar> one_of(const DenseLayer<Scalar>& layer, Index index, Index count, Index shared,
                          const std::string& where) {
  const auto part = [&](Index all, const char* unit) {
    if (all % count == 0) return all / count;
    throw InvalidArgument("network",
                          std::string(unit) + " for " + std::to_string(count) + " equal members",
                          std::to_string(all), where);
  };
  const Index m = part(layer.outputs(), "units");
  const Index n = part(layer.inputs() - shared, "inputs");
  const RowVector<Scalar> bias = layer.bias().segment(index * m, m);
  if (shared == 0 && layer.groups() % count == 0) {
    return {layer.weights().middleCols(index * m, m), bias, layer.groups() / count};
  }
  const RowMatrix<Scalar> dense = layer.dense_weights().middleCols(index * m, m);
  RowMatrix<Scalar> weights(n + shared, m);
  weights.topRows(n) = dense.middleRows(index * n, n);
  weights.bottomRows(shared) = dense.bottomRows(shared);
  for (Index i = 0; i < n * count; ++i) {
    if (i / n == index || (dense.row(i).array() == 0).all()) continue;
    throw InvalidArgument("network", "no weights between members", "one that is not zero",
                          where + ", row " + std::to_string(i));
  }
  return {std::move(weights), bias};
}

template <class Scalar>
ReluNetwork<Scalar> member_of(const ReluNetwork<Scalar>& network, Index index, Index count,
                              Index shared, const RowVector<Scalar>& bias,
                              const std::string& where) {
  std::vector<DenseLayer<Scalar>> layers;
  for (const auto& layer : network.layers()) {
    if (&layer == &network.readout()) break;
    const std::string place = where + "layer " + std::to_string(layers.size() + 1);
    layers.push_back(one_of(layer, index, count, layers.empty() ? shared : 0, place));
  }
  const Index width = layers.back().outputs();
  layers.emplace_back(network.readout().dense_weights().middleRows(index * width, width) *
                          static_cast<Scalar>(count),
                      bias.size() > 0 ? bias : network.readout().bias());
  return ReluNetwork<Scalar>(std::move(layers));
}

inline void require_member(Index index, Index count) {
  require_option(count >= 1, "count", "a value >= 1", count);
  require_option(index >= 0 && index < count, "index", "a value from 0 to count - 1", index);
}

/// Networks with hidden layers of the same sizes: those that are smaller get units that are zero.
/// Unchanged if they differ in their number of layers.
template <class Scalar>
std::vector<ReluNetwork<Scalar>> equally_wide(std::vector<ReluNetwork<Scalar>> networks) {
  const std::size_t depth = networks.front().layers().size();
  std::vector<Index> widths(depth, 0);  // of what each layer reads
  bool equal = true;
  for (const auto& network : networks) {
    if (network.layers().size() != depth) return networks;
    for (std::size_t l = 0; l < depth; ++l) {
      const Index inputs = network.layers()[l].inputs();
      equal = equal && (widths[l] == 0 || widths[l] == inputs);
      widths[l] = std::max(widths[l], inputs);
    }
  }
  if (equal) return networks;
  for (auto& network : networks) {
    std::vector<DenseLayer<Scalar>> layers;
    for (std::size_t l = 0; l < depth; ++l) {
      const auto& layer = network.layers()[l];
      const Index outputs = l + 1 < depth ? widths[l + 1] : layer.outputs();
      RowMatrix<Scalar> weights = RowMatrix<Scalar>::Zero(widths[l], outputs);
      RowVector<Scalar> bias = RowVector<Scalar>::Zero(outputs);
      weights.topLeftCorner(layer.inputs(), layer.outputs()) = layer.dense_weights();
      bias.head(layer.outputs()) = layer.bias();
      layers.emplace_back(std::move(weights), std::move(bias));
    }
    network = ReluNetwork<Scalar>(std::move(layers));
  }
  return networks;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
ReluNetwork<Scalar> average(const std::vector<ReluNetwork<Scalar>>& members, Index shared_inputs) {
  if (members.empty()) throw InvalidArgument("members", "at least one network", "none");
  std::size_t depth = 0;
  for (std::size_t b = 0; b < members.size(); ++b) {
    const Index c = members.front().outputs();
    if (members[b].outputs() != c) {
      throw InvalidArgument("members", std::to_string(c) + " outputs, as the first has",
                            std::to_string(members[b].outputs()), "member " + std::to_string(b));
    }
    if (shared_inputs < 0 || shared_inputs > members[b].inputs()) {
      throw InvalidArgument("shared_inputs",
                            "a value from 0 to " + std::to_string(members[b].inputs()),
                            std::to_string(shared_inputs), "member " + std::to_string(b));
    }
    depth = std::max(depth, members[b].layers().size() - 1);
  }
  std::vector<DenseLayer<Scalar>> layers;
  std::vector<DenseLayer<Scalar>> together;
  for (std::size_t l = 0; l < depth; ++l) {
    together.clear();
    for (const auto& network : members) {
      if (l + 1 < network.layers().size()) {
        together.push_back(network.layers()[l]);
      } else {
        together.emplace_back(RowMatrix<Scalar>::Identity(network.width(), network.width()),
                              RowVector<Scalar>::Zero(network.width()));
      }
    }
    layers.push_back(detail::side_by_side(together, l == 0 ? shared_inputs : 0));
  }
  together.clear();
  for (const auto& network : members) together.push_back(network.readout());
  layers.push_back(detail::mean_readout(together));
  return ReluNetwork<Scalar>(std::move(layers));
}

template <class Scalar>
MultigradeModel<Scalar> average(const std::vector<MultigradeModel<Scalar>>& members) {
  if (members.empty()) throw InvalidArgument("members", "at least one model", "none");
  const MultigradeModel<Scalar>& first = members.front();
  Index grades = 0;
  for (std::size_t b = 0; b < members.size(); ++b) {
    const auto require = [b](bool same, const char* what) {
      if (same) return;
      throw InvalidArgument("members", std::string("the ") + what + " of the first", "another one",
                            "member " + std::to_string(b));
    };
    require(members[b].input_standardizer() == first.input_standardizer(),
            "standardisation of the inputs");
    require(members[b].output_standardizer() == first.output_standardizer(),
            "standardisation of the outputs");
    require(members[b].link() == first.link(), "link");
    grades = std::max(grades, members[b].grades());
  }
  MultigradeModel<Scalar> result(first.input_standardizer(), first.output_standardizer(),
                                 first.link());
  const Index linked = first.link() == FeatureLink::LastHiddenAndInput ? first.inputs() : 0;
  std::vector<Index> features(members.size(), first.inputs());
  for (Index k = 1; k <= grades; ++k) {
    const auto longest =
        std::ranges::find_if(members, [k](const auto& model) { return model.grades() >= k; });
    std::vector<ReluNetwork<Scalar>> networks;
    for (std::size_t b = 0; b < members.size(); ++b) {
      networks.push_back(k <= members[b].grades()
                             ? members[b].grade(k).network
                             : detail::zero_network(longest->grade(k).network, features[b]));
      features[b] = networks.back().width() + linked;
    }
    result.add_grade({average(networks, k == 1 ? first.inputs() : linked)});
  }
  return result;
}

template <class Scalar>
ReluNetwork<Scalar> member(const ReluNetwork<Scalar>& network, Index index, Index count,
                           Index shared_inputs, const RowVector<Scalar>& bias) {
  detail::require_member(index, count);
  detail::require_option(shared_inputs >= 0 && shared_inputs <= network.inputs(), "shared_inputs",
                         "a number of inputs", shared_inputs);
  return detail::member_of(network, index, count, shared_inputs, bias, "");
}

template <class Scalar>
MultigradeModel<Scalar> member(const MultigradeModel<Scalar>& model, Index index, Index count,
                               const std::vector<RowVector<Scalar>>& biases) {
  detail::require_member(index, count);
  if (!biases.empty() && std::ssize(biases) != model.grades()) {
    throw InvalidArgument("biases", "one for each of " + std::to_string(model.grades()) + " grades",
                          std::to_string(biases.size()));
  }
  MultigradeModel<Scalar> result(model.input_standardizer(), model.output_standardizer(),
                                 model.link());
  const Index linked = model.link() == FeatureLink::LastHiddenAndInput ? model.inputs() : 0;
  for (Index k = 1; k <= model.grades(); ++k) {
    const RowVector<Scalar> bias =
        biases.empty() ? RowVector<Scalar>() : biases[static_cast<std::size_t>(k - 1)];
    result.add_grade(
        {detail::member_of(model.grade(k).network, index, count, k == 1 ? model.inputs() : linked,
                           bias, "grade " + std::to_string(k) + ", ")});
  }
  return result;
}

}  // namespace mgdl
