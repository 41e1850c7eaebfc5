// `mgdl fit`, `predict` and `inspect` on good input. What they write is compared with errors that
// are computed here from the data and the predictions.

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "command/json_keys.hpp"
#include "command/run_command.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/version.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::keys_of;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;
namespace fs = std::filesystem;

namespace {

/// A folder with samples to train (X, Y, both.csv) and to test on (Xt, Yt, test.csv).
class FitFolder : public mgdl::test::TemporaryFolder {
 public:
  FitFolder() {
    const auto& self = *this;
    const std::vector<std::string> names{"a", "u", "b", "v"};
    for (const bool test : {false, true}) {
      const auto [X, Y] = mgdl::test::samples(test ? 37 : 120, test ? 0.3 : 0);
      const std::string suffix = test ? "t.npy" : ".npy";
      mgdl::write_npy(self / ("X" + suffix), X);
      mgdl::write_npy(self / ("Y" + suffix), Y);
      mgdl::Matrix<double> both(X.rows(), 4);  // columns a and b are inputs
      both << X.col(0), Y.col(1), X.col(1), Y.col(0);
      mgdl::write_csv(self / (test ? "test.csv" : "both.csv"), both, names);
    }
  }

  Arguments npy() const { return {"--input", *this / "X.npy", "--target", *this / "Y.npy"}; }
  Arguments npy_test() const {
    return {"--test-input", *this / "Xt.npy", "--test-target", *this / "Yt.npy"};
  }
  Arguments csv() const { return {"--csv", *this / "both.csv", "--target-columns", "v,2"}; }
  Json json(const std::string& name) const { return Json::parse(mgdl::read_file(*this / name)); }
};

// Nothing held out unless a test asks for it.
const Arguments kSmallFit{"--trainer", "gradient", "--width",  "7", "--epochs", "4",
                          "--batch",   "16",       "--grades", "3", "--folds",  "0"};

Outcome fit(const Arguments& arguments) { return run(Arguments{"fit"} + kSmallFit + arguments); }

mgdl::Matrix<double> predict(const FitFolder& folder, const std::string& grades) {
  const Outcome outcome = run({"predict", "--model", folder / "m", "--input", folder / "Xt.npy",
                               "--grades", grades, "--output", folder / "P.npy"});
  INFO(outcome.errors);
  REQUIRE(outcome.code == 0);
  return mgdl::read_npy<double>(fs::path(folder / "P.npy"));
}

}  // namespace

TEST_CASE("a fit of npy files and its report", "[command/fit]") {
  const FitFolder folder;
  for (const std::string scalar : {"float32", "float64"}) {
    const Outcome outcome =
        fit(folder.npy() + folder.npy_test() +
            Arguments{"--scalar", scalar, "--validation", "0.25", "--seed", "18446744073709551615",
                      "--optimizer", "adam", "--peak", "20", "--hidden-layers", "1", "--link",
                      "last-hidden-and-input", "--output", folder / "m", "--report",
                      folder / "r.json"});
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.errors, ContainsSubstring("90 samples and 30 to validate, 2 inputs, 2 out"));
    CHECK_THAT(outcome.errors, ContainsSubstring("grade 1/3: train RSE "));
    CHECK_THAT(outcome.output, ContainsSubstring("test PSNR"));

    const auto any = mgdl::load_any_model(folder / "m");
    CHECK((any.index() == 0) == (scalar == "float32"));
    const auto model = mgdl::load_model<double>(folder / "m").model;
    CHECK(model.link() == mgdl::FeatureLink::LastHiddenAndInput);
    CHECK(model.grade(1).network.hidden_layers() == 1);
    CHECK(model.grade(1).network.width() == 7);

    const Json report = folder.json("r.json");
    CHECK(keys_of(report) ==
          std::vector<std::string>{"grades", "discarded_grades", "termination", "message",
                                   "initial_rse", "seconds", "parameters", "multiply_adds", "seed",
                                   "validation_fraction", "options", "version", "build"});
    REQUIRE(static_cast<Index>(report["grades"].size()) == model.grades());
    REQUIRE(model.grades() > 0);
    double seconds = 0;
    for (const auto* list : {"grades", "discarded_grades"}) {
      for (const Json& grade : report[list]) {
        CHECK(keys_of(grade) == std::vector<std::string>{"trainer",
                                                         "train_rse",
                                                         "validation_rse",
                                                         "test_rse",
                                                         "train_r2",
                                                         "validation_r2",
                                                         "test_r2",
                                                         "train_output_rmse",
                                                         "validation_output_rmse",
                                                         "test_output_rmse",
                                                         "train_psnr",
                                                         "test_psnr",
                                                         "seconds",
                                                         "parameters",
                                                         "termination",
                                                         "train_max_error",
                                                         "validation_max_error",
                                                         "pointwise_growth",
                                                         "message",
                                                         "certificate",
                                                         "trials"});
        CHECK(grade["trainer"] == "Adam 1x7");
        CHECK(grade["termination"] == "MaxIterations");
        CHECK(grade["seconds"] > 0);
        seconds += grade["seconds"].get<double>();
      }
    }
    CHECK(report["seconds"] >= seconds);
    CHECK(report["parameters"] == model.parameters());
    CHECK(report["multiply_adds"] == model.multiply_adds());
    CHECK(report["seed"] == 18446744073709551615u);
    CHECK(report["version"] == mgdl::version());
    CHECK(report["build"]["compiler"].is_string());
    CHECK((report["termination"] == "MaxIterations" || report["termination"] == "ValidationStop"));

    // The test errors, from predictions of every prefix; the others, as the model stores them.
    const auto test = mgdl::read_npy<double>(fs::path(folder / "Yt.npy"));
    for (Index k = 1; k <= model.grades(); ++k) {
      const Json& grade = report["grades"][static_cast<std::size_t>(k - 1)];
      const auto scale = model.output_standardizer().scale();
      const auto expected =
          mgdl::compute_metrics(predict(folder, std::to_string(k)), test, {}, 20, scale);
      CHECK_THAT(grade["test_rse"].get<double>(), WithinRel(expected.rse, 1e-4));
      CHECK_THAT(grade["test_psnr"].get<double>(), WithinRel(expected.psnr, 1e-4));
      CHECK_THAT(grade["test_r2"].get<double>(), WithinRel(expected.r2, 1e-4));
      REQUIRE(grade["test_output_rmse"].size() == 2);
      for (std::size_t j = 0; j < 2; ++j) {
        CHECK_THAT(grade["test_output_rmse"][j].get<double>(),
                   WithinRel(expected.output_rmse[j], 1e-4));
      }
      CHECK(grade["train_rse"] == model.grade(k).train_rse);
      CHECK(grade["validation_rse"] == model.grade(k).validation_rse);
      CHECK(grade["parameters"] == model.grade(k).network.parameters());
      const auto errors = grade["train_output_rmse"].get<std::vector<double>>();
      REQUIRE(errors.size() == 2);
      const double rmse = std::sqrt((errors[0] * errors[0] + errors[1] * errors[1]) / 2);
      CHECK_THAT(grade["train_psnr"].get<double>(), WithinAbs(mgdl::psnr(rmse, 20), 1e-9));
    }
  }
}

TEST_CASE("the report tells all options", "[command/fit]") {
  const FitFolder folder;
  const Outcome outcome =
      fit(folder.csv() + Arguments{"--optimizer", "lbfgs", "--seed", "5", "--quiet", "--time-limit",
                                   "70", "--tolerance", "1e-9", "--output", folder / "m",
                                   "--report", folder / "r"});
  INFO(outcome.errors);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.output.empty());
  CHECK(outcome.errors.empty());
  const Json report = folder.json("r");
  const Json expected = {{"input", nullptr},
                         {"target", nullptr},
                         {"csv", folder / "both.csv"},
                         {"target_columns", {"v", "2"}},
                         {"test_input", nullptr},
                         {"test_target", nullptr},
                         {"test_csv", nullptr},
                         {"columns", nullptr},
                         {"exclude", nullptr},
                         {"header", "auto"},
                         {"delimiter", "auto"},
                         {"decimal", "auto"},
                         {"comment", "auto"},
                         {"validation", nullptr},
                         {"folds", 0},
                         {"grades", 3},
                         {"width", 7},
                         {"hidden_layers", nullptr},
                         {"link", "last-hidden"},
                         {"output_scale", "own"},
                         {"scalar", "float64"},
                         {"trainer", {"gradient"}},
                         {"optimizer", "lbfgs"},
                         {"initialization", nullptr},
                         {"epochs", 4},
                         {"batch", 16},
                         {"learning_rate", nullptr},
                         {"weight_decay", nullptr},
                         {"tolerance", 1e-9},
                         {"measure", "rse"},
                         {"tolerance_on_training", false},
                         {"time_limit", 70.0},
                         {"resume", nullptr},
                         {"memory", nullptr},
                         {"seed", 5},
                         {"threads", 0},
                         {"convex_problem", nullptr},
                         {"patterns", nullptr},
                         {"lambda_ratio", nullptr},
                         {"penalty", nullptr},
                         {"polish", nullptr},
                         {"hats", nullptr},
                         {"balanced", false},
                         {"output", folder / "m"},
                         {"checkpoint", nullptr},
                         {"report", folder / "r"},
                         {"plot", nullptr},
                         {"peak", 1.0},
                         {"quiet", true}};
  CHECK(report["options"] == expected);
  // The model keeps what decides on it, and where nothing came from or went to.
  Json kept = expected;
  for (const char* key :
       {"input",    "target",     "csv",     "target_columns", "test_input", "test_target",
        "test_csv", "columns",    "exclude", "header",         "delimiter",  "decimal",
        "comment",  "validation", "folds",   "threads",        "output",     "report",
        "plot",     "peak",       "quiet",   "memory",         "resume",     "checkpoint"}) {
    kept.erase(key);
  }
  CHECK(mgdl::load_model<double>(folder / "m").report->options == kept);
  CHECK(report["grades"][0]["trainer"] == "L-BFGS 2x7");
  for (const char* unknown : {"validation_rse", "test_rse", "test_psnr"}) {
    CHECK(report["grades"][0][unknown].is_null());
  }
}

TEST_CASE("CSV and npy files of the same numbers give the same model", "[command/fit]") {
  const FitFolder folder;
  const auto [X, Y] = mgdl::test::samples(120);
  mgdl::Matrix<double> swapped(Y.rows(), 2);
  swapped << Y.col(0), Y.col(1);  // "v,2" is Y's first, then its second column
  mgdl::write_npy(folder / "Y.npy", swapped);
  REQUIRE(fit(folder.npy() + Arguments{"--output", folder / "m"}).code == 0);
  const Outcome outcome =
      fit(folder.csv() + Arguments{"--test-csv", folder / "test.csv", "--report", folder / "r",
                                   "--output", folder / "n"});
  INFO(outcome.errors);
  REQUIRE(outcome.code == 0);
  const auto from_csv = mgdl::load_model<double>(folder / "n");
  CHECK(mgdl::load_model<double>(folder / "m").model == from_csv.model);
  CHECK(from_csv.names.inputs == std::vector<std::string>{"a", "b"});
  CHECK(from_csv.names.targets == std::vector<std::string>{"v", "u"});
  const auto expected = mgdl::compute_metrics(
      predict(folder, "3"), mgdl::read_npy<double>(fs::path(folder / "Yt.npy")), {}, 1,
      mgdl::load_model<double>(folder / "n").model.output_standardizer().scale());
  CHECK_THAT(folder.json("r")["grades"][2]["test_rse"].get<double>(),
             WithinRel(expected.rse, 1e-9));

  // Predictions of CSV input, as CSV: the two are the same numbers.
  const Outcome predicted =
      run({"predict", "--model", folder / "n", "--csv", folder / "test.csv", "--columns", "a,3",
           "--output", folder / "P.csv", "--threads", "2"});
  INFO(predicted.errors);
  REQUIRE(predicted.code == 0);
  CHECK(mgdl::read_csv<double>(fs::path(folder / "P.csv")).values == predict(folder, "3"));
}

TEST_CASE("a seed means the same bytes for any number of threads", "[command/fit]") {
  const FitFolder folder;
  const auto [X, Y] = mgdl::test::samples(1500);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "Y.npy", Y);
  for (const std::string scalar : {"float32", "float64"}) {
    // Batches of 512, so that threads have something to share.
    const Arguments large{"fit", "--width",  "24", "--batch",  "512", "--grades",
                          "2",   "--epochs", "3",  "--scalar", scalar};
    for (const std::string threads : {"1", "2"}) {
      const Outcome outcome =
          run(large + folder.npy() +
              Arguments{"--seed", "9", "--threads", threads, "--output", folder / threads});
      REQUIRE(outcome.code == 0);
    }
    CHECK(mgdl::read_file(folder / "1") == mgdl::read_file(folder / "2"));
    REQUIRE(run(large + folder.npy() + Arguments{"--seed", "8", "--output", folder / "2"}).code ==
            0);
    CHECK(mgdl::read_file(folder / "1") != mgdl::read_file(folder / "2"));
  }
}

TEST_CASE("with a time limit, as many folds are trained as fit", "[command/fit]") {
  const FitFolder folder;
  const auto [X, Y] = mgdl::test::samples(250);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "Y.npy", Y);
  const auto trained = [&](const std::string& width, const std::string& name,
                           const Arguments& more) {
    const Arguments all{"fit", "--trainer", "gradient",   "--width",  width,        "--grades",
                        "2",   "--report",  folder / "r", "--output", folder / name};
    REQUIRE(run(all + folder.npy() + more).code == 0);
    CHECK(run(Arguments{"verify", "--model", folder / name} + folder.npy()).code == 0);
    return folder.json("r");
  };
  // A limit that does not bind changes nothing.
  const Json free = trained("5", "free", {});
  const Json generous = trained("5", "generous", {"--time-limit", "1000"});
  CHECK(free["folds"] == 10);
  CHECK(generous["folds"] == 10);
  const auto model = [&](const std::string& name) {
    return mgdl::load_model<double>(folder / name).model;
  };
  CHECK(model("free") == model("generous"));
  // One that leaves no time for all of them: those that there are hold.
  const Json hurried = trained("500", "hurried", {"--time-limit", "0.3"});
  CHECK(hurried["folds"] == 10);
  CHECK(hurried.value("idle_folds", 0) < 10);
  CHECK(run({"predict", "--model", folder / "hurried", "--input", folder / "X.npy", "--interval",
             "0.9", "--output", folder / "p.npy"})
            .code == 0);
  // Folds that were asked for are what there is.
  const Json asked = trained("500", "asked", {"--time-limit", "0.3", "--folds", "3"});
  CHECK(asked["folds"] == 3);
  CHECK_FALSE(asked.contains("idle_folds"));
}

TEST_CASE("predict evaluates any prefix", "[command/predict]") {
  const FitFolder folder;
  REQUIRE(fit(folder.npy() + Arguments{"--output", folder / "m"}).code == 0);
  const auto model = mgdl::load_model<double>(folder / "m").model;
  const auto X = mgdl::read_npy<double>(fs::path(folder / "Xt.npy"));
  REQUIRE(model.grades() == 3);
  for (Index k = 0; k <= 3; ++k) {
    CHECK(predict(folder, std::to_string(k)) == model.predict(X, k));
  }
  const Outcome all = run({"predict", "--model", folder / "m", "--input", folder / "Xt.npy",
                           "--output", folder / "A.NPY"});
  CHECK(all.code == 0);
  CHECK(mgdl::read_npy<double>(fs::path(folder / "A.NPY")) == model.predict(X));
}

TEST_CASE("inspect shows what is in a model", "[command/inspect]") {
  const FitFolder folder;
  REQUIRE(fit(folder.npy() + Arguments{"--scalar", "float32", "--output", folder / "m"}).code == 0);
  const auto model = mgdl::load_model<float>(folder / "m").model;
  const Outcome table = run({"inspect", "--model", folder / "m"});
  CHECK(table.code == 0);
  CHECK_THAT(table.output, ContainsSubstring("scalar         float32"));
  CHECK_THAT(table.output, ContainsSubstring("2 -> 7 -> 7 -> 2"));
  CHECK_THAT(table.output, ContainsSubstring(std::to_string(model.parameters())));

  const Outcome json = run({"inspect", "--json", "--model", folder / "m"});
  const Json content = Json::parse(json.output);
  CHECK(content["scalar"] == "float32");
  CHECK(content["link"] == "LastHidden");
  CHECK(content["inputs"] == 2);
  CHECK(content["outputs"] == 2);
  CHECK(content["parameters"] == model.parameters());
  CHECK(content["multiply_adds"] == model.multiply_adds());
  REQUIRE(content["grades"].size() == 3);
  const Json& grade = content["grades"][1];
  CHECK(grade["layers"] == Json{7, 7, 7, 2});
  CHECK(grade["features"] == 7);
  CHECK(grade["train_rse"] == model.grade(2).train_rse);
  CHECK(grade["validation_rse"].is_null());
  CHECK(grade["parameters"] == model.grade(2).network.parameters());
  CHECK(grade["multiply_adds"] == model.grade(2).network.multiply_adds());
}

TEST_CASE("a plot is an SVG file, or a word that gnuplot is missing", "[command/plot]") {
  const FitFolder folder;
  mgdl::write_npy(folder / "X.npy", mgdl::test::samples(120).X.col(0));
  mgdl::write_npy(folder / "Y.npy", mgdl::test::samples(120).Y.col(0));
  // A name that would do harm, were it given to a shell or to gnuplot.
  const std::string plot = folder / "it's $(touch harm) `touch harm`.svg";
  const Arguments arguments =
      folder.npy() + Arguments{"--validation", "0.1", "--output", folder / "m", "--plot", plot};
  Outcome outcome = fit(arguments);
  INFO(outcome.errors);
  REQUIRE(outcome.code == 0);
  if (outcome.errors.find("gnuplot") == std::string::npos) {
    const std::string picture = mgdl::read_file(plot);
    CHECK_THAT(picture, ContainsSubstring("<svg"));
    CHECK_THAT(picture, ContainsSubstring("</svg>"));
    CHECK_THAT(picture, ContainsSubstring("validation"));
    CHECK_THAT(picture, ContainsSubstring(">grades<"));
    CHECK_THAT(picture, !ContainsSubstring("iterations"));
    CHECK_THAT(picture, ContainsSubstring("samples"));  // the second panel
    fs::remove(plot);
  }
  CHECK_FALSE(fs::exists(folder / "harm"));
  // A race of settings has no curve; its axis counts grades. One training has.
  const std::string single = folder / "single.svg";
  REQUIRE(fit(folder.npy() + Arguments{"--output", folder / "m", "--plot", single}).code == 0);
  if (outcome.errors.find("gnuplot") == std::string::npos) {
    CHECK_THAT(mgdl::read_file(single), ContainsSubstring("iterations"));
  }

  // Without gnuplot everything else is written.
  const std::string path = std::getenv("PATH");
  fs::remove(folder / "m");
  setenv("PATH", (folder / "nowhere").c_str(), 1);
  outcome = fit(arguments);
  setenv("PATH", path.c_str(), 1);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.errors, ContainsSubstring("mgdl fit: gnuplot"));
  CHECK_THAT(outcome.errors, ContainsSubstring(plot));
  CHECK_FALSE(fs::exists(plot));
  CHECK(fs::exists(folder / "m"));
}

TEST_CASE("a numerical failure has an exit code and leaves a model", "[command/fit]") {
  const FitFolder folder;
  const Outcome outcome =
      fit(folder.npy() + Arguments{"--scalar", "float32", "--learning-rate", "1e38", "--output",
                                   folder / "m", "--report", folder / "r"});
  CHECK(outcome.code == 3);
  CHECK_THAT(outcome.errors, ContainsSubstring("mgdl fit: numerical failure"));
  CHECK_NOTHROW(mgdl::load_model<float>(folder / "m").model);
  CHECK_THAT(mgdl::read_file(folder / "r"), ContainsSubstring("NumericalFailure"));
}

TEST_CASE("help and version", "[command]") {
  CHECK(run({"--version"}).output == std::string("mgdl ") + mgdl::version() + "\n");
  const Outcome help = run({"fit", "--help"});
  CHECK(help.code == 0);
  CHECK(help.errors.empty());
  for (const char* flag : {"--input",          "--target",         "--csv",
                           "--target-columns", "--test-input",     "--test-target",
                           "--validation",     "--grades",         "--width",
                           "--hidden-layers",  "--optimizer",      "--epochs",
                           "--batch",          "--learning-rate",  "--tolerance",
                           "--time-limit",     "--seed",           "--scalar",
                           "--threads",        "--link",           "--output",
                           "--report",         "--plot",           "--peak",
                           "--quiet",          "--folds",          "--weight-decay",
                           "--initialization", "--trainer",        "--measure",
                           "--hats",           "--convex-problem", "--tolerance-on-training",
                           "Examples:"}) {
    CHECK_THAT(help.output, ContainsSubstring(flag));
  }
  CHECK(run({"--help"}).code == 0);
  CHECK(run({"predict", "--help"}).code == 0);
  CHECK(run({"inspect", "--help"}).code == 0);
}

TEST_CASE("the example data can be fitted", "[command/fit]") {
  const FitFolder folder;
  const std::string terrain = std::string(MGDL_DATA_DIR) + "/jacksboro_fault_elevation.npy";
  // Each row of the terrain as one sample: neighbours from neighbours.
  const auto elevation = mgdl::read_npy<double>(fs::path(terrain));
  mgdl::write_npy(folder / "X.npy", elevation.leftCols(3));
  mgdl::write_npy(folder / "Y.npy", elevation.col(3));
  const Outcome outcome =
      fit(folder.npy() + Arguments{"--output", folder / "m", "--report", folder / "r"});
  REQUIRE(outcome.code == 0);
  CHECK(folder.json("r")["grades"][2]["train_rse"] < 1e-2);
}
