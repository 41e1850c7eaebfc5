#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <istream>
#include <ostream>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/prediction_intervals.hpp"

/// \file
/// Model files: a safetensors file with the weights, the report of the fit, what its certificates
/// can be checked by, its prediction intervals, a checksum and a self-test. Needs nlohmann_json.
/// The format, and for how long it can be read: docs/format.md.

namespace mgdl {

/// Writes a model file to a stream: the same model and report, the same bytes.
///
/// \param report     summarise() of its fit, or null
/// \param intervals  calibrate() of its fit, or null; those of a model of folds need the report
/// \param names      of the inputs and the targets, or null
/// \throws InvalidArgument, before anything is written, if the report has another number of grades,
///         if the intervals are not those of the model, or if there are more or fewer names than
///         inputs or targets
template <std::floating_point Scalar>
void save_model(std::ostream& out, const MultigradeModel<Scalar>& model,
                const FitSummary* report = nullptr,
                const std::type_identity_t<PredictionIntervals<Scalar>>* intervals = nullptr,
                const ColumnNames* names = nullptr);

/// Creates or replaces a model file, completely or not at all (see write_file): who is interrupted,
/// or has a full disk, keeps the old one.
///
/// \throws InvalidArgument as above, and if it cannot be written
template <std::floating_point Scalar>
void save_model(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                const FitSummary* report = nullptr,
                const std::type_identity_t<PredictionIntervals<Scalar>>* intervals = nullptr,
                const ColumnNames* names = nullptr);

/// The bytes of a model file.
///
/// \throws InvalidArgument as above
template <std::floating_point Scalar>
std::vector<std::byte> save_model(
    const MultigradeModel<Scalar>& model, const FitSummary* report = nullptr,
    const std::type_identity_t<PredictionIntervals<Scalar>>* intervals = nullptr,
    const ColumnNames* names = nullptr);

/// Reads a model file from memory, with the number type it was saved with.
///
/// Everything is checked before anything is returned: that no byte is missing or left over, the
/// checksum, that sizes fit and values are finite, and that the model gives the outputs that it
/// gave when it was saved. No claim of the file makes it take more memory than in proportion to the
/// bytes that are there.
///
/// \param file  its name, for errors
/// \throws FormatError for anything but a complete model file of a version that is known: names the
///         file, the key, what was expected there and what was found
AnySavedModel load_any_model(std::span<const std::byte> bytes, const std::string& file = "model");

/// The same from a file.
/// \throws InvalidArgument if it cannot be read; FormatError as above
AnySavedModel load_any_model(const std::filesystem::path& path);

/// The same from a stream, which is read to its end.
/// \throws InvalidArgument if it cannot be read; FormatError as above
AnySavedModel load_any_model(std::istream& in);

namespace detail {

/// The same numbers as double.
/// \{
MultigradeModel<double> widened(const MultigradeModel<float>& model);
PredictionIntervals<double> widened(const PredictionIntervals<float>& intervals);
/// \}

}  // namespace detail

/// Reads a model file as a model of `Scalar`, from a path, a stream or bytes: see load_any_model().
///
/// A float32 file can be read as `double`: the weights are the same numbers, while predictions are
/// then computed, and rounded, in double. A float64 file is refused for `float`, which would lose
/// digits silently.
///
/// \throws FormatError as load_any_model(), and for float64 where Scalar is `float`
template <std::floating_point Scalar, class Source>
SavedModel<Scalar> load_model(Source&& source) {
  AnySavedModel any = load_any_model(source);
  if (auto* same = std::get_if<SavedModel<Scalar>>(&any)) return std::move(*same);
  if constexpr (std::same_as<Scalar, double>) {
    auto& narrow = std::get<SavedModel<float>>(any);
    SavedModel<double> wide{detail::widened(narrow.model), std::move(narrow.report)};
    wide.names = std::move(narrow.names);
    if (narrow.intervals) wide.intervals = detail::widened(*narrow.intervals);
    return wide;
  } else {
    std::string file = "model";
    if constexpr (std::convertible_to<Source, std::filesystem::path>) {
      file = std::filesystem::path(source).string();
    }
    throw FormatError(file, "float32", "float64", "metadata scalar");
  }
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template void save_model(std::ostream&, const MultigradeModel<float>&, const FitSummary*,
                                const PredictionIntervals<float>*, const ColumnNames*);
extern template void save_model(std::ostream&, const MultigradeModel<double>&, const FitSummary*,
                                const PredictionIntervals<double>*, const ColumnNames*);
extern template void save_model(const std::filesystem::path&, const MultigradeModel<float>&,
                                const FitSummary*, const PredictionIntervals<float>*,
                                const ColumnNames*);
extern template void save_model(const std::filesystem::path&, const MultigradeModel<double>&,
                                const FitSummary*, const PredictionIntervals<double>*,
                                const ColumnNames*);
extern template std::vector<std::byte> save_model(const MultigradeModel<float>&, const FitSummary*,
                                                  const PredictionIntervals<float>*,
                                                  const ColumnNames*);
extern template std::vector<std::byte> save_model(const MultigradeModel<double>&, const FitSummary*,
                                                  const PredictionIntervals<double>*,
                                                  const ColumnNames*);
}  // namespace mgdl
#else
#include "mgdl/io/model_file_impl.hpp"  // IWYU pragma: export
#endif
