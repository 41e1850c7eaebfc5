#pragma once

#include <optional>
#include <variant>

#include "mgdl/io/fit_summary_json.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// What a model file holds.
template <class Scalar_ = double>
struct SavedModel {
  using Scalar = Scalar_;  ///< float or double

  MultigradeModel<Scalar> model;  ///< bit for bit as it was saved
  /// How it came about, if that was saved too. Without the fields that are FieldKind::Passing; what
  /// was infinite, apart from errors of the model, is NaN.
  std::optional<FitSummary> report = {};
};

/// A saved model of either number type.
using AnySavedModel = std::variant<SavedModel<float>, SavedModel<double>>;

}  // namespace mgdl
