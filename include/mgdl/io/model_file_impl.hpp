#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <istream>
#include <iterator>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/compiled.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/model/content.hpp"
#include "mgdl/io/model/reader.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/safetensors.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/prediction_intervals.hpp"

namespace mgdl::detail {

inline ReluNetwork<double> widened_network(const ReluNetwork<float>& network) {
  std::vector<DenseLayer<double>> layers;
  for (const auto& layer : network.layers()) {
    layers.emplace_back(layer.weights().cast<double>(), layer.bias().cast<double>(),
                        layer.groups());
  }
  return ReluNetwork<double>(std::move(layers));
}

}  // namespace mgdl::detail

namespace mgdl {

template <std::floating_point Scalar>
void save_model(std::ostream& out, const MultigradeModel<Scalar>& model, const FitSummary* report,
                const std::type_identity_t<PredictionIntervals<Scalar>>* intervals) {
  write_safetensors(out, detail::ModelContent<Scalar>(model, report, intervals).content());
}

template <std::floating_point Scalar>
void save_model(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                const FitSummary* report,
                const std::type_identity_t<PredictionIntervals<Scalar>>* intervals) {
  const detail::ModelContent<Scalar> content(model, report, intervals);
  write_safetensors(path, content.content());
}

template <std::floating_point Scalar>
std::vector<std::byte> save_model(
    const MultigradeModel<Scalar>& model, const FitSummary* report,
    const std::type_identity_t<PredictionIntervals<Scalar>>* intervals) {
  std::ostringstream out;
  save_model(out, model, report, intervals);
  const auto bytes = std::as_bytes(std::span(out.view()));
  return {bytes.begin(), bytes.end()};
}

MGDL_INLINE AnySavedModel load_any_model(std::span<const std::byte> bytes,
                                         const std::string& file) {
  return detail::read_model(parse_safetensors(bytes, file), file);
}

MGDL_INLINE AnySavedModel load_any_model(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  return load_any_model(std::as_bytes(std::span(text)), path.string());
}

MGDL_INLINE AnySavedModel load_any_model(std::istream& in) {
  const std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) throw InvalidArgument("model", "a readable stream", "an input/output error");
  return load_any_model(std::as_bytes(std::span(text)));
}

MGDL_INLINE MultigradeModel<double> detail::widened(const MultigradeModel<float>& model) {
  const auto wide = [](const Standardizer<float>& narrow) {
    return Standardizer<double>(narrow.mean().cast<double>(), narrow.scale().cast<double>());
  };
  MultigradeModel<double> result(wide(model.input_standardizer()),
                                 wide(model.output_standardizer()), model.link());
  for (Index k = 1; k <= model.grades(); ++k) {
    const Grade<float>& grade = model.grade(k);
    result.add_grade(
        {widened_network(grade.network), grade.train_rse, grade.validation_rse, grade.samples});
  }
  return result;
}

MGDL_INLINE PredictionIntervals<double> detail::widened(
    const PredictionIntervals<float>& intervals) {
  std::vector<MultigradeModel<double>> members;
  for (const auto& member : intervals.members()) members.push_back(widened(member));
  std::vector<CalibrationPart<double>> parts;
  for (const auto& part : intervals.parts()) {
    auto& wide = parts.emplace_back();
    wide.residuals = part.residuals.cast<double>();
    wide.scaled_residuals = part.scaled_residuals.cast<double>();
    if (!part.scale) continue;
    wide.scale.emplace(ResidualScale<double>{widened_network(part.scale->network),
                                             part.scale->lower.cast<double>(),
                                             part.scale->upper.cast<double>()});
  }
  return {std::move(members), std::move(parts)};
}

}  // namespace mgdl
