#pragma once

#include <concepts>
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

namespace detail {

/// The name of a number type in model files.
template <std::floating_point Scalar>
constexpr const char* scalar_name() noexcept {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>);
  return std::same_as<Scalar, float> ? "float32" : "float64";
}

}  // namespace detail

/// A saved model of either number type.
using AnySavedModel = std::variant<SavedModel<float>, SavedModel<double>>;

}  // namespace mgdl
