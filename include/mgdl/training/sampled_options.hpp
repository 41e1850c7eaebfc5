#pragma once

#include <limits>
#include <optional>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Options of SampledTrainer.
struct SampledOptions {
  /// Units of each hidden layer at most, >= 1; fewer if the samples do not have so many different
  /// pairs.
  Index width = 512;
  /// Hidden layers, >= 1.
  Index hidden_layers = 1;
  /// Ridge of the readout, relative to the mean square of the features (dimensionless), > 0.
  /// Without one, chosen from 1e-14, 1e-13, ..., 10 by generalised cross-validation.
  std::optional<double> ridge = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    require(width >= 1, "SampledOptions.width", "a value >= 1", width);
    require(hidden_layers >= 1, "SampledOptions.hidden_layers", "a value >= 1", hidden_layers);
    if (ridge) {
      require(*ridge > 0 && *ridge < std::numeric_limits<double>::infinity(),
              "SampledOptions.ridge", "a finite value > 0", *ridge);
    }
  }
};

}  // namespace mgdl
