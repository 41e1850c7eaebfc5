// A forger: changes every field of model files, one at a time, mends the checksum, and has the file
// verified. Whatever it makes is refused by the reader or by verification; what neither can see is
// on the list that docs/format.md repeats, and what is still true claims less.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "io/model_bytes.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/fingerprint.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/model/content.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/io/safetensors.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "mgdl/training/verify_model.hpp"
#include "support/samples.hpp"

using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::test::load;

namespace {

/// A model file and what `mgdl verify` does with it, given the samples.
struct Specimen {
  std::string name;
  std::string bytes;
  /// What is wrong; empty: nothing. Throws what the reader throws.
  std::function<std::string(const std::string& bytes)> refutation;
  /// What every prefix makes of the samples.
  std::function<std::vector<double>(const std::string& bytes)> predictions;
  Index outputs = 1;
};

std::string saved_again(const std::string& bytes) {
  return std::visit(
      [](const auto& saved) {
        std::ostringstream out;
        mgdl::save_model(out, saved.model, saved.report ? &*saved.report : nullptr,
                         saved.intervals ? &*saved.intervals : nullptr,
                         saved.names.inputs.empty() ? nullptr : &saved.names);
        return out.str();
      },
      load(bytes));
}

/// \param sets  the samples of every run
template <class Scalar>
std::string refutation_of(const mgdl::SavedModel<Scalar>& saved,
                          const std::vector<mgdl::Dataset<Scalar>>& sets) {
  if (!saved.report) return "no report, which says how the samples were split";
  const auto& report = *saved.report;
  std::vector<mgdl::ModelVerification> found;
  std::string scores;
  const auto check = [&](const auto& parts) {
    found.push_back(mgdl::verify_model(saved.model, parts,
                                       {report.grades, report.initial_rse, report.inputs}, 1));
    const auto& grades = found.back().grades;
    if (!saved.intervals || (!grades.empty() && !grades.back().of_these_samples)) return;
    const auto intervals = mgdl::verify_intervals(*saved.intervals, parts, 0.9, 1);
    if (!intervals.valid) scores = intervals.message;
  };
  for (const auto& samples : sets) {
    if (report.folds > 0) {
      check(mgdl::folds(samples, report.folds, report.seed));
    } else {
      check(mgdl::split(samples, report.validation_fraction, report.seed));
    }
  }
  const auto all = mgdl::combine(found);
  if (all.valid()) return scores;
  std::ostringstream text;
  text << all;
  return text.str();
}

/// Samples of a wavy function.
template <class Scalar>
mgdl::Dataset<Scalar> wavy(Index n, Index d, Index c, std::uint64_t stream) {
  mgdl::RandomStream random(mgdl::test::seed(), stream);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, d, random);
  mgdl::Matrix<Scalar> Y(n, c);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < c; ++j) {
      Y(i, j) = static_cast<Scalar>(3 * std::sin(2 * X(i, 0) + static_cast<Scalar>(j)) +
                                    X(i, d - 1) * (d > 1 ? 1 : 0) + 7 + 0.1 * random.normal());
    }
  }
  return {X, Y};
}

/// Trains on these samples, and writes the file as `mgdl fit` does.
///
/// \param more  number of other samples, on which the model is resumed; 0: it is not
template <class Scalar>
Specimen specimen(const std::string& name, Index n, Index d, Index c,
                  std::vector<mgdl::AnyGradeTrainer<Scalar>> trainers,
                  mgdl::MultigradeOptions options, Index more = 0) {
  options.seed = 5;
  options.threads = 1;
  options.patience = 9;
  std::vector<mgdl::Dataset<Scalar>> sets{wavy<Scalar>(n, d, c, 71)};
  if (more > 0) sets.push_back(wavy<Scalar>(more, d, c, 72));
  const mgdl::Dataset<Scalar>& data = sets.back();
  mgdl::MultigradeTrainer<Scalar> trainer(std::move(trainers), options);
  Index earlier = 0;  // grades
  const auto write = [&](const auto& fit, const auto& parts, bool held_out) {
    auto report = mgdl::summarise(fit);
    report.seed = options.seed;
    report.validation_fraction = options.validation_fraction;
    report.options = {{"trainer", {"any"}}, {"width", 8}};
    std::optional<mgdl::PredictionIntervals<Scalar>> intervals;
    if (held_out) intervals = mgdl::calibrate(fit, parts, {.scale = {.width = 4}, .parts = 3});
    INFO(name);
    CHECK(fit.model.grades() > earlier);
    std::ostringstream out;
    // The samples have no names.
    mgdl::ColumnNames names{std::vector<std::string>(static_cast<std::size_t>(d), "x"),
                            std::vector<std::string>(static_cast<std::size_t>(c), "y")};
    for (std::size_t j = 0; j < names.inputs.size(); ++j) names.inputs[j] += std::to_string(j);
    for (std::size_t j = 0; j < names.targets.size(); ++j) names.targets[j] += std::to_string(j);
    // Where inputs lie, as of a model that does not standardise.
    if (!held_out) report.inputs = mgdl::input_range(data.inputs(), data.weights());
    mgdl::save_model(out, fit.model, &report, intervals ? &*intervals : nullptr, &names);
    return out.str();
  };
  std::string bytes;
  if (options.folds > 0) {
    const auto parts = mgdl::folds(data, options.folds, options.seed);
    bytes = write(trainer.fit(parts), parts, true);
  } else {
    const auto parts_of = [&](const mgdl::Dataset<Scalar>& samples) {
      return mgdl::split(samples, options.validation_fraction, options.seed);
    };
    const auto parts = parts_of(data);
    if (more > 0) {
      // By a trainer that leaves something to do.
      mgdl::MultigradeTrainer<Scalar> first({mgdl::SampledTrainer<Scalar>({.width = 6})}, options);
      auto model = first.fit(parts_of(sets[0])).model;
      earlier = model.grades();
      REQUIRE(earlier > 1);  // one whose fingerprint is changed is not all of them
      bytes = write(trainer.resume(std::move(model), parts), parts, parts.validation.has_value());
    } else {
      bytes = write(trainer.fit(parts), parts, parts.validation.has_value());
    }
  }
  return {name, std::move(bytes),
          [sets](const std::string& file) {
            return refutation_of(std::get<mgdl::SavedModel<Scalar>>(load(file)), sets);
          },
          [sets](const std::string& file) {
            const auto model = std::get<mgdl::SavedModel<Scalar>>(load(file)).model;
            std::vector<double> values;
            for (const auto& samples : sets) {
              const mgdl::Matrix<Scalar> inputs = samples.inputs();
              for (Index k = 1; k <= model.grades(); ++k) {
                const mgdl::Matrix<Scalar> outputs = model.predict(inputs, k);
                values.insert(values.end(), outputs.reshaped().begin(), outputs.reshaped().end());
              }
            }
            return values;
          },
          c};
}

template <class Scalar>
mgdl::AnyGradeTrainer<Scalar> convex(mgdl::ConvexProblem problem,
                                     mgdl::PatternSource source = mgdl::PatternSource::Automatic) {
  mgdl::ConvexTrainerOptions options;
  options.problem = problem;
  options.source = source;
  options.patterns = 9;
  options.solver.lambda_ratio = 1e-2;
  return mgdl::ConvexTrainer<Scalar>(options);
}

template <class Scalar>
std::vector<Specimen> specimens() {
  using mgdl::ConvexProblem;
  const auto all = mgdl::PatternSource::All;
  const mgdl::GradientTrainer<Scalar> gradient({.width = 5, .epochs = 20});
  const mgdl::SampledTrainer<Scalar> sampled({.width = 6});
  std::vector<Specimen> result;
  result.push_back(specimen<Scalar>("gradient, held out samples", 60, 3, 2, {gradient},
                                    {.max_grades = 2, .validation_fraction = 0.3}));
  result.push_back(specimen<Scalar>(
      "folds, affine first, inputs linked", 60, 2, 2, {mgdl::AffineTrainer<Scalar>(), sampled},
      {.max_grades = 2, .folds = 3, .link = mgdl::FeatureLink::LastHiddenAndInput}));
  result.push_back(specimen<Scalar>("gated", 60, 3, 1, {convex<Scalar>(ConvexProblem::Gated)},
                                    {.max_grades = 2}));
  result.push_back(specimen<Scalar>("relu, two outputs", 60, 3, 2,
                                    {convex<Scalar>(ConvexProblem::Relu)}, {.max_grades = 1}));
  result.push_back(specimen<Scalar>("all patterns of one input", 40, 1, 1,
                                    {convex<Scalar>(ConvexProblem::Relu)}, {.max_grades = 2}));
  result.push_back(specimen<Scalar>("all patterns of two inputs", 20, 2, 1,
                                    {convex<Scalar>(ConvexProblem::Relu, all)}, {.max_grades = 1}));
  result.push_back(specimen<Scalar>("all patterns of two inputs, gated", 16, 2, 1,
                                    {convex<Scalar>(ConvexProblem::Gated, all)},
                                    {.max_grades = 1}));
  result.push_back(specimen<Scalar>("constructive", 60, 2, 1,
                                    {mgdl::ConstructiveTrainer<Scalar>({.hats = 6})},
                                    {.max_grades = 2}));
  result.push_back(specimen<Scalar>("resumed on other samples", 50, 2, 1,
                                    {mgdl::SampledTrainer<Scalar>({.width = 20})},
                                    {.max_grades = 2}, 60));
  return result;
}

/// One change: of the field at a place, by what.
struct Change {
  std::string place;
  std::string what;
  mgdl::SafeTensors content;
  std::vector<std::byte> data;  // of the tensor that is changed
};

/// Other texts of the same kind, or just another one.
std::vector<std::string> other_texts(const std::string& text) {
  for (const auto& names : std::vector<std::vector<std::string>>{
           {"SampledPatterns", "AllPatterns"},
           {"Exact", "SpectralRelaxation"},
           {"LastHidden", "LastHiddenAndInput"},
           {"float32", "float64"},
           {"NotRun", "ToleranceReached", "MaxIterations", "NoProgress"}}) {
    if (std::ranges::count(names, text) == 0) continue;
    auto others = names;
    std::erase(others, text);
    return others;
  }
  return {text + "x"};
}

/// Calls visit(place, what, changed) for every change of every value in a JSON text.
void change_json(const Json& whole, const Json::json_pointer& at, const std::string& place,
                 const std::function<void(const std::string&, const std::string&, Json)>& visit) {
  const Json& value = whole[at];
  const auto replace = [&](const std::string& what, const Json& other) {
    Json changed = whole;
    changed[at] = other;
    visit(place, what, std::move(changed));
  };
  if (value.is_object()) {
    for (const auto& [key, field] : value.items()) {
      Json fewer = value;
      fewer.erase(key);
      Json changed = whole;
      changed[at] = fewer;
      visit(place + "/" + key, "erased", std::move(changed));
      change_json(whole, at / key, place + "/" + key, visit);
    }
  } else if (value.is_array()) {
    if (!value.empty()) {
      Json fewer = value;
      fewer.erase(fewer.size() - 1);
      replace("shorter", fewer);
      Json more = value;
      more.push_back(value.back());
      replace("longer", more);
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      change_json(whole, at / i, place + "/" + std::to_string(i), visit);
    }
  } else if (value.is_boolean()) {
    replace("flipped", !value.get<bool>());
  } else if (value.is_number_integer()) {
    replace("one more", value.get<std::int64_t>() + 1);
    replace("one less", value.get<std::int64_t>() - 1);
    replace("null", nullptr);
  } else if (value.is_number()) {
    const double number = value.get<double>();
    // A network is in its cones to 1e-6.
    const bool nothing = std::abs(number) < (place.ends_with("cone_violation") ? 1e-6 : 1e-12);
    replace("more", nothing ? 1 : number * 1.5);
    replace("less", nothing ? -1 : number / 1.5);
    replace("negative", nothing ? -0.5 : -number);
    replace("null", nullptr);
  } else if (value.is_string()) {
    for (const auto& other : other_texts(value.get<std::string>())) replace(other, other);
    replace("null", nullptr);
  } else {
    replace("a number", 0.5);
    replace("a text", "x");
  }
}

template <class Number>
std::vector<std::byte> changed_numbers(std::span<const std::byte> bytes,
                                       const std::function<Number(Number, std::size_t)>& change) {
  std::vector<std::byte> result(bytes.begin(), bytes.end());
  for (std::size_t i = 0; i < bytes.size() / sizeof(Number); ++i) {
    Number value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof(Number), sizeof(Number));
    value = change(value, i);
    std::memcpy(result.data() + i * sizeof(Number), &value, sizeof(Number));
  }
  return result;
}

/// Calls visit(change) for every change of every field of a file.
void forge(const std::string& bytes, const std::function<void(Change&)>& visit) {
  const mgdl::SafeTensors content = mgdl::parse_safetensors(std::as_bytes(std::span(bytes)));
  for (const auto& field : content.metadata) {
    const auto& key = field.first;  // a structured binding cannot be captured everywhere
    const auto& text = field.second;
    if (key == "crc32") continue;
    Change erased{key, "erased", content, {}};
    erased.content.metadata.erase(key);
    visit(erased);
    if (text.front() != '{' && text.front() != '[') {
      for (const auto& other : other_texts(text)) {
        Change change{key, other, content, {}};
        change.content.metadata[key] = other;
        visit(change);
      }
      continue;
    }
    change_json(Json::parse(text), Json::json_pointer(), key,
                [&](const std::string& place, const std::string& what, const Json& json) {
                  Change change{place, what, content, {}};
                  change.content.metadata[key] = json.dump();
                  visit(change);
                });
  }
  for (const auto& entry : content.tensors) {
    const auto& name = entry.first;
    const auto& tensor = entry.second;
    Change erased{name, "erased", content, {}};
    erased.content.tensors.erase(name);
    visit(erased);
    const auto replace = [&](const std::string& what, auto scalar, auto change) {
      using Number = decltype(scalar);
      Change changed{name, what, content, changed_numbers<Number>(tensor.data, change)};
      changed.content.tensors[name].data = changed.data;
      visit(changed);
    };
    const auto all = [&](auto scalar) {
      using Number = decltype(scalar);
      replace("half more", scalar, [](Number x, std::size_t) { return x * Number(1.5); });
      replace("negative", scalar, [](Number x, std::size_t) { return x == 0 ? x : -x; });
      replace("one more", scalar, [](Number x, std::size_t) { return x + 1; });
      replace("the first one more", scalar,
              [](Number x, std::size_t i) { return i == 0 ? x + 1 : x; });
    };
    tensor.type == mgdl::TensorType::F32 ? all(float{}) : all(double{});
    if (tensor.shape[0] > 1) {
      Change shorter{name, "shorter", content, {}};
      auto& changed = shorter.content.tensors[name];
      const auto rows = static_cast<std::size_t>(tensor.shape[0]);
      --changed.shape[0];
      changed.data = tensor.data.first(tensor.data.size() / rows * (rows - 1));
      visit(shorter);
    }
  }
}

/// "report/message" for "report/message", "report/grades/<k>/message" for the same of any grade.
bool matches(const std::string& place, const std::string& pattern) {
  const std::string path = pattern.substr(0, pattern.find(','));
  const std::string text = std::regex_replace(path, std::regex("<[kl]>"), "[0-9]+");
  return std::regex_match(place, std::regex(text + "([./].*)?"));
}

/// Whether a place is on the list of what is not checked, with the condition that is stated there.
bool is_unchecked(const std::string& place, const Specimen& specimen, const std::string& forged) {
  const auto& list = mgdl::unchecked_claims();
  const auto found = std::ranges::find_if(
      list, [&](const std::string& pattern) { return matches(place, pattern); });
  if (found == list.end()) return false;
  const std::size_t comma = found->find(',');
  if (comma == found->npos) return true;
  const std::string condition = found->substr(comma + 2);
  const auto metadata = mgdl::parse_safetensors(std::as_bytes(std::span(specimen.bytes))).metadata;
  const Json report = Json::parse(metadata.at("report"));
  const Json grades = Json::parse(metadata.at("grades"));
  if (condition == "without validation part and folds") {
    return report["validation_fraction"] == 0 && !report.contains("folds");
  }
  if (condition == "with less than two grades") return grades.size() < 2;
  if (condition == "of units that are 0 at all samples and inputs of the self-test") {
    return specimen.predictions(forged) == specimen.predictions(specimen.bytes);
  }
  if (condition == "of samples without") return true;  // as these are
  REQUIRE(condition == "with one output or gated");
  return specimen.outputs == 1 || !grades[0]["witness"]["gated"].is_null();
}

/// What is true although it is not what was written: it claims less, or proves the same.
bool claims_less(const std::string& place, const std::string& what) {
  const auto is = [&](const char* pattern, std::vector<std::string> changes) {
    return std::regex_match(place, std::regex(pattern)) && std::ranges::count(changes, what) > 0;
  };
  const std::string certificate = "report/grades/[0-9]+/(network_)?certificate";
  if (is("report/grades/[0-9]+/pointwise_drop", {"null", "erased"})) return true;
  return is("report/initial_rse", {"null"}) || is("grades/[0-9]+/samples", {"erased"}) ||
         is("report/grades/[0-9]+/(train_max_error|validation_max_error|pointwise_growth)",
            {"null"}) ||
         is("report/grades/[0-9]+/(train|validation)_(r2|output_rmse)",
            {"null", "erased", "shorter"}) ||
         is("report/grades/[0-9]+/network_certificate", {"null", "erased"}) ||
         is((certificate + "/dual").c_str(), {"less", "negative"}) ||
         is((certificate + "/rounding").c_str(), {"less", "negative"}) ||
         is((certificate + "/patterns").c_str(), {"erased"}) ||
         is((certificate + "/scope").c_str(), {"SampledPatterns"}) ||
         is((certificate + "/bound").c_str(), {"SpectralRelaxation"}) ||
         // The same half spaces, or as many others with the same bound; and any dual point proves
         // what it proves.
         is("grade\\.[0-9]+\\.witness\\.gates", {"half more", "the first one more"}) ||
         is("grade\\.[0-9]+\\.witness\\.dual",
            {"erased", "half more", "negative", "one more", "the first one more"});
}

}  // namespace

TEMPLATE_TEST_CASE("every forgery is refused", "[io/model_forged]", float, double) {
  int refused = 0, unchecked = 0, less = 0;
  for (const Specimen& specimen : specimens<TestType>()) {
    INFO(specimen.name);
    const std::string before = specimen.refutation(specimen.bytes);
    INFO(before);
    REQUIRE(before.empty());
    REQUIRE(saved_again(specimen.bytes) == specimen.bytes);
    int forged = 0;
    forge(specimen.bytes, [&](Change& change) {
      change.content.metadata["crc32"] = mgdl::detail::content_checksum(change.content);
      std::ostringstream out;
      mgdl::write_safetensors(out, change.content);
      ++forged;
      bool accepted = false;
      try {
        accepted = specimen.refutation(out.str()).empty();
      } catch (const mgdl::InvalidArgument&) {  // and FormatError, which is one
      }
      if (!accepted) {
        ++refused;
        return;
      }
      INFO(change.place << ": " << change.what);
      // The reader may see what was there before: the value is the one of a field left out, say.
      if (saved_again(out.str()) == specimen.bytes) return;
      const bool listed = is_unchecked(change.place, specimen, out.str());
      const bool weaker = claims_less(change.place, change.what);
      CHECK((listed || weaker));
      ++(listed ? unchecked : less);
    });
    CHECK(forged > 100);
  }
  WARN(refused << " forgeries refused, " << unchecked << " of what is listed as not checked, "
               << less << " that claim less");
  CHECK(refused > 2000);
}

TEST_CASE("docs/format.md lists what is not checked", "[io/model_forged]") {
  const std::string text = mgdl::read_file(std::string(MGDL_TEST_DIR) + "/../docs/format.md");
  for (const std::string& place : mgdl::unchecked_claims()) {
    INFO(place);
    const std::string path = "`" + place.substr(0, place.find(',')) + "`";
    CHECK(text.find(path + place.substr(std::min(place.find(','), place.size()))) != text.npos);
  }
}
