#include "mgdl/io/model_file.hpp"
#include "io/model_bytes.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "mgdl/io/file.hpp"
#include "mgdl/io/model/content.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/io/safetensors.hpp"
#include "mgdl/network/model_average.hpp"
#include "support/networks.hpp"
#include "support/samples.hpp"
#include "support/saved_models.hpp"

using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::test::load;
using mgdl::test::saved_model;
using mgdl::test::saved_report;
namespace fs = std::filesystem;

namespace {

/// A file name that is free, and free again at the end.
class TemporaryFile {
 public:
  TemporaryFile()
      : m_path(fs::temp_directory_path() /
               ("mgdl-model-" + std::to_string(std::random_device()()))) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { fs::remove(m_path); }
  const fs::path& path() const { return m_path; }

 private:
  fs::path m_path;
};

/// Equal bits, which == of numbers does not ask for (-0 == 0).
template <class A, class B>
bool same_bits(const A& a, const B& b) {
  static_assert(std::is_same_v<typename A::Scalar, typename B::Scalar>);
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         (a.size() == 0 ||
          std::memcmp(a.data(), b.data(),
                      static_cast<std::size_t>(a.size()) * sizeof(typename A::Scalar)) == 0);
}

template <class Scalar>
void check_same_model(const mgdl::MultigradeModel<Scalar>& a,
                      const mgdl::MultigradeModel<Scalar>& b) {
  CHECK(a == b);
  CHECK(same_bits(a.input_standardizer().mean(), b.input_standardizer().mean()));
  CHECK(same_bits(a.input_standardizer().scale(), b.input_standardizer().scale()));
  CHECK(same_bits(a.output_standardizer().mean(), b.output_standardizer().mean()));
  CHECK(same_bits(a.output_standardizer().scale(), b.output_standardizer().scale()));
  REQUIRE(a.grades() == b.grades());
  for (Index k = 1; k <= a.grades(); ++k) {
    const auto& x = a.grade(k).network.layers();
    const auto& y = b.grade(k).network.layers();
    REQUIRE(x.size() == y.size());
    for (std::size_t l = 0; l < x.size(); ++l) {
      CHECK(same_bits(x[l].weights(), y[l].weights()));
      CHECK(same_bits(x[l].bias(), y[l].bias()));
    }
  }
}

void check_same_model(const mgdl::CertificateWitness& a, const mgdl::CertificateWitness& b) {
  CHECK(a.columns == b.columns);
  CHECK(a.unit == b.unit);
  CHECK(a.bias == b.bias);
  CHECK(a.output_bias == b.output_bias);
  CHECK(a.separate_outputs == b.separate_outputs);
  CHECK(same_bits(a.gates, b.gates));
  CHECK(a.scope == b.scope);
  CHECK(same_bits(a.dual, b.dual));
  REQUIRE(a.gated.has_value() == b.gated.has_value());
  if (!a.gated) return;
  CHECK(a.gated->lambda == b.gated->lambda);
  CHECK(a.gated->active == b.gated->active);
  CHECK(same_bits(a.gated->coefficients, b.gated->coefficients));
  CHECK(same_bits(a.gated->bias, b.gated->bias));
  CHECK(a.gated->output_bias == b.gated->output_bias);
}

template <class Scalar>
std::string bytes_of_model(const mgdl::MultigradeModel<Scalar>& model,
                           const mgdl::FitSummary* report = nullptr) {
  std::ostringstream out;
  mgdl::save_model(out, model, report);
  return out.str();
}

/// The message of the FormatError; anything else fails the test.
std::string error_of_model(const std::string& bytes) {
  try {
    load(bytes);
  } catch (const mgdl::FormatError& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

/// A model file whose content is changed and that is whole again: with the right checksum.
template <class Change>
std::string changed(const std::string& bytes, const Change& change) {
  mgdl::SafeTensors content = mgdl::parse_safetensors(std::as_bytes(std::span(bytes)));
  change(content);
  if (content.metadata.contains("crc32")) {
    content.metadata["crc32"] = mgdl::detail::content_checksum(content);
  }
  std::ostringstream out;
  mgdl::write_safetensors(out, content);
  return out.str();
}

}  // namespace

TEMPLATE_TEST_CASE("a model comes back bit for bit", "[io/model_file]", float, double) {
  for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
    const auto model = saved_model<TestType>(link);
    const auto report = saved_report();
    const TemporaryFile file;
    mgdl::save_model(file.path(), model, &report);
    const std::string text = mgdl::read_file(file.path());

    // To and from memory and streams, the same.
    const auto bytes = mgdl::save_model(model, &report);
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == text);
    CHECK(bytes_of_model(model, &report) == text);
    check_same_model(mgdl::load_model<TestType>(bytes).model, model);
    std::istringstream in(text);
    check_same_model(mgdl::load_model<TestType>(in).model, model);
    CHECK(std::holds_alternative<mgdl::SavedModel<TestType>>(mgdl::load_any_model(file.path())));

    const auto saved = mgdl::load_model<TestType>(file.path());
    check_same_model(saved.model, model);
    CHECK(saved.model.grade(1).train_rse == 1.0 / 3);
    CHECK(std::isnan(saved.model.grade(1).validation_rse));
    CHECK(saved.model.grade(2).validation_rse == std::numeric_limits<double>::infinity());
    // Saved again, the same bytes: nothing was lost on the way.
    REQUIRE(saved.report);
    CHECK(bytes_of_model(saved.model, &*saved.report) == text);
  }
}

TEST_CASE("every field of a report comes back, but what is passing", "[io/model_file]") {
  const auto model = saved_model<double>();
  auto report = saved_report();
  const auto saved = std::get<mgdl::SavedModel<double>>(load(bytes_of_model(model, &report)));
  REQUIRE(saved.report);
  for (std::size_t k = 0; k < 2; ++k) {
    REQUIRE(saved.report->grades[k].fit.witness);
    check_same_model(*saved.report->grades[k].fit.witness, *report.grades[k].fit.witness);
  }
  CHECK(saved.report->parameters == model.parameters());
  CHECK(saved.report->multiply_adds == model.multiply_adds());
  CHECK(saved.report->seconds == 0);
  // The errors are the model's.
  for (std::size_t k = 0; k < 2; ++k) {
    const auto& grade = model.grade(static_cast<Index>(k) + 1);
    report.grades[k].train_rse = grade.train_rse;
    report.grades[k].validation_rse = grade.validation_rse;
    CHECK(saved.report->grades[k].train_rse == grade.train_rse);
  }
  CHECK(mgdl::model_report(*saved.report) == mgdl::model_report(report));
  CHECK(saved.report->seed == report.seed);
  CHECK(saved.report->grades[1].fit.certificate->rounding ==
        report.grades[1].fit.certificate->rounding);
  CHECK(saved.report->grades[1].fit.trials[1].trainer == "Adam 2x7");
  CHECK(saved.report->discarded_grades[0].fit.termination == mgdl::Termination::NumericalFailure);

  // A report without certificates has no witnesses; a model needs no report.
  report.grades[0].fit.certificate.reset();
  const auto less = std::get<mgdl::SavedModel<double>>(load(bytes_of_model(model, &report)));
  CHECK_FALSE(less.report->grades[0].fit.witness);
  CHECK(less.report->grades[1].fit.witness);
  CHECK_FALSE(std::get<mgdl::SavedModel<double>>(load(bytes_of_model(model))).report);
  report.grades.pop_back();
  CHECK_THROWS_WITH(bytes_of_model(model, &report),
                    "report: expected 2 grades, as in the model, found 1");
  // A text that is no UTF-8 does not cost the model.
  auto odd = saved_report();
  odd.message = "caf\xe9";
  CHECK(std::get<mgdl::SavedModel<double>>(load(bytes_of_model(model, &odd))).report->message ==
        "caf\xef\xbf\xbd");
}

TEMPLATE_TEST_CASE("a model with groups comes back", "[io/model_file]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
    const auto model = mgdl::test::random_grouped_model<TestType>(link, random);
    const std::string bytes = bytes_of_model(model);
    check_same_model(std::get<mgdl::SavedModel<TestType>>(load(bytes)).model, model);
    const auto wide = mgdl::load_model<double>(std::as_bytes(std::span(bytes))).model;
    CHECK(wide.grade(2).network.layers()[0].groups() == 3);

    const auto average =
        mgdl::average(std::vector{saved_model<TestType>(link), saved_model<TestType>(link)});
    check_same_model(std::get<mgdl::SavedModel<TestType>>(load(bytes_of_model(average))).model,
                     average);
  }
  // Nothing is written where there are none.
  CHECK(bytes_of_model(saved_model<TestType>()).find("groups") == std::string::npos);
}

TEST_CASE("groups that do not divide are refused", "[io/model_file]") {
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  const auto model = mgdl::test::random_grouped_model<float>(mgdl::FeatureLink::LastHidden, random);
  const std::string bytes = bytes_of_model(model);
  const auto with = [&](const Json& groups) {
    return error_of_model(changed(bytes, [&](auto& c) {
      Json grades = Json::parse(c.metadata["grades"]);
      REQUIRE(grades[0]["groups"] == Json{1, 4, 2});
      grades[0]["groups"] = groups;
      c.metadata["grades"] = grades.dump();
    }));
  };
  CHECK(with({1, 5, 2}) ==
        "f: expected a divisor of 12 outputs, found 5 at metadata grades/0/groups/1");
  CHECK(with({1, 0, 2}) ==
        "f: expected a divisor of 12 outputs, found 0 at metadata grades/0/groups/1");
  CHECK(with({1, -4, 2}) ==
        "f: expected a whole number >= 0, found -4 at metadata grades/0/groups/1");
  CHECK(with({1, 9'000'000'000'000'000'000, 2}) ==
        "f: expected a divisor of 12 outputs, found 9000000000000000000 at metadata "
        "grades/0/groups/1");
  CHECK(with({1, 4}) ==
        "f: expected a number for each of 3 layers, found 2 at metadata grades/0/groups");
  CHECK(with(4) == "f: expected a list, found 4 at metadata grades/0/groups");
  CHECK_THAT(with({1, 2, 2}), ContainsSubstring("8 inputs (layers), found 4 at grade 1"));
  // As an earlier reader sees it.
  CHECK_THAT(error_of_model(changed(bytes,
                                    [&](auto& c) {
                                      Json grades = Json::parse(c.metadata["grades"]);
                                      grades[0].erase("groups");
                                      c.metadata["grades"] = grades.dump();
                                    })),
             ContainsSubstring("8 inputs (layers), found 2 at grade 1"));
}

TEST_CASE("a model without grades is a model", "[io/model_file]") {
  auto model = saved_model<float>();
  model.truncate(0);
  check_same_model(std::get<mgdl::SavedModel<float>>(load(bytes_of_model(model))).model, model);
}

TEST_CASE("a model whose outputs overflow has no self-test", "[io/model_file]") {
  mgdl::MultigradeModel<double> model(mgdl::Standardizer<double>::identity(1),
                                      mgdl::Standardizer<double>::identity(1));
  const double huge = std::numeric_limits<double>::max();
  const mgdl::RowMatrix<double> one = mgdl::RowMatrix<double>::Constant(1, 1, huge);
  const mgdl::RowVector<double> bias = mgdl::RowVector<double>::Constant(1, huge);
  model.add_grade({mgdl::ReluNetwork<double>({{0 * one, bias}, {one, bias}})});
  const std::string bytes = bytes_of_model(model);
  CHECK(bytes.find("self_test") == bytes.npos);
  check_same_model(std::get<mgdl::SavedModel<double>>(load(bytes)).model, model);
}

TEST_CASE("float32 widens, float64 is not cut", "[io/model_file]") {
  const auto model = saved_model<float>();
  const auto report = saved_report();
  const auto bytes = mgdl::save_model(model, &report);
  const auto wide = mgdl::load_model<double>(bytes);
  REQUIRE(wide.model.grades() == model.grades());
  CHECK(wide.model.link() == model.link());
  CHECK(wide.model.grade(1).train_rse == model.grade(1).train_rse);
  CHECK(wide.report->seed == report.seed);
  for (Index k = 1; k <= model.grades(); ++k) {
    for (std::size_t l = 0; l < model.grade(k).network.layers().size(); ++l) {
      const mgdl::RowMatrix<double> expected =
          model.grade(k).network.layers()[l].weights().cast<double>();
      CHECK(same_bits(wide.model.grade(k).network.layers()[l].weights(), expected));
    }
  }
  const TemporaryFile file;
  mgdl::save_model(file.path(), saved_model<double>());
  CHECK_THROWS_WITH(mgdl::load_model<float>(file.path()),
                    file.path().string() + ": expected float32, found float64 at metadata scalar");
  CHECK_THROWS_AS(mgdl::load_model<float>(file.path()), mgdl::FormatError);
}

TEST_CASE("a model file that is cut is refused wherever it is cut", "[io/model_file]") {
  const auto report = saved_report();
  const std::string bytes = bytes_of_model(saved_model<float>(), &report);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    INFO(size);
    error_of_model(bytes.substr(0, size));
  }
  error_of_model(bytes + '\0');
}

TEST_CASE("a model file with a wrong byte is refused wherever it is", "[io/model_file]") {
  const auto report = saved_report();
  std::string bytes = bytes_of_model(saved_model<float>(), &report);
  const std::string good = bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      INFO("byte " << i << ", bit " << bit);
      bytes[i] = static_cast<char>(bytes[i] ^ 1 << bit);
      error_of_model(bytes);
      bytes[i] = good[i];
    }
  }
  CHECK_NOTHROW(load(bytes));
}

TEST_CASE("every field of a damaged model file is missed", "[io/model_file]") {
  const auto report = saved_report();
  const std::string bytes = bytes_of_model(saved_model<double>(), &report);
  const auto content = mgdl::parse_safetensors(std::as_bytes(std::span(bytes)));
  for (const auto& [key, text] : content.metadata) {
    if (key == "library_version" || key == "report") continue;  // may be missing
    INFO(key);
    CHECK(error_of_model(changed(bytes, [&](auto& c) { c.metadata.erase(key); })) ==
          "f: expected a text, found none at metadata " + key);
  }
  for (const auto& [name, tensor] : content.tensors) {
    INFO(name);
    // Optional, each in itself.
    if (name.ends_with("gates") || name.ends_with("dual") || name.ends_with("coefficients"))
      continue;
    CHECK_THAT(error_of_model(changed(bytes, [&](auto& c) { c.tensors.erase(name); })),
               ContainsSubstring(name == "self_test.inputs" ? "self_test.outputs" : name));
    CHECK_THAT(
        error_of_model(changed(bytes, [&](auto& c) { c.tensors.at(name).shape.push_back(1); })),
        ContainsSubstring("tensor " + name));
    CHECK_THAT(error_of_model(changed(bytes,
                                      [&](auto& c) {
                                        auto& t = c.tensors.at(name);
                                        t.type = mgdl::TensorType::F32;
                                        t.data = t.data.first(t.data.size() / 2);
                                      })),
               ContainsSubstring("expected F64, found F32 at tensor " + name));
  }
  CHECK_THAT(error_of_model(changed(bytes,
                                    [&](auto& c) {
                                      c.tensors["other"] = {};
                                      c.tensors["other"].shape = {0};
                                    })),
             ContainsSubstring("expected no other tensor, found one at tensor other"));
  for (const char* key : {"grades", "report"}) {
    const Json good = Json::parse(content.metadata.at(key));
    // Every key that is in there somewhere, by its place.
    const Json leaves = good.flatten();
    for (const auto& [pointer, leaf] : leaves.items()) {
      for (Json::json_pointer place(pointer); !place.empty(); place.pop_back()) {
        if (!good[place.parent_pointer()].is_object()) continue;
        if (place.to_string().starts_with("/options")) continue;
        // These may be missing.
        if (place.back() == "relative_gap" || place.back() == "samples" ||
            place.back() == "patterns" || place.back() == "pointwise_drop")
          continue;
        Json json = good;
        json[place.parent_pointer()].erase(place.back());
        INFO(key << place.to_string());
        const std::string message =
            error_of_model(changed(bytes, [&](auto& c) { c.metadata[key] = json.dump(); }));
        CHECK(message == "f: expected a value, found none at metadata " + std::string(key) +
                             place.to_string());
      }
    }
  }
}

TEST_CASE("every field of a damaged model file is checked", "[io/model_file]") {
  const auto report = saved_report();
  const std::string bytes = bytes_of_model(saved_model<float>(), &report);
  const auto metadata = [&](const std::string& key, const std::string& text) {
    return error_of_model(changed(bytes, [&](auto& c) { c.metadata[key] = text; }));
  };
  CHECK(metadata("format", "onnx") ==
        "f: expected \"mgdl-model\", found \"onnx\" at metadata format");
  CHECK(metadata("format_version", "3") ==
        "f: expected 1 or 2, found \"3\" at metadata format_version");
  CHECK(metadata("scalar", "float16") ==
        "f: expected \"float64\", found \"float16\" at metadata scalar");
  CHECK_THAT(metadata("scalar", "float64"), ContainsSubstring("expected F64, found F32"));
  CHECK_THAT(metadata("link", "First"), ContainsSubstring("found \"First\" at metadata link"));
  CHECK_THAT(metadata("link", "LastHidden"),
             ContainsSubstring("expected 4 inputs (grade), found 7 at grade 2"));
  const auto with = [&](const char* pointer, const Json& value) {
    Json json =
        Json::parse(mgdl::parse_safetensors(std::as_bytes(std::span(bytes))).metadata.at("report"));
    json[Json::json_pointer(pointer)] = value;
    return metadata("report", json.dump());
  };
  for (const Json& value : {Json(0.5), Json(), Json(1e-301)}) {
    for (const char* pointer :
         {"/grades/0/train_rse", "/grades/1/train_rse", "/grades/0/certificate/relative_gap"}) {
      CHECK_THAT(with(pointer, value), ContainsSubstring("as the file says elsewhere"));
    }
  }
  CHECK_THAT(with("/folds", 3), ContainsSubstring("expected 0, with folds, found 0.3 at metadata "
                                                  "report/validation_fraction"));
  CHECK_THAT(with("/idle_folds", 1),
             ContainsSubstring("expected 0 to 0, fewer than the folds, found 1 at metadata "
                               "report/idle_folds"));
  CHECK_THAT(metadata("grades", "[1"), ContainsSubstring("at metadata grades, byte 3"));
  CHECK_THAT(metadata("grades", "{}"), ContainsSubstring("expected a list, found an object"));
  CHECK_THAT(metadata("grades", "[]"), ContainsSubstring("found 2 at metadata report/grades"));
  CHECK_THAT(
      metadata("grades", std::string(17, '[') + std::string(17, ']')),
      ContainsSubstring("expected at most 16 levels of JSON, found more at metadata grades"));
  CHECK_THAT(metadata("grades", "[1e999]"), ContainsSubstring("numbers of type float64"));
  // The checksum itself is not brought up to date by `changed`.
  {
    std::string wrong = bytes;
    const auto place = wrong.find("\"crc32\":\"") + 9;
    wrong[place] = wrong[place] == '0' ? '1' : '0';
    CHECK_THAT(error_of_model(wrong), ContainsSubstring("at metadata crc32"));
  }

  const auto json = [&](const char* key, const char* pointer, const Json& value) {
    return error_of_model(changed(bytes, [&](auto& c) {
      Json text = Json::parse(c.metadata[key]);
      REQUIRE(text.contains(Json::json_pointer(pointer)));
      text[Json::json_pointer(pointer)] = value;
      c.metadata[key] = text.dump();
    }));
  };
  struct Damage {
    const char* key;
    const char* pointer;
    Json value;
    const char* expected;
  };
  const std::vector<Damage> damages{
      {"grades", "/0/layers", -1, "a whole number >= 0, found -1"},
      {"grades", "/0/layers", 18446744073709551615u, "a whole number >= 0, found 1844"},
      {"grades", "/0/train_rse", -0.5, "a number >= 0, null or \"inf\", found -0.5"},
      {"grades", "/0/train_rse", "nan", "a number or null, found \"nan\""},
      {"grades", "/0/witness", 3, "an object, found 3"},
      {"grades", "/0/witness/columns", 3, "a list, found 3"},
      {"grades", "/0/witness/columns/1", 1.5, "a whole number >= 0, found 1.5"},
      {"grades", "/0/witness/unit", "x", "a number or null, found \"x\""},
      {"grades", "/0/witness/bias", 1, "true or false, found 1"},
      {"grades", "/0/witness/scope", "Some", "a name like AllPatterns, found \"Some\""},
      {"grades", "/0/witness/gated/active/0", -3, "a whole number >= 0, found -3"},
      {"report", "/termination", "Over", "a name like NumericalFailure, found \"Over\""},
      {"report", "/termination", 3, "a text, found 3"},
      {"report", "/seed", -1, "a whole number >= 0, found -1"},
      {"report", "/options", 1, "an object, found 1"},
      {"report", "/grades/0/certificate", 1, "an object, found 1"},
      {"report", "/grades/0/certificate/primal", "x", "a number or null, found \"x\""},
      {"report", "/grades/1/trials/0", 1, "an object, found 1"},
      {"report", "/grades/1/message", 1, "a text, found 1"},
      {"report", "/discarded_grades", 1, "a list, found 1"},
  };
  for (const auto& [key, pointer, value, expected] : damages) {
    const std::string message = json(key, pointer, value);
    CHECK_THAT(message, ContainsSubstring(std::string("f: expected ") + expected));
    CHECK_THAT(message, ContainsSubstring(std::string(" at metadata ") + key + pointer));
  }
  // One layer more or less than there is.
  CHECK_THAT(json("grades", "/0/layers", 4),
             ContainsSubstring("expected a tensor, found none at tensor grade.1.layer.4.weights"));
  CHECK_THAT(json("grades", "/1/layers", 1),
             ContainsSubstring("a hidden layer and a readout (layers), found 1 layers at grade 2"));
  CHECK_THAT(json("grades", "/0/layers", 1'000'000'000'000'000'000), ContainsSubstring("layer.4"));

  const auto number = [&](const std::string& name, std::size_t i, float value) {
    std::vector<std::byte> copy;
    return error_of_model(changed(bytes, [&](auto& c) {
      auto& data = c.tensors.at(name).data;
      copy.assign(data.begin(), data.end());
      std::memcpy(copy.data() + i * sizeof value, &value, sizeof value);
      data = copy;
    }));
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(
      number("grade.1.layer.2.weights", 7, nan),
      ContainsSubstring("finite values (values), found nan at tensor grade.1.layer.2.weights"));
  CHECK_THAT(number("input.mean", 1, std::numeric_limits<float>::infinity()),
             ContainsSubstring("found inf at tensor input.mean"));
  CHECK_THAT(number("output.scale", 1, -1),
             ContainsSubstring("values > 0 (scale), found -1 at tensor output.scale"));
  // A model that no longer does what it did when it was saved.
  CHECK_THAT(number("grade.2.layer.2.bias", 0, 1000),
             ContainsSubstring("the model's output, found"));
  CHECK_THAT(number("input.mean", 0, 1000), ContainsSubstring("tensor self_test.outputs"));
  CHECK_THAT(number("self_test.inputs", 4, 1000), ContainsSubstring("tensor self_test.outputs"));
  CHECK_THAT(number("self_test.outputs", 5, 1e6f),
             ContainsSubstring("the model's output, found 1e+06 at tensor self_test.outputs"));
}

TEST_CASE("a self-test forgives rounding, and only that", "[io/model_file]") {
  const std::string bytes = bytes_of_model(saved_model<float>());
  const auto shifted = [&](double relative) {
    std::vector<std::byte> copy;
    return changed(bytes, [&](auto& c) {
      auto& data = c.tensors.at("self_test.outputs").data;
      copy.assign(data.begin(), data.end());
      float value = 0;
      std::memcpy(&value, copy.data(), sizeof value);
      value = static_cast<float>(value * (1 + relative));
      std::memcpy(copy.data(), &value, sizeof value);
      data = copy;
    });
  };
  CHECK_NOTHROW(load(shifted(1.2e-7)));
  CHECK_THAT(error_of_model(shifted(1e-2)), ContainsSubstring("tensor self_test.outputs"));
}

TEST_CASE("a model that cannot be written leaves the file as it was", "[io/model_file]") {
  const auto model = saved_model<double>();
  CHECK_THROWS_AS(mgdl::save_model(fs::temp_directory_path(), model), mgdl::InvalidArgument);
  CHECK_THROWS_AS(mgdl::save_model("/no/such/folder/model", model), mgdl::InvalidArgument);
  CHECK_THROWS_WITH(mgdl::load_any_model("/no/such/model"),
                    ContainsSubstring("expected a readable file"));
  CHECK_THAT(error_of_model("\x93NUMPY and so on"),
             ContainsSubstring("expected a header of at most"));
  CHECK_THAT(error_of_model("{\"format\": \"mgdl-model\"}"), ContainsSubstring("a header of"));
}

TEMPLATE_TEST_CASE("names of inputs and targets are kept", "[io/model_file]", float, double) {
  const auto model = saved_model<TestType>();
  const auto names_of = [](const std::string& start, mgdl::Index count) {
    std::vector<std::string> names;
    for (mgdl::Index j = 0; j < count; ++j) names.push_back(start + std::to_string(j));
    return names;
  };
  const mgdl::ColumnNames names{names_of("x \"\n\xC3\xA4,", model.inputs()),
                                names_of("", model.outputs())};
  const auto bytes = mgdl::save_model(model, nullptr, nullptr, &names);
  const auto back = mgdl::load_model<TestType>(bytes);
  CHECK(back.names.inputs == names.inputs);
  CHECK(back.names.targets == names.targets);
  CHECK(mgdl::load_model<double>(bytes).names.inputs == names.inputs);
  CHECK(mgdl::save_model(model, nullptr, nullptr, &back.names) == bytes);

  const mgdl::ColumnNames none, inputs_only{names.inputs, {}};
  CHECK(mgdl::save_model(model, nullptr, nullptr, &none) == mgdl::save_model(model));
  CHECK(mgdl::load_model<TestType>(mgdl::save_model(model)).names.inputs.empty());
  const auto half = mgdl::save_model(model, nullptr, nullptr, &inputs_only);
  CHECK(mgdl::load_model<TestType>(half).names.inputs == names.inputs);
  CHECK(mgdl::load_model<TestType>(half).names.targets.empty());

  for (const std::string wrong :
       {"5", "{}", "x", R"({"inputs":[],"targets":5})", R"({"inputs":[1],"targets":[]})",
        R"({"inputs":["a","b","c","d","e","f","g"],"targets":[]})", R"({"inputs":["a"]})"}) {
    const std::string text(reinterpret_cast<const char*>(half.data()), half.size());
    const auto damaged = changed(text, [&](auto& c) { c.metadata["names"] = wrong; });
    CHECK_THAT(error_of_model(damaged), Catch::Matchers::Contains("metadata names"));
  }

  const mgdl::ColumnNames more{names_of("x", model.inputs() + 1), {}};
  const mgdl::ColumnNames fewer{{}, names_of("y", model.outputs() - 1)};
  CHECK_THROWS_WITH(mgdl::save_model(model, nullptr, nullptr, &more),
                    Catch::Matchers::StartsWith("names.inputs: expected "));
  if (model.outputs() > 1) {
    CHECK_THROWS_WITH(mgdl::save_model(model, nullptr, nullptr, &fewer),
                      Catch::Matchers::StartsWith("names.targets: expected "));
  }
}
