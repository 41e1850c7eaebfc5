#include "mgdl/io/model_json.hpp"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "mgdl/core/random.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::ordered_json;
using mgdl::Index;
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

void write_text(const fs::path& path, const std::string& text) {
  mgdl::write_file(path, [&](std::ostream& out) { out << text; });
}

template <class Derived>
void fill(Eigen::PlainObjectBase<Derived>& values, mgdl::RandomStream& random) {
  for (Index i = 0; i < values.size(); ++i) {
    values.data()[i] =
        static_cast<typename Derived::Scalar>(random.normal() * std::exp2(random.uniform(-40, 40)));
  }
}

template <class Scalar>
mgdl::DenseLayer<Scalar> random_layer(Index inputs, Index outputs, mgdl::RandomStream& random) {
  mgdl::RowMatrix<Scalar> weights(inputs, outputs);
  mgdl::RowVector<Scalar> bias(outputs);
  fill(weights, random);
  fill(bias, random);
  return {weights, bias};
}

template <class Scalar>
mgdl::Standardizer<Scalar> random_standardizer(Index columns, mgdl::RandomStream& random) {
  mgdl::RowVector<Scalar> mean(columns);
  mgdl::RowVector<Scalar> scale(columns);
  fill(mean, random);
  fill(scale, random);
  return {mean, scale.cwiseAbs()};
}

/// Two grades, 3 inputs, 2 outputs, no two sizes alike, and the numbers that are easily lost.
template <class Scalar>
mgdl::MultigradeModel<Scalar> sample_model(mgdl::FeatureLink link) {
  mgdl::RandomStream random(mgdl::test::seed());
  mgdl::MultigradeModel<Scalar> model(random_standardizer<Scalar>(3, random),
                                      random_standardizer<Scalar>(2, random), link);
  mgdl::RowMatrix<Scalar> weights(3, 5);
  fill(weights, random);
  weights(0, 1) = std::numeric_limits<Scalar>::denorm_min();
  weights(1, 4) = std::numeric_limits<Scalar>::lowest();
  weights(2, 0) = Scalar(-0.0);
  mgdl::RowVector<Scalar> bias(5);
  bias << 1, 2, Scalar(1) / 3, -4, 0;
  model.add_grade({mgdl::ReluNetwork<Scalar>({{weights, bias},
                                              random_layer<Scalar>(5, 4, random),
                                              random_layer<Scalar>(4, 2, random)}),
                   1.0 / 3, std::numeric_limits<double>::quiet_NaN()});
  const Index features = model.feature_count(1);
  model.add_grade({mgdl::ReluNetwork<Scalar>({random_layer<Scalar>(features, 6, random),
                                              random_layer<Scalar>(6, 2, random)}),
                   1e-300, 0.1});
  return model;
}

/// Equal bits, which == of numbers does not ask for (-0 == 0).
template <class A, class B>
bool same_bits(const A& a, const B& b) {
  static_assert(std::is_same_v<typename A::Scalar, typename B::Scalar>);
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(),
                     static_cast<std::size_t>(a.size()) * sizeof(typename A::Scalar)) == 0;
}

template <class Scalar>
void check_same(const mgdl::MultigradeModel<Scalar>& a, const mgdl::MultigradeModel<Scalar>& b) {
  CHECK(a == b);
  CHECK(same_bits(a.input_standardizer().mean(), b.input_standardizer().mean()));
  CHECK(same_bits(a.input_standardizer().scale(), b.input_standardizer().scale()));
  CHECK(same_bits(a.output_standardizer().mean(), b.output_standardizer().mean()));
  CHECK(same_bits(a.output_standardizer().scale(), b.output_standardizer().scale()));
  REQUIRE(a.grades() == b.grades());
  for (Index k = 1; k <= a.grades(); ++k) {
    const auto& layers = a.grade(k).network.layers();
    const auto& others = b.grade(k).network.layers();
    REQUIRE(layers.size() == others.size());
    for (std::size_t l = 0; l < layers.size(); ++l) {
      CHECK(same_bits(layers[l].weights(), others[l].weights()));
      CHECK(same_bits(layers[l].bias(), others[l].bias()));
    }
  }
}

std::string message_of(const fs::path& path) {
  try {
    mgdl::read_any_model(path);
  } catch (const mgdl::InvalidArgument& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEMPLATE_TEST_CASE("a model is read as it was written", "[io/model_json]", float, double) {
  const TemporaryFile file;
  for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
    const auto model = sample_model<TestType>(link);
    mgdl::write_model(file.path(), model);
    check_same(mgdl::read_model<TestType>(file.path()), model);
    const mgdl::AnyModel any = mgdl::read_any_model(file.path());
    REQUIRE(std::holds_alternative<mgdl::MultigradeModel<TestType>>(any));
    check_same(std::get<mgdl::MultigradeModel<TestType>>(any), model);
  }
}

TEST_CASE("a report travels in the model file and changes nothing else", "[io/model_json]") {
  const TemporaryFile file;
  const auto model = sample_model<float>(mgdl::FeatureLink::LastHidden);
  mgdl::write_model(file.path(), model);
  const std::string plain = mgdl::read_file(file.path());
  CHECK(mgdl::read_model_report(file.path()).is_null());
  mgdl::write_model(file.path(), model, nullptr);
  CHECK(mgdl::read_file(file.path()) == plain);

  const Json report = {{"grades", {{{"trainer", "hats 7"}}, nullptr}}, {"message", "Done."}};
  mgdl::write_model(file.path(), model, report);
  check_same(mgdl::read_model<float>(file.path()), model);
  CHECK(mgdl::read_model_report(file.path()) == report);
  Json json = Json::parse(mgdl::read_file(file.path()));
  json.erase("report");
  CHECK(json == Json::parse(plain));

  // A text that is no UTF-8 does not cost the model.
  mgdl::write_model(file.path(), model, {{"message", "caf\xe9"}});
  CHECK(mgdl::read_model_report(file.path())["message"] == "caf\xef\xbf\xbd");

  CHECK_THROWS_WITH(mgdl::write_model(file.path(), model, Json::array()),
                    ContainsSubstring("report: expected an object or null, found array"));
  json["report"] = "fine";
  write_text(file.path(), json.dump());
  check_same(mgdl::read_model<float>(file.path()), model);
  CHECK_THROWS_WITH(mgdl::read_model_report(file.path()),
                    ContainsSubstring("expected an object or null, found \"fine\" at /report"));
  write_text(file.path(), "{\"format\": \"onnx\", \"report\": {}}");
  CHECK_THROWS_AS(mgdl::read_model_report(file.path()), mgdl::InvalidArgument);
}

TEST_CASE("a model without grades is a model", "[io/model_json]") {
  const TemporaryFile file;
  auto model = sample_model<double>(mgdl::FeatureLink::LastHidden);
  model.truncate(0);
  mgdl::write_model(file.path(), model);
  check_same(mgdl::read_model<double>(file.path()), model);
}

TEST_CASE("float32 widens, float64 is not cut", "[io/model_json]") {
  const TemporaryFile file;
  const auto model = sample_model<float>(mgdl::FeatureLink::LastHiddenAndInput);
  mgdl::write_model(file.path(), model);
  const auto wide = mgdl::read_model<double>(file.path());
  REQUIRE(wide.grades() == model.grades());
  CHECK(wide.link() == model.link());
  for (Index k = 1; k <= model.grades(); ++k) {
    for (std::size_t l = 0; l < model.grade(k).network.layers().size(); ++l) {
      const mgdl::RowMatrix<double> expected =
          model.grade(k).network.layers()[l].weights().cast<double>();
      CHECK(same_bits(wide.grade(k).network.layers()[l].weights(), expected));
    }
  }
  mgdl::write_model(file.path(), sample_model<double>(mgdl::FeatureLink::LastHidden));
  CHECK_THROWS_WITH(mgdl::read_model<float>(file.path()),
                    ContainsSubstring(file.path().string() +
                                      ": expected \"float32\", found \"float64\" at /scalar"));
}

TEST_CASE("a cut model file is refused wherever it is cut", "[io/model_json]") {
  const TemporaryFile file;
  auto model = sample_model<float>(mgdl::FeatureLink::LastHidden);
  mgdl::write_model(file.path(), model);
  const std::string text = mgdl::read_file(file.path());
  REQUIRE(text.back() == '\n');
  for (std::size_t size = 0; size + 1 < text.size(); size += 1 + size / 100) {
    write_text(file.path(), text.substr(0, size));
    const std::string message = message_of(file.path());
    if (message.find(file.path().string() + ": expected JSON text, found its end too early") != 0) {
      FAIL("cut to " << size << " bytes: " << message);
    }
  }
  write_text(file.path(), text.substr(0, text.size() - 1));
  check_same(mgdl::read_model<float>(file.path()), model);
}

TEST_CASE("every field of a damaged model file is missed or refused", "[io/model_json]") {
  const TemporaryFile file;
  mgdl::write_model(file.path(), sample_model<float>(mgdl::FeatureLink::LastHidden));
  const Json good = Json::parse(mgdl::read_file(file.path()));

  SECTION("missing") {
    for (const char* pointer :
         {"/format", "/format_version", "/scalar", "/link", "/input", "/input/mean", "/input/scale",
          "/output", "/output/mean", "/output/scale", "/grades", "/grades/1/train_rse",
          "/grades/0/validation_rse", "/grades/1/layers", "/grades/0/layers/2/weights",
          "/grades/1/layers/0/bias"}) {
      Json json = good;
      const Json::json_pointer place(pointer);
      json[place.parent_pointer()].erase(place.back());
      write_text(file.path(), json.dump());
      CHECK(message_of(file.path()) ==
            file.path().string() + ": expected a value, found none at " + pointer);
    }
  }

  SECTION("wrong") {
    struct Damage {
      const char* pointer;
      Json value;
      const char* message;  // after "expected "
    };
    const Json row = {1, 2, 3};
    const std::vector<Damage> damages{
        {"/format", "onnx", "\"mgdl-model\", found \"onnx\" at /format"},
        {"/format", 3, "a text, found 3 at /format"},
        {"/format_version", 1, "0, found 1 at /format_version"},
        {"/format_version", 0.5, "an integer, found 0.5 at /format_version"},
        {"/scalar", "float16", "\"float32\" or \"float64\", found \"float16\" at /scalar"},
        {"/link", "First", "\"LastHidden\" or \"LastHiddenAndInput\", found \"First\" at /link"},
        {"/input", 5, "an object, found 5 at /input"},
        {"/input/mean", "x", "a list, found \"x\" at /input/mean"},
        {"/input/mean/2", nullptr, "a finite number of type float32, found null at /input/mean/2"},
        {"/input/mean/1", 1e39, "a finite number of type float32, found 1e+39 at /input/mean/1"},
        {"/input/scale", Json{1, 2}, "3 columns (scale), found 2 at /input"},
        {"/input/scale/0", 0, "values > 0 (scale), found 0 at /input"},
        {"/output/scale/1", -1, "values > 0 (scale), found -1 at /output"},
        {"/input",
         {{"mean", Json::array()}, {"scale", Json::array()}},
         "at least one column (input), found none"},
        {"/grades", Json::object(), "a list, found an object at /grades"},
        {"/grades/1", 7, "an object, found 7 at /grades/1"},
        {"/grades/0/train_rse", -0.5, "a number >= 0 or null, found -0.5 at /grades/0/train_rse"},
        {"/grades/1/validation_rse", "0",
         "a number >= 0 or null, found \"0\" at /grades/1/validation_rse"},
        {"/grades/0/layers", Json::array(),
         "a hidden layer and a readout (layers), found 0 layers at /grades/0/layers"},
        {"/grades/0/layers/1/weights/3/1", true,
         "a finite number of type float32, found true at /grades/0/layers/1/weights/3/1"},
        {"/grades/0/layers/1/weights/3", row,
         "4 numbers, as in the bias, found 3 at /grades/0/layers/1/weights/3"},
        {"/grades/0/layers/2/bias", Json::array(),
         "0 numbers, as in the bias, found 2 at /grades/0/layers/2/weights/0"},
        {"/grades/0/layers/2/weights", Json::array(),
         "at least one row and one column (weights), found 0 x 2 at /grades/0/layers/2"},
        {"/grades/0/layers/1", good["grades"][0]["layers"][0],
         "5 inputs (layers), found 3 at /grades/0/layers"},
        {"/grades/0", good["grades"][1], "3 inputs (grade), found 4 at /grades/0"},
        {"/output", good["input"], "3 outputs (grade), found 2 at /grades/0"},
        {"/link", "LastHiddenAndInput", "7 inputs (grade), found 4 at /grades/1"},
    };
    for (const Damage& damage : damages) {
      Json json = good;
      const Json::json_pointer place(damage.pointer);
      REQUIRE(json.contains(place));
      json[place] = damage.value;
      write_text(file.path(), json.dump());
      CHECK(message_of(file.path()) == file.path().string() + ": expected " + damage.message);
    }
  }
}

TEST_CASE("what is no model at all is refused", "[io/model_json]") {
  const TemporaryFile file;
  const std::string name = file.path().string();
  const std::vector<std::pair<std::string, std::string>> cases{
      {"[1, 2]", "expected an object, found a list"},
      {"{\"format\": \"mgdl-model\"}", "expected a value, found none at /format_version"},
      {"\x93NUMPY", "expected JSON text, found another text at byte 1"},
      {"{\"format\": 1e999}", "expected numbers of type float64, found a larger one"},
      {std::string(100000, '['), "expected JSON text, found its end too early at byte 100001"},
  };
  for (const auto& [text, message] : cases) {
    write_text(file.path(), text);
    CHECK_THAT(message_of(file.path()), ContainsSubstring(name + ": " + message));
  }
  CHECK_THAT(message_of(name + "-missing"), ContainsSubstring("expected a readable file"));
}

TEST_CASE("a model that cannot be written leaves the file as it was", "[io/model_json]") {
  const auto model = sample_model<double>(mgdl::FeatureLink::LastHidden);
  CHECK_THROWS_AS(mgdl::write_model(fs::temp_directory_path(), model), mgdl::InvalidArgument);
  CHECK_THROWS_AS(mgdl::write_model("/no/such/folder/model", model), mgdl::InvalidArgument);
}
