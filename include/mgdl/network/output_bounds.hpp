#pragma once

#include <limits>
#include <string>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/enclosure.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// Limits of a model's outputs, in the unit of the targets; see output_bounds.
struct OutputBounds {
  Vector<double> lower;  ///< c values, none above any output
  Vector<double> upper;  ///< c values, none below any output
};

/// Bounds what the first k grades give anywhere in a box: for all x with lower <= x <= upper (d
/// values each, in the unit of the inputs),
///
///     result.lower <= model(x) <= result.upper
///
/// holds for the model in exact arithmetic and for what `predict` returns, which rounds: error
/// bounds gamma_n sum |terms| of every sum are added, in Scalar for the prediction and in double
/// for the bounds themselves. Infinite where values might overflow.
///
/// Intervals run through the layers, and beside them a zonotope (an affine function of the inputs
/// and of one symbol for every unit whose sign is not known), which keeps dependences between units
/// and between grades. The better bound counts at every unit. For a small box without kinks the
/// result is the range of a linear function; the more units may have either sign, the wider it is.
/// With s such units in all, takes O((d + s) * parameters) operations.
/// Sources: Moore; Gowal et al., arXiv 1810.12715 (intervals); Singh et al., NeurIPS 2018
/// (zonotopes).
///
/// \throws InvalidArgument for other sizes, values that are not finite, lower > upper, and k out of
///         range
template <class Scalar>
OutputBounds output_bounds(const MultigradeModel<Scalar>& model,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                           Index k) {
  using Rules = detail::EnclosureRules<Scalar>;
  model.feature_count(k);  // throws for k out of range
  detail::require_rows("lower", model.inputs(), lower.rows());
  detail::require_rows("upper", model.inputs(), upper.rows());
  detail::require_finite("lower", lower);
  detail::require_finite("upper", upper);
  for (Index j = 0; j < lower.size(); ++j) {
    if (lower[j] <= upper[j]) continue;
    throw InvalidArgument("upper", "a value >= " + detail::to_text(lower[j]),
                          detail::to_text(upper[j]), "row " + std::to_string(j));
  }

  const auto& output = model.output_standardizer();
  const Index c = model.outputs();
  const double infinity = std::numeric_limits<double>::infinity();
  const OutputBounds unbounded{Vector<double>::Constant(c, -infinity),
                               Vector<double>::Constant(c, infinity)};
  const detail::Enclosure input = Rules::input(model.input_standardizer(), lower, upper);
  if (Rules::overflows(input)) return unbounded;
  detail::Enclosure features = input;
  detail::Enclosure sum{RowVector<double>::Zero(c), RowVector<double>::Zero(c),
                        RowVector<double>::Zero(c), RowMatrix<double>::Zero(0, c),
                        RowVector<double>::Zero(c)};
  for (Index g = 1; g <= k; ++g) {
    for (const auto& layer : model.grade(g).network.layers()) {
      detail::Enclosure next = Rules::affine(features, layer);
      if (Rules::overflows(next)) return unbounded;
      if (&layer == &model.grade(g).network.readout()) {
        sum = Rules::plus(std::move(sum), next);
        break;
      }
      features = std::move(next);
      Rules::relu(features);
    }
    if (model.link() == FeatureLink::LastHiddenAndInput) {
      features = Rules::stacked(features, input);
    }
  }
  if (Rules::overflows(sum)) return unbounded;
  sum = Rules::affine(sum, output.scale().template cast<double>().asDiagonal(),
                      output.mean().template cast<double>(), /*terms=*/1);
  if (Rules::overflows(sum)) return unbounded;
  return {sum.lower.transpose(), sum.upper.transpose()};
}

/// The same for all grades.
template <class Scalar>
OutputBounds output_bounds(const MultigradeModel<Scalar>& model,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper) {
  return output_bounds(model, lower, upper, model.grades());
}

}  // namespace mgdl
