// Prediction intervals in model files.

#include <cstddef>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "io/model_bytes.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/io/model/content.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/io/safetensors.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::test::load;

namespace {

/// A model of three inputs and two outputs with everything that a file keeps.
template <class Scalar>
struct Calibrated {
  mgdl::MultigradeModel<Scalar> model;
  mgdl::FitSummary report;
  mgdl::PredictionIntervals<Scalar> intervals;

  std::string bytes() const {
    std::ostringstream out;
    mgdl::save_model(out, model, &report, &intervals);
    return out.str();
  }
};

template <class Scalar>
Calibrated<Scalar> calibrated(bool folds, bool scaled = true) {
  mgdl::RandomStream random(mgdl::test::seed(), 60);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(50, 3, random);
  mgdl::Matrix<Scalar> Y = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(50, 2, random);
  Y.col(0) += 30 * X.col(1);
  const mgdl::Dataset<Scalar> data(X, Y);
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<Scalar>({.width = 7}),
                                  {.max_grades = 2,
                                   .patience = 2,
                                   .link = mgdl::FeatureLink::LastHiddenAndInput,
                                   .threads = 1}};
  const mgdl::IntervalOptions options{.scaled = scaled, .scale = {.width = 5}, .parts = 4};
  const auto all = [&](const auto& parts) {
    auto fit = trainer.fit(parts);
    auto report = mgdl::summarise(fit);
    auto intervals = mgdl::calibrate(fit, parts, options);
    return Calibrated<Scalar>{std::move(fit.model), std::move(report), std::move(intervals)};
  };
  if (folds) return all(mgdl::folds(data, 3, 1));
  return all(mgdl::split(data, 0.3, 1));
}

/// The message of the FormatError that a changed file ends in, whose checksum is right.
template <class Change>
std::string error_of_changed(const std::string& bytes, const Change& change) {
  mgdl::SafeTensors content = mgdl::parse_safetensors(std::as_bytes(std::span(bytes)));
  change(content);
  content.metadata["crc32"] = mgdl::detail::content_checksum(content);
  std::ostringstream out;
  mgdl::write_safetensors(out, content);
  try {
    load(out.str());
  } catch (const mgdl::FormatError& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

}  // namespace

TEMPLATE_TEST_CASE("Prediction intervals come back", "[io/model_file]", float, double) {
  using Scalar = TestType;
  for (const bool folds : {false, true}) {
    for (const bool scaled : {false, true}) {
      const auto made = calibrated<Scalar>(folds, scaled);
      const std::string bytes = made.bytes();
      const auto saved = std::get<mgdl::SavedModel<Scalar>>(load(bytes));
      REQUIRE(saved.intervals);
      CHECK(*saved.intervals == made.intervals);
      CHECK(saved.intervals->has_scale() == scaled);
      CHECK(saved.intervals->members().size() == (folds ? 3 : 1));
      CHECK(saved.intervals->parts().size() == (folds ? 3 : 4));
      // Saved again, the same bytes.
      std::ostringstream again;
      mgdl::save_model(again, saved.model, &*saved.report, &*saved.intervals);
      CHECK(again.str() == bytes);

      // In double they are the same numbers.
      const auto wide = mgdl::load_model<double>(std::as_bytes(std::span(bytes)));
      REQUIRE(wide.intervals);
      const auto half = wide.intervals->half_width(0.9);
      CHECK(half.template cast<Scalar>() == made.intervals.half_width(0.9));
      const mgdl::Matrix<double> X = mgdl::Matrix<double>::Constant(2, 3, 0.25);
      const auto width = scaled ? mgdl::IntervalWidth::Scaled : mgdl::IntervalWidth::Constant;
      const auto limits = wide.intervals->predict(X, 0.8, width);
      const auto expected = made.intervals.predict(X.template cast<Scalar>(), 0.8, width);
      CHECK(limits.lower.isApprox(expected.lower.template cast<double>(), 1e-4));
      CHECK(limits.upper.isApprox(expected.upper.template cast<double>(), 1e-4));
    }
  }
}

TEST_CASE("Without prediction intervals nothing is written", "[io/model_file]") {
  const auto made = calibrated<double>(false);
  const auto bytes = mgdl::save_model(made.model, &made.report);
  CHECK(!mgdl::load_model<double>(bytes).intervals);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  CHECK(text.find("intervals") == std::string::npos);
}

TEST_CASE("Prediction intervals of another model are not written", "[io/model_file]") {
  const auto refused = [](const auto& model, const mgdl::FitSummary* report,
                          const auto& intervals) {
    CHECK_THROWS_WITH(
        mgdl::save_model(model, report, &intervals),
        ContainsSubstring("intervals: expected those of the model and its report, found others"));
  };
  const auto split = calibrated<double>(false);
  const auto folds = calibrated<double>(true);
  refused(folds.model, nullptr, folds.intervals);
  refused(split.model, nullptr, folds.intervals);
  refused(folds.model, nullptr, split.intervals);
  refused(folds.model, &folds.report, split.intervals);
  auto shorter = split.model;
  shorter.truncate(0);
  refused(shorter, nullptr, split.intervals);
  auto report = folds.report;
  report.grades[0].member_biases[1][0] += 1;
  refused(folds.model, &report, folds.intervals);
}

TEST_CASE("Damaged prediction intervals are refused", "[io/model_file]") {
  using mgdl::SafeTensors;
  for (const bool folds : {false, true}) {
    const auto made = calibrated<double>(folds);
    const std::string bytes = made.bytes();
    const SafeTensors content = mgdl::parse_safetensors(std::as_bytes(std::span(bytes)));
    int found = 0;
    for (const auto& [name, tensor] : content.tensors) {
      if (name.find("intervals.") != 0) continue;
      ++found;
      CAPTURE(name);
      CHECK_THAT(error_of_changed(bytes, [&](SafeTensors& c) { c.tensors.erase(name); }),
                 ContainsSubstring("expected a tensor, found none at tensor " + name));
      std::vector<std::byte> data(tensor.data.begin(), tensor.data.end());
      const double nan = std::numeric_limits<double>::quiet_NaN();
      std::memcpy(data.data(), &nan, sizeof(nan));
      CHECK_THAT(
          error_of_changed(bytes, [&](SafeTensors& c) { c.tensors[name].data = data; }),
          ContainsSubstring("expected finite values") && ContainsSubstring("at tensor " + name));
      CHECK_THAT(
          error_of_changed(bytes, [&](SafeTensors& c) { c.tensors[name].shape.push_back(1); }),
          ContainsSubstring("at tensor " + name));
      // Another number of rows or columns.
      if (tensor.shape[0] < 2) continue;
      error_of_changed(bytes, [&](SafeTensors& c) {
        auto& other = c.tensors[name];
        const std::size_t row = other.data.size() / static_cast<std::size_t>(other.shape[0]);
        other.data = other.data.first(other.data.size() - row);
        other.shape[0] -= 1;
      });
    }
    CHECK(found == (folds ? 3 : 4) * 8);

    const auto swapped = [&](const std::string& name) {
      std::vector<std::byte> data(content.tensors.at(name).data.begin(),
                                  content.tensors.at(name).data.end());
      double values[4] = {-1, 1, 0, 0};
      std::memcpy(data.data(), values, sizeof(values));
      return error_of_changed(bytes, [&](SafeTensors& c) { c.tensors[name].data = data; });
    };
    CHECK_THAT(swapped("intervals.2.residuals"),
               ContainsSubstring("values >= 0 in ascending order (residuals)"));
    CHECK_THAT(swapped("intervals.1.scaled_residuals"), ContainsSubstring("(scaled_residuals)"));

    const auto json_error = [&](const auto& change) {
      return error_of_changed(bytes, [&](SafeTensors& c) {
        Json json = Json::parse(c.metadata.at("intervals"));
        change(json);
        c.metadata["intervals"] = json.dump();
      });
    };
    CHECK_THAT(error_of_changed(bytes, [](SafeTensors& c) { c.metadata["intervals"] = "{"; }),
               ContainsSubstring("metadata intervals"));
    CHECK_THAT(error_of_changed(bytes, [](SafeTensors& c) { c.metadata.erase("intervals"); }),
               ContainsSubstring("no other tensor"));
    CHECK_THAT(json_error([](Json& json) { json = 3; }), ContainsSubstring("an object"));
    CHECK_THAT(json_error([](Json& json) { json["parts"] = 3; }),
               ContainsSubstring("expected a list, found 3 at metadata intervals/parts"));
    CHECK_THAT(json_error([](Json& json) { json["parts"] = Json::array(); }),
               ContainsSubstring(folds ? "3 parts" : "at least one (parts)"));
    CHECK_THAT(json_error([](Json& json) { json["parts"].erase(0); }),
               ContainsSubstring(folds ? "3 parts, the folds of the report" : "no other tensor"));
    CHECK_THAT(json_error([](Json& json) { json["parts"].push_back(json["parts"][0]); }),
               ContainsSubstring(folds ? "tensor intervals.4" : "tensor intervals.5"));
    CHECK_THAT(json_error([](Json& json) { json["parts"][1] = Json::object(); }),
               ContainsSubstring("none at metadata intervals/parts/1/scale_layers"));
    CHECK_THAT(json_error([](Json& json) { json["parts"][1]["scale_layers"] = nullptr; }),
               ContainsSubstring("one in all parts or none (scale)"));
    CHECK_THAT(json_error([](Json& json) { json["parts"][1]["scale_layers"] = "two"; }),
               ContainsSubstring("a whole number >= 0"));
    for (const int layers : {0, 1}) {
      CHECK_THAT(json_error([&](Json& json) { json["parts"][1]["scale_layers"] = layers; }),
                 ContainsSubstring("a hidden layer and a readout (layers)"));
    }
    CHECK_THAT(json_error([](Json& json) { json["parts"][1]["scale_layers"] = 3; }),
               ContainsSubstring("tensor intervals.2.scale.layer.3.weights"));

    if (folds) {
      CHECK_THAT(error_of_changed(bytes,
                                  [&](SafeTensors& c) {
                                    Json json = Json::parse(c.metadata.at("report"));
                                    json["idle_folds"] = 1;
                                    c.metadata["report"] = json.dump();
                                  }),
                 ContainsSubstring("2 parts, the folds of the report"));
    }

    // Members that the report does not know.
    CHECK_THAT(error_of_changed(bytes,
                                [&](SafeTensors& c) {
                                  Json json = Json::parse(c.metadata.at("report"));
                                  if (folds) {
                                    json["grades"][0].erase("member_biases");
                                  } else {
                                    json["folds"] = 4;
                                  }
                                  c.metadata["report"] = json.dump();
                                }),
               ContainsSubstring("those of each member (member_biases)"));
  }
}
