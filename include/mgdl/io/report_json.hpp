#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "mgdl/io/file.hpp"
#include "mgdl/io/fit_summary_json.hpp"
#include "mgdl/io/model/json_fields.hpp"
#include "mgdl/version.hpp"

/// \file
/// Reports of a fit as JSON text. Needs nlohmann_json.

namespace mgdl {

namespace detail {

/// With what this program was compiled, as far as it decides on speed and on the last bits.
inline nlohmann::ordered_json build_json() {
#if defined(__clang__)
  const std::string compiler = "Clang " __clang_version__;
#elif defined(__GNUC__)
  const std::string compiler = "GCC " __VERSION__;
#elif defined(_MSC_FULL_VER)
  const std::string compiler = "MSVC " + std::to_string(_MSC_FULL_VER);
#else
  const std::string compiler = "unknown";
#endif
#if defined(__OPTIMIZE__)
  const bool optimised = true;
#else
  const bool optimised = false;
#endif
#if defined(NDEBUG)
  const bool assertions = false;
#else
  const bool assertions = true;
#endif
  return {{"compiler", compiler},
          {"simd", Eigen::SimdInstructionSetsInUse()},
          {"optimised", optimised},
          {"assertions", assertions}};
}

}  // namespace detail

/// The report: the fields of FitSummary by their names, grades as lists of objects, with the
/// `version` of mgdl and the `build` of this program. What is not known or not finite is null (the
/// PSNR of a perfect fit, too).
inline nlohmann::ordered_json to_json(const FitSummary& summary) {
  auto json = detail::fields_json(summary, /*passing=*/true);
  json["version"] = version();
  json["build"] = detail::build_json();
  return json;
}

/// What a model file keeps of a report (see model_file.hpp): how the fit ended, and of each grade
/// what the samples and the seed fix. Without wall times, so that two files of the same fit are
/// equal.
inline nlohmann::ordered_json model_report(const FitSummary& summary) {
  return detail::fields_json(summary, /*passing=*/false);
}

/// Creates or replaces a JSON report, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written
inline void write_report(const std::filesystem::path& path, const nlohmann::ordered_json& report) {
  // Names of files may hold bytes that are no UTF-8; they must not cost the report.
  const std::string text =
      report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  write_file(path, [&](std::ostream& out) { out << text << '\n'; });
}

/// The same for the summary of a fit.
inline void write_report(const std::filesystem::path& path, const FitSummary& summary) {
  write_report(path, to_json(summary));
}

}  // namespace mgdl
