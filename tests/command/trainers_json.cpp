// `mgdl fit --trainer`: every way to train a grade, their flags, and what the report says of them,
// compared with what is computed here from samples and models.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/run_command.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/report_json.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

/// Samples with one output and one input (t) or two (X), and the outcome of the last fit.
class TrainersFolder : public mgdl::test::TemporaryFolder {
 public:
  TrainersFolder() {
    const auto [X, Y] = mgdl::test::samples(80);
    mgdl::write_npy(*this / "X", X);
    mgdl::write_npy(*this / "t", X.col(0));
    mgdl::write_npy(*this / "Y", Y.col(0));
  }

  /// The report of a fit that has to succeed. "X" or "t" are the inputs.
  Json fit(const std::string& inputs, const Arguments& arguments) const {
    bool trained = false;
    for (const auto& argument : arguments) {
      trained = trained || argument.find("gradient") != argument.npos || argument == "auto";
    }
    const Outcome outcome =
        run(Arguments{"fit", "--input", *this / inputs, "--target", *this / "Y", "--quiet",
                      "--folds", "0", "--output", *this / "m", "--report", *this / "r"} +
            (trained ? Arguments{"--epochs", "4", "--batch", "16"} : Arguments{}) + arguments);
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    return Json::parse(mgdl::read_file(*this / "r"));
  }

  mgdl::MultigradeModel<double> model() const {
    return mgdl::load_model<double>(*this / "m").model;
  }

  /// Errors of the first k grades at all samples.
  mgdl::Matrix<double> errors(const std::string& inputs, Index k) const {
    return model().predict(read(inputs), k) - read("Y");
  }

  mgdl::Matrix<double> read(const std::string& name) const {
    return mgdl::read_npy<double>(std::filesystem::path(*this / name));
  }
};

const Arguments kSmallGrades{"--width", "7", "--grades", "2"};

std::string trainer_of(const Json& report, std::size_t k) {
  return report["grades"].at(k)["trainer"].get<std::string>();
}

}  // namespace

TEST_CASE("every trainer fits, and the report has its errors", "[command/trainers]") {
  const TrainersFolder folder;
  struct Case {
    std::string name, inputs, trainer;
  };
  const std::vector<Case> cases{{"gradient", "X", "Adam 2x7"},
                                {"sampled", "X", "sampled 1x7"},
                                {"convex", "X", "gated 1x"},
                                {"convex", "t", "convex 1x"},
                                {"constructive", "X", "hats 32"},
                                {"affine", "X", "affine"},
                                {"auto", "X", ""}};
  for (const Case& each : cases) {
    INFO(each.name);
    const Json report = folder.fit(each.inputs, kSmallGrades + Arguments{"--trainer", each.name});
    const auto model = folder.model();
    REQUIRE(model.grades() == 2);
    CHECK(report["options"]["trainer"] == Json{each.name});
    for (Index k = 1; k <= model.grades(); ++k) {
      const Json& grade = report["grades"][static_cast<std::size_t>(k - 1)];
      if (k == 1) CHECK_THAT(grade["trainer"].get<std::string>(), StartsWith(each.trainer));
      const auto errors = folder.errors(each.inputs, k);
      CHECK_THAT(grade["train_rse"].get<double>(),
                 WithinRel(errors.squaredNorm() / folder.read("Y").squaredNorm(), 1e-6) ||
                     WithinAbs(0, 1e-20));
      CHECK_THAT(grade["train_max_error"].get<double>(),
                 WithinRel(errors.cwiseAbs().maxCoeff(), 1e-6) || WithinAbs(0, 1e-9));
      CHECK(grade["validation_max_error"].is_null());
      CHECK(grade["certificate"].is_object() == (each.name == "convex"));
      CHECK(grade["trials"].empty() == (each.name != "auto"));
      CHECK_FALSE(grade["message"].get<std::string>().empty());
    }
    // The model file says the same, as far as it keeps it.
    const Json kept = mgdl::model_report(*mgdl::load_model<double>(folder / "m").report);
    CHECK(kept["grades"].back()["trainer"] == report["grades"].back()["trainer"]);
    CHECK(kept["grades"].back()["certificate"] == report["grades"].back()["certificate"]);
  }
}

TEST_CASE("without --width every trainer has its own", "[command/trainers]") {
  const TrainersFolder folder;
  const Arguments one{"--grades", "1", "--trainer"};
  folder.fit("X", one + Arguments{"gradient"});
  CHECK(folder.model().grade(1).network.width() == 64);
  CHECK(folder.model().grade(1).network.hidden_layers() == 2);
  const Json report = folder.fit("X", one + Arguments{"sampled"});
  CHECK(folder.model().grade(1).network.width() > 64);
  CHECK(folder.model().grade(1).network.hidden_layers() == 1);
  CHECK(report["options"]["width"].is_null());
  folder.fit("X", one + Arguments{"sampled", "--hidden-layers", "2", "--width", "9"});
  CHECK(folder.model().grade(1).network.width() == 9);
  CHECK(folder.model().grade(1).network.hidden_layers() == 2);
}

TEST_CASE("a schedule: one trainer a grade, the last one for the rest", "[command/trainers]") {
  const TrainersFolder folder;
  const Arguments four{"--width", "7", "--grades", "4"};
  const Json report = folder.fit(
      "X", four + Arguments{"--trainer", "convex,sampled,gradient", "--validation", "0.2",
                            "--tolerance", "0", "--lambda-ratio", "0.1", "--optimizer", "adam"});
  // However many were kept, they were trained in this order.
  Json all = report["grades"];
  for (const Json& grade : report["discarded_grades"]) all.push_back(grade);
  REQUIRE(all.size() >= 2);
  const std::vector<std::string> expected{"gated", "sampled", "Adam", "Adam"};
  for (std::size_t k = 0; k < all.size(); ++k) {
    CHECK_THAT(all[k]["trainer"].get<std::string>(), StartsWith(expected[k]));
    CHECK(all[k]["validation_max_error"].is_number());
  }
  const Json plain = folder.fit("X", four + Arguments{"--trainer", "convex,sampled,gradient"});
  REQUIRE(plain["grades"].size() == 4);
  for (std::size_t k = 0; k < 4; ++k) CHECK_THAT(trainer_of(plain, k), StartsWith(expected[k]));
  const std::string bytes = mgdl::read_file(folder / "m");
  folder.fit("X", four + Arguments{"--trainer", "convex", "--trainer", "sampled", "--trainer",
                                   "gradient"});
  CHECK(mgdl::read_file(folder / "m") == bytes);
}

TEST_CASE("the flags of convex grades", "[command/trainers]") {
  const TrainersFolder folder;
  const auto fit = [&](const std::string& inputs, const Arguments& more) {
    return folder.fit(inputs,
                      Arguments{"--grades", "1", "--trainer", "convex"} + more)["grades"][0];
  };
  const Json all = fit("t", {"--lambda-ratio", "0.02"});
  const Json& proof = all["certificate"];
  CHECK(proof["scope"] == "AllPatterns");
  CHECK(proof["relative_gap"] <= 1e-6);
  const double primal = proof["primal"].get<double>();
  CHECK_THAT(proof["relative_gap"].get<double>(),
             WithinAbs((primal - proof["dual"].get<double>()) / primal, 1e-12));
  CHECK_THAT(proof["lambda"].get<double>(),
             WithinRel(0.02 * proof["lambda_max"].get<double>(), 1e-6));

  CHECK(fit("t", {"--patterns", "9"})["certificate"]["scope"] == "SampledPatterns");
  CHECK_THAT(fit("X", {"--patterns", "9"})["message"].get<std::string>(),
             ContainsSubstring(" over 10 patterns"));
  CHECK(fit("X", {})["message"] == fit("X", {"--patterns", "50"})["message"]);

  const Json relu = fit("X", {"--convex-problem", "relu", "--lambda-ratio", "0.05"});
  CHECK_THAT(relu["trainer"].get<std::string>(), StartsWith("convex 1x"));
  const Json polished =
      fit("X", {"--convex-problem", "relu", "--lambda-ratio", "0.05", "--polish", "30"});
  CHECK_THAT(polished["message"].get<std::string>(), ContainsSubstring("polished"));
  CHECK(polished["certificate"]["primal"] < relu["certificate"]["primal"]);

  fit("t", {});
  REQUIRE(folder.model().grade(1).network.width() > 4);
  fit("t", {"--penalty", "width", "--width", "4"});
  CHECK(folder.model().grade(1).network.width() <= 4);
  // With noise, the smallest penalty is not the best.
  mgdl::RandomStream random(mgdl::test::seed(), 91);
  mgdl::Matrix<double> noisy = folder.read("Y");
  for (auto& y : noisy.reshaped()) y += random.normal();
  mgdl::write_npy(folder / "Y", noisy);
  const auto validation_rse = [&](const Arguments& more) {
    const Json grade = fit("t", Arguments{"--validation", "0.5", "--lambda-ratio", "1e-6"} + more);
    // A grade that is worse than the mean is not kept.
    return grade.is_null() ? 1e300 : grade["validation_rse"].get<double>();
  };
  CHECK(validation_rse({"--penalty", "validation"}) < validation_rse({}));
}

TEST_CASE("the flags of constructive grades", "[command/trainers]") {
  const TrainersFolder folder;
  const Arguments five{"--trainer", "constructive", "--grades", "5", "--hats", "6"};
  const Json report = folder.fit("X", five);
  REQUIRE(report["grades"].size() == 5);
  for (const Json& grade : report["grades"]) {
    CHECK_THAT(grade["trainer"].get<std::string>(), StartsWith("hats 6"));
    CHECK(grade["pointwise_growth"] <= 1e-12);
  }
  CHECK(folder.model().grade(3).network.width() == 6 + 2 * 2);
  const std::string bytes = mgdl::read_file(folder / "m");
  folder.fit("X", five + Arguments{"--balanced"});
  CHECK(mgdl::read_file(folder / "m") != bytes);

  // After grades of another kind, with the inputs handed on.
  const Json mixed = folder.fit("X", kSmallGrades + Arguments{"--trainer", "gradient,constructive",
                                                              "--link", "last-hidden-and-input"});
  CHECK_THAT(trainer_of(mixed, 1), StartsWith("hats 32, spacing"));
}

TEST_CASE("auto tells what it tried", "[command/trainers]") {
  const TrainersFolder folder;
  const auto names = [&](const std::string& inputs) {
    const Json report =
        folder.fit(inputs, Arguments{"--trainer", "auto", "--width", "7", "--grades", "1"});
    std::vector<std::string> tried;
    for (const Json& trial : report["grades"][0]["trials"]) {
      const auto name = trial["trainer"].get<std::string>();
      CHECK(trial["objective"] > 0);
      CHECK(trial["seconds"] > 0);
      tried.push_back(name.substr(0, name.find(' ')));
      if (name == trainer_of(report, 0)) tried.back() += "*";
    }
    return tried;
  };
  const auto count_chosen = [](const std::vector<std::string>& tried) {
    return std::ranges::count_if(tried, [](const auto& name) { return name.back() == '*'; });
  };
  const auto four = names("t");
  REQUIRE(four.size() == 4);
  CHECK_THAT(four[0], StartsWith("affine"));
  CHECK_THAT(four[1], StartsWith("convex"));
  CHECK_THAT(four[2], StartsWith("sampled"));
  CHECK_THAT(four[3], StartsWith("Adam"));
  CHECK(count_chosen(four) == 1);
  const auto three = names("X");
  REQUIRE(three.size() == 3);
  CHECK_THAT(three[1], StartsWith("sampled"));
  CHECK(count_chosen(three) == 1);
}

TEST_CASE("without options samples are held out in folds, and what is chosen beats affine",
          "[command/trainers]") {
  const TrainersFolder folder;
  // A linear function and much noise: there is little else to be learnt.
  mgdl::RandomStream random(mgdl::test::seed(), 92);
  mgdl::Matrix<double> noisy = folder.read("X").rowwise().sum();
  for (auto& y : noisy.reshaped()) y += 2 * random.normal();
  mgdl::write_npy(folder / "Y", noisy);
  const Arguments samples{"--input", folder / "X", "--target", folder / "Y"};
  const Outcome outcome = run(Arguments{"fit", "--output", folder / "m", "--report", folder / "r",
                                        "--grades", "2", "--width", "8", "--epochs", "20"} +
                              samples);
  INFO(outcome.errors + outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.errors, ContainsSubstring("80 samples in 5 folds"));
  const Json report = Json::parse(mgdl::read_file(folder / "r"));
  CHECK(report["folds"] == 5);
  const Json& first = report["grades"][0];
  CHECK(first["trials"][0]["trainer"] == "affine");
  double least = 1e300;
  for (const Json& trial : first["trials"]) {
    if (trial["trainer"].get<std::string>().rfind(first["trainer"].get<std::string>(), 0) == 0) {
      least = std::min(least, trial["objective"].get<double>());
    }
  }
  CHECK(least <= first["trials"][0]["objective"]);
  CHECK(first["member_biases"].size() == 5);
  CHECK(folder.model().grade(1).network.readout().inputs() % 5 == 0);
  CHECK(run(Arguments{"verify", "--model", folder / "m"} + samples).code == 0);
  // The same without: one affine grade of 2 x 2 units.
  folder.fit("X", {"--trainer", "affine", "--grades", "1"});
  CHECK(folder.model().grade(1).network.width() == 4);
}

TEST_CASE("the tolerance is about the error that is asked for", "[command/trainers]") {
  const TrainersFolder folder;
  const Arguments many{"--trainer", "constructive", "--hats", "9", "--grades", "40"};
  const auto errors_of = [&](const std::string& measure, Index k) {
    const auto errors = folder.errors("t", k);
    if (measure == "max-error") return errors.cwiseAbs().maxCoeff();
    const double square = errors.squaredNorm();
    return measure == "rse" ? square / folder.read("Y").squaredNorm()
                            : std::sqrt(square / static_cast<double>(errors.size()));
  };
  for (const std::string measure : {"rse", "rmse", "max-error"}) {
    INFO(measure);
    const double tolerance = 0.02;
    const Json report =
        folder.fit("t", many + Arguments{"--tolerance", "0.02", "--measure", measure});
    CHECK(report["termination"] == "ToleranceReached");
    const auto grades = folder.model().grades();
    CHECK(errors_of(measure, grades) <= tolerance);
    CHECK(errors_of(measure, grades - 1) > tolerance);
  }

  // A validation error that stays above it, and a training error that does not.
  const Arguments held_out =
      Arguments{"--trainer", "convex",         "--grades", "1",         "--validation",
                "0.3",       "--lambda-ratio", "1e-6",     "--measure", "max-error"};
  const Json both = folder.fit("t", held_out)["grades"][0];
  const double train = both["train_max_error"].get<double>();
  const double validation = both["validation_max_error"].get<double>();
  REQUIRE(train < validation);
  const Arguments between =
      held_out + Arguments{"--tolerance", std::to_string((train + validation) / 2)};
  CHECK(folder.fit("t", between)["termination"] != "ToleranceReached");
  CHECK(folder.fit("t", between + Arguments{"--tolerance-on-training"})["termination"] ==
        "ToleranceReached");
}
