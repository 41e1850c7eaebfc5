#pragma once

#include <optional>
#include <string>

#include "flags.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/training/prediction_intervals.hpp"

/// \file
/// The flags that ask for prediction intervals.

namespace mgdl::command {

struct IntervalFlags {
  std::optional<double> level;
  std::string width;

  IntervalWidth kind() const {
    return width == "scaled" ? IntervalWidth::Scaled : IntervalWidth::Constant;
  }

  void require() const {
    if (level && !(*level > 0 && *level < 1)) {
      throw InvalidArgument("--interval", "a value in (0, 1)", detail::to_text(*level));
    }
    if (!width.empty() && !level) {
      throw InvalidArgument("--interval-width", "--interval with it", "none");
    }
  }

  /// \param file  of the model, for messages
  template <class Scalar>
  void require_of(const SavedModel<Scalar>& saved, const std::string& file) const {
    if (!saved.intervals) {
      throw InvalidArgument("--interval",
                            "a model with prediction intervals, from mgdl fit with samples held "
                            "out",
                            "none", file);
    }
    if (width == "scaled" && !saved.intervals->has_scale()) {
      throw InvalidArgument("--interval-width", "constant, as the model has no other intervals",
                            "scaled", file);
    }
    with_flag_names({{"level", "--interval"}}, [&] { saved.intervals->half_width(*level); });
  }
};

/// \param what  is done with the intervals
inline void add_interval_flags(Flags& flags, IntervalFlags& interval, const char* what) {
  flags.add("--interval", &interval.level, what, "P");
  flags.add("--interval-width", &interval.width,
            "constant; or scaled, with a model of the error's size", "NAME");
  flags.restrict_to("--interval-width", {"constant", "scaled"});
}

}  // namespace mgdl::command
