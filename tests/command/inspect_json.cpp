// `mgdl inspect`: bounds, against predictions, and what it shows of the report in a model file.

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/run_command.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/network/model_average.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

class InspectFolder : public mgdl::test::TemporaryFolder {
 public:
  InspectFolder() {
    const auto [X, Y] = mgdl::test::samples(60);
    mgdl::write_npy(*this / "X", X);
    mgdl::write_npy(*this / "t", X.col(0));
    mgdl::write_npy(*this / "Y", Y);
  }

  void fit(const std::string& inputs, const Arguments& arguments) const {
    const bool named = std::ranges::count(arguments, "--trainer") > 0;
    const Outcome outcome =
        run(Arguments{"fit", "--input", *this / inputs, "--target", *this / "Y", "--width", "6",
                      "--epochs", "5", "--folds", "0", "--quiet", "--output", *this / "m"} +
            (named ? Arguments{} : Arguments{"--trainer", "gradient"}) + arguments);
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
  }

  std::string inspect(const Arguments& arguments) const {
    const Outcome outcome = run(Arguments{"inspect", "--model", *this / "m"} + arguments);
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    return outcome.output;
  }

  Json inspect_json(const Arguments& arguments) const {
    return Json::parse(inspect(arguments + Arguments{"--json"}));
  }
};

}  // namespace

TEST_CASE("the bounds of inspect contain predictions", "[command/inspect]") {
  const InspectFolder folder;
  for (const std::string scalar : {"float32", "float64"}) {
    folder.fit("X", {"--grades", "3", "--scalar", scalar});
    const Json content =
        folder.inspect_json({"--lower", "-0.5,-1", "--upper", "0.75,0.5", "--boxes", "20000"});
    const auto model = mgdl::load_model<double>(folder / "m").model;
    constexpr Index side = 60;
    mgdl::Matrix<double> grid(side * side, 2);
    for (Index i = 0; i < grid.rows(); ++i) {
      grid(i, 0) = -0.5 + 1.25 * static_cast<double>(i % side) / (side - 1);
      grid(i, 1) = -1 + 1.5 * static_cast<double>(i / side) / (side - 1);
    }
    REQUIRE(content["grades"].size() == 3);
    CHECK(content["knots_between"].is_null());
    for (Index k = 1; k <= 3; ++k) {
      const Json& grade = content["grades"][static_cast<std::size_t>(k - 1)];
      const auto prediction = model.predict(grid, k);
      REQUIRE(grade["output_lower"].size() == 2);
      for (Index j = 0; j < 2; ++j) {
        const double lower = grade["output_lower"][static_cast<std::size_t>(j)].get<double>();
        const double upper = grade["output_upper"][static_cast<std::size_t>(j)].get<double>();
        const double low = prediction.col(j).minCoeff();
        const double high = prediction.col(j).maxCoeff();
        CHECK(lower <= low);
        CHECK(upper >= high);
        CHECK(upper - lower < 1.03 * (high - low));
        const auto output = static_cast<std::size_t>(j);
        CHECK(grade["output_lower_met"][output].get<double>() >= lower);
        CHECK(grade["output_upper_met"][output].get<double>() <= upper);
        CHECK(grade["output_upper_met"][output].get<double>() >= high - 0.01 * (high - low));
      }
      double slope = 0;
      for (Index i = 1; i < grid.rows(); ++i) {
        slope = std::max(slope, (prediction.row(i) - prediction.row(i - 1)).norm() /
                                    (grid.row(i) - grid.row(i - 1)).norm());
      }
      CHECK(grade["lipschitz_bound"] >= slope * (1 - 1e-9));
      CHECK(grade["slope_bound"] >= slope * (1 - 1e-6));
      CHECK(grade["slope_bound"] >= grade["slope_met"]);
      CHECK(grade["slope_bound"] < grade["lipschitz_bound"]);
      CHECK(grade["knots"].is_null());
    }
    // A smaller box, smaller bounds.
    const Json inner = folder.inspect_json({"--lower", "0,0", "--upper", "0.1,0.1"});
    CHECK(inner["grades"][2]["output_upper"][0] < content["grades"][2]["output_upper"][0]);
    CHECK(inner["grades"][2]["lipschitz_bound"] == content["grades"][2]["lipschitz_bound"]);
    CHECK(folder.inspect_json({})["grades"][2]["output_lower"].is_null());
    CHECK(folder.inspect_json({})["grades"][2]["slope_bound"].is_null());
  }
}

TEST_CASE("inspect cuts the box by boxes or by seconds", "[command/inspect]") {
  const InspectFolder folder;
  folder.fit("X", {"--grades", "2", "--scalar", "float64"});
  const Arguments box{"--lower", "-0.5,-1", "--upper", "0.75,0.5"};
  const Json one = folder.inspect_json(box + Arguments{"--boxes", "1"})["grades"][1];
  CHECK(one["output_boxes"] == 1);
  CHECK(one["slope_boxes"] == 1);
  const Json many = folder.inspect_json(box + Arguments{"--boxes", "500", "--threads", "1"});
  CHECK(many == folder.inspect_json(box + Arguments{"--boxes", "500", "--threads", "2"}));
  CHECK(many["grades"][1]["output_upper"][0] < one["output_upper"][0]);
  CHECK(many["grades"][1]["slope_bound"] < one["slope_bound"]);
  const Json seconds = folder.inspect_json(box + Arguments{"--seconds", "1e-6"})["grades"][1];
  CHECK(seconds["output_boxes"] <= 3);
  CHECK(seconds["output_upper"][0] <= one["output_upper"][0]);
  const std::string text = folder.inspect(box);
  CHECK_THAT(text, ContainsSubstring("most met") && ContainsSubstring("slopes in the box"));

  const auto refused = [&](const Arguments& arguments) {
    const Outcome outcome = run(Arguments{"inspect", "--model", folder / "m"} + arguments);
    CHECK(outcome.code != 0);
    return outcome.errors;
  };
  CHECK_THAT(refused({"--seconds", "1"}), ContainsSubstring("--lower and --upper"));
  CHECK_THAT(refused({"--boxes", "9"}), ContainsSubstring("--lower and --upper"));
  CHECK_THAT(refused(box + Arguments{"--boxes", "0"}), ContainsSubstring("--boxes"));
  CHECK_THAT(refused(box + Arguments{"--seconds", "0"}), ContainsSubstring("--seconds"));
  CHECK_THAT(refused(box + Arguments{"--threads", "-1"}), ContainsSubstring("--threads"));
}

TEST_CASE("inspect counts the knots of one input", "[command/inspect]") {
  const InspectFolder folder;
  folder.fit("t", {"--grades", "2", "--hidden-layers", "1"});
  const auto model = mgdl::load_model<double>(folder / "m").model;
  const auto& layer = model.grade(1).network.layers().front();
  Index kinks = 0;
  for (Index j = 0; j < layer.outputs(); ++j) {
    kinks += std::abs(layer.bias()[j]) < 4 * std::abs(layer.weights()(0, j));
  }
  const Json content = folder.inspect_json({});
  CHECK(content["grades"][0]["knots"] == kinks + 2);
  CHECK(content["grades"][1]["knots"] > content["grades"][0]["knots"]);
  const double mean = model.input_standardizer().mean()[0];
  const double scale = model.input_standardizer().scale()[0];
  CHECK(content["knots_between"] == Json{mean - 4 * scale, mean + 4 * scale});

  // The largest slope, met by some difference on a fine grid.
  constexpr Index n = 20000;
  const mgdl::Vector<double> x =
      mgdl::Vector<double>::LinSpaced(n, mean - 20 * scale, mean + 20 * scale);
  const mgdl::Matrix<double> y = model.predict(x);
  const double slope =
      (y.bottomRows(n - 1) - y.topRows(n - 1)).rowwise().norm().maxCoeff() / (40 * scale / (n - 1));
  CHECK_THAT(content["grades"][1]["lipschitz_bound"].get<double>(), WithinRel(slope, 1e-3));
}

TEST_CASE("inspect shows groups of layers", "[command/inspect]") {
  const InspectFolder folder;
  folder.fit("X", {"--grades", "2", "--hidden-layers", "2"});
  CHECK(folder.inspect_json({})["grades"][1]["groups"] == Json{1, 1, 1});
  CHECK(folder.inspect({}).find("groups") == std::string::npos);
  const auto model = mgdl::load_model<double>(folder / "m").model;
  REQUIRE(model.grades() == 2);
  const auto average = mgdl::average(std::vector{model, model});
  mgdl::save_model(folder / "m", average);
  const Json content = folder.inspect_json({"--lower", "0,0", "--upper", "1,1"});
  CHECK(content["grades"][0]["layers"] == Json{2, 12, 12, 2});
  CHECK(content["grades"][0]["groups"] == Json{1, 2, 1});
  CHECK(content["grades"][1]["groups"] == Json{2, 2, 1});
  CHECK(content["multiply_adds"] == 2 * model.multiply_adds());
  CHECK(content["parameters"] == average.parameters());
  CHECK_THAT(folder.inspect({}), ContainsSubstring("12 -> 12 (2 groups) -> 12 (2 groups) -> 2"));
}

TEST_CASE("inspect shows the report in the file", "[command/inspect]") {
  const InspectFolder folder;
  folder.fit("t", {"--grades", "2", "--trainer", "convex,auto", "--validation", "0.2", "--report",
                   folder / "r"});
  const Json report = Json::parse(mgdl::read_file(folder / "r"));
  REQUIRE(report["grades"].size() >= 1);
  const Json content = folder.inspect_json({});
  CHECK(content["report"] == mgdl::model_report(*mgdl::load_model<double>(folder / "m").report));
  CHECK(content["report"]["grades"][0]["certificate"] == report["grades"][0]["certificate"]);
  CHECK(content["report"]["message"] == report["message"]);
  const std::string text = folder.inspect({"--lower", "0", "--upper", "1"});
  for (const std::string& part :
       {report["grades"][0]["trainer"].get<std::string>(),
        report["grades"][0]["message"].get<std::string>(), report["message"].get<std::string>(),
        std::string("certificate: objective"), std::string("AllPatterns, Exact"),
        std::string("relative gap"), std::string("Lipschitz"), std::string("valid. max error"),
        std::string("outputs for inputs in the box")}) {
    CHECK_THAT(text, ContainsSubstring(part));
  }

  // Without a report, what remains is shown.
  mgdl::save_model(folder / "m", mgdl::load_model<double>(folder / "m").model);
  const std::string less = folder.inspect({});
  CHECK_THAT(less, ContainsSubstring("Lipschitz"));
  CHECK_THAT(less, !ContainsSubstring("fit: "));
  CHECK(folder.inspect_json({})["report"].is_null());
}
