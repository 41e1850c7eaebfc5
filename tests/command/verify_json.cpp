// `mgdl verify`: yes for what was fitted, no for anything else.

#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "command/run_command.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "mgdl/training/verify_model.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

class VerifyFolder : public mgdl::test::TemporaryFolder {
 public:
  VerifyFolder() {
    const auto [X, Y] = mgdl::test::samples(80);
    mgdl::write_npy(*this / "X", X);
    mgdl::write_npy(*this / "t", X.col(0));
    mgdl::write_npy(*this / "Y", Y);
    mgdl::Matrix<double> wrong = Y;
    wrong(5, 1) += 0.1;
    mgdl::write_npy(*this / "wrong", wrong);
    mgdl::Matrix<double> both(X.rows(), 4);
    both << X, Y;
    mgdl::write_csv(*this / "both.csv", both);
  }

  void make(const Arguments& arguments) const {
    const Outcome outcome = run(arguments + Arguments{"--quiet", "--output", *this / "m"});
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
  }

  Arguments samples(const std::string& inputs, const std::string& targets = "Y") const {
    return {"--input", *this / inputs, "--target", *this / targets};
  }

  Outcome verify(const Arguments& arguments) const {
    return run(Arguments{"verify", "--model", *this / "m"} + arguments);
  }
};

}  // namespace

TEST_CASE("what was fitted is verified, with the samples held out as then", "[command/verify]") {
  const VerifyFolder folder;
  struct Case {
    std::string inputs, trainer;
    Arguments more;
  };
  const std::vector<Case> cases{
      {"X", "gradient", {"--validation", "0.2", "--seed", "4", "--scalar", "float32"}},
      {"X", "gradient", {"--folds", "3", "--seed", "4", "--scalar", "float32"}},
      {"X", "sampled,affine", {"--width", "20"}},
      {"X", "convex,sampled", {"--link", "last-hidden-and-input"}},
      {"t", "convex", {"--validation", "0.25", "--scalar", "float32"}},
      {"X", "convex", {"--convex-problem", "relu", "--polish", "5", "--validation", "0.1"}},
      {"X", "constructive", {"--hats", "8"}},
  };
  for (const auto& [inputs, trainer, more] : cases) {
    folder.make(Arguments{"fit", "--trainer", trainer, "--grades", "2"} + folder.samples(inputs) +
                (trainer == "gradient" ? Arguments{"--width", "6", "--epochs", "5"} : Arguments{}) +
                more);
    const Outcome good = folder.verify(folder.samples(inputs));
    CAPTURE(trainer, good.output, good.errors);
    CHECK(good.code == 0);
    CHECK_THAT(good.output, ContainsSubstring("yes") && ContainsSubstring("all claims hold"));
    CHECK_THAT(good.output, !ContainsSubstring("no:"));
    const bool certified = trainer.find("convex") != trainer.npos;
    CHECK((good.output.find("gap") != good.output.npos) == certified);
    const Outcome bad = folder.verify(folder.samples(inputs, "wrong"));
    CHECK(bad.code == 4);
    CHECK_THAT(bad.output, ContainsSubstring("no: ") && ContainsSubstring("not all claims hold"));
    CHECK(bad.errors.empty());
  }
}

TEST_CASE("convex models and CSV files are verified too", "[command/verify]") {
  const VerifyFolder folder;
  const Arguments csv{"--csv", folder / "both.csv", "--target-columns", "3,4"};
  folder.make(Arguments{"fit", "--width", "6", "--epochs", "3", "--validation", "0.2"} + csv);
  CHECK(folder.verify(csv).code == 0);
  CHECK(folder.verify(folder.samples("X")).code == 0);
  CHECK(folder.verify(folder.samples("X", "wrong")).code == 4);

  for (const Arguments& problem :
       std::vector<Arguments>{{"--formulation", "gated", "--gate-count", "20"},
                              {"--formulation", "gated", "--gate-count", "20", "--no-bias",
                               "--output-bias", "--validation", "0.2", "--path", "4"},
                              {"--formulation", "relu", "--gate-count", "20"},
                              {"--formulation", "relu", "--all-patterns"}}) {
    const bool all = problem.back() == "--all-patterns";
    folder.make(Arguments{"convex", "--lambda-ratio", "0.05", "--seed", "3"} +
                folder.samples(all ? "t" : "X") + problem);
    const Outcome good = folder.verify(folder.samples(all ? "t" : "X"));
    CAPTURE(problem, good.output, good.errors);
    CHECK(good.code == 0);
    CHECK(folder.verify(folder.samples(all ? "t" : "X", "wrong")).code == 4);
  }
}

TEST_CASE("a file that claims too much is not believed", "[command/verify]") {
  const VerifyFolder folder;
  folder.make(Arguments{"fit", "--trainer", "convex", "--grades", "2"} + folder.samples("X"));
  const auto saved = mgdl::load_model<double>(folder / "m");
  const auto code_of = [&](const auto& change) {
    auto copy = saved;
    change(copy);
    mgdl::save_model(folder / "m", copy.model, &*copy.report);
    return folder.verify(folder.samples("X")).code;
  };
  CHECK(code_of([](auto&) {}) == 0);
  CHECK(code_of([](auto& s) { s.report->grades[0].fit.certificate->dual *= 1.001; }) == 4);
  CHECK(code_of([](auto& s) { s.report->grades[0].fit.certificate->primal *= 0.999; }) == 4);
  CHECK(code_of([](auto& s) { s.report->grades[0].fit.witness->gated->coefficients *= 1.01; }) ==
        4);
  CHECK(code_of([](auto& s) { s.report->grades[0].fit.witness.reset(); }) == 4);
  CHECK(code_of([](auto& s) { s.report->grades[0].fit.certificate.reset(); }) == 0);  // claims less
  CHECK(code_of([](auto& s) {
          auto grade = s.model.grade(2);
          s.model.truncate(1);
          grade.train_rse *= 0.99;
          s.model.add_grade(grade);
        }) == 4);
  CHECK(code_of([](auto& s) {
          auto grade = s.model.grade(2);
          s.model.truncate(1);
          grade.network = grade.network.scaled(1.01);
          s.model.add_grade(grade);
        }) == 4);
  CHECK(code_of([](auto& s) { s.report->validation_fraction = 0.1; }) == 4);
  // The split cannot be known without a report.
  mgdl::save_model(folder / "m", saved.model);
  const Outcome outcome = folder.verify(folder.samples("X"));
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.errors, ContainsSubstring("a report, which says how the samples were split"));
}

TEST_CASE("verify and inspect say what is not checked, and what a bound covers",
          "[command/verify]") {
  const VerifyFolder folder;
  for (const Arguments& problem : std::vector<Arguments>{
           {"fit", "--trainer", "convex", "--grades", "2", "--validation", "0.2"},
           {"fit", "--trainer", "convex", "--grades", "1", "--convex-problem", "relu", "--scalar",
            "float32"},
           {"convex", "--lambda-ratio", "0.05", "--gate-count", "20"}}) {
    folder.make(problem + folder.samples("X"));
    const Outcome found = folder.verify(folder.samples("X"));
    CAPTURE(problem, found.output, found.errors);
    CHECK(found.code == 0);
    const Outcome shown = run({"inspect", "--model", folder / "m"});
    for (const std::string& output : {found.output, shown.output}) {
      CHECK_THAT(output, ContainsSubstring("SampledPatterns (") &&
                             ContainsSubstring("Exact, cone violation "));
    }
    for (const std::string& place : mgdl::unchecked_claims()) {
      CHECK_THAT(found.output, ContainsSubstring(place));
    }
    // Messages and the like are said to be so, and numbers stand before.
    const auto unchecked = shown.output.find("not checked by mgdl verify:");
    REQUIRE(unchecked != std::string::npos);
    CHECK(shown.output.find("fit: ") > unchecked);
    CHECK(shown.output.find(": objective") < unchecked);
    CHECK(shown.output.find("train RSE before the first grade") < unchecked);
    const auto model = mgdl::load_any_model(folder / "m");
    const std::string samples =
        std::visit([](const auto& saved) { return saved.model.grade(1).samples; }, model);
    CHECK(samples.size() == 32);
    CHECK_THAT(shown.output, ContainsSubstring("samples from grade 1 on: " + samples));
    const auto json =
        nlohmann::ordered_json::parse(run({"inspect", "--model", folder / "m", "--json"}).output);
    CHECK(json["not_checked"] == mgdl::unchecked_claims());
    CHECK(json["grades"][0]["samples"] == samples);
  }
}

TEST_CASE("a model that was resumed on other samples is verified with both", "[command/verify]") {
  const VerifyFolder folder;
  const auto [X, Y] = mgdl::test::samples(90, 0.3);
  mgdl::write_npy(folder / "X2", X);
  mgdl::write_npy(folder / "Y2", Y);
  folder.make(Arguments{"fit", "--trainer", "sampled", "--width", "2", "--grades", "2",
                        "--validation", "0.2", "--seed", "4"} +
              folder.samples("X"));
  const auto saved = mgdl::load_model<double>(folder / "m");
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<double>({.width = 30}),
                                  {.max_grades = 2, .patience = 9}};
  const auto data = mgdl::split(mgdl::Dataset<double>(X, Y), 0.2, 4);
  const auto fit = trainer.resume(saved.model, data);
  REQUIRE(fit.model.grades() > saved.model.grades());
  auto report = mgdl::summarise(fit);
  report.seed = 4;
  report.validation_fraction = 0.2;
  const auto intervals = mgdl::calibrate(fit, data);
  mgdl::save_model(folder / "m", fit.model, &report, &intervals);
  const auto first = folder.verify(folder.samples("X"));
  const auto second = folder.verify(folder.samples("X2", "Y2"));
  for (const auto& found : {first, second}) {
    CAPTURE(found.output, found.errors);
    CHECK(found.code == 5);
    CHECK_THAT(found.output, ContainsSubstring("other samples (") && ContainsSubstring("yes") &&
                                 ContainsSubstring("what is checked holds; not checked: ") &&
                                 !ContainsSubstring("claims hold"));
  }
  CHECK_THAT(first.output,
             ContainsSubstring("the prediction intervals, which are of other samples"));
  CHECK_THAT(second.output, ContainsSubstring("the scores hold"));
  CHECK(folder.verify(folder.samples("X", "wrong")).code == 4);
  const auto both = [&](const Arguments& earlier) {
    const auto found = folder.verify(folder.samples("X2", "Y2") + earlier);
    const auto reversed = folder.verify(earlier + folder.samples("X2", "Y2"));
    CHECK(reversed.code == found.code);
    CHECK(reversed.output == found.output);
    return found;
  };
  const auto all = both(folder.samples("X"));
  CAPTURE(all.output, all.errors);
  CHECK(all.code == 0);
  CHECK_THAT(all.output, ContainsSubstring("all claims hold") &&
                             ContainsSubstring("the scores hold") &&
                             !ContainsSubstring("other samples"));
  CHECK(both(folder.samples("X", "wrong")).code == 4);
  // A grade that claims too much is not hidden by a fingerprint of no samples.
  auto forged = fit.model;
  forged.truncate(0);
  for (Index k = 1; k <= fit.model.grades(); ++k) {
    auto grade = fit.model.grade(k);
    if (k == 1) grade.samples = std::string(32, '0');
    if (k == 1) grade.train_rse *= 0.5;
    forged.add_grade(grade);
  }
  report.grades[0].train_rse = forged.grade(1).train_rse;
  mgdl::save_model(folder / "m", forged, &report);
  const auto hidden = both(folder.samples("X"));
  CAPTURE(hidden.output);
  CHECK(hidden.code != 0);
  CHECK_THAT(hidden.output, !ContainsSubstring("\nall claims hold"));
}

TEST_CASE("data that float32 does not keep are refused, with the way out", "[command/verify]") {
  const VerifyFolder folder;
  constexpr Index n = 60;
  const auto write = [&](const std::function<double(double)>& input,
                         const std::function<double(double)>& target) {
    mgdl::Matrix<double> values(n, 3);
    for (Index i = 0; i < n; ++i) {
      const auto t = static_cast<double>(i);
      values.row(i) << input(t), std::cos(t), target(t);
    }
    mgdl::write_csv(folder / "d.csv", values, {"time", "second", "level"});
    mgdl::write_npy(folder / "dX", mgdl::Matrix<double>(values.leftCols(2)));
    mgdl::write_npy(folder / "dY", mgdl::Matrix<double>(values.rightCols(1)));
  };
  const Arguments fit{"fit",      "--trainer", "sampled", "--width",  "5",
                      "--grades", "1",         "--quiet", "--output", folder / "m"};
  const Arguments csv{"--csv", folder / "d.csv", "--target-columns", "level"};
  const Arguments npy{"--input", folder / "dX", "--target", folder / "dY"};
  const Arguments narrow{"--scalar", "float32"};
  using Function = std::function<double(double)>;
  const Function wave = [](double t) { return std::sin(t / 9); };
  const std::vector<Function> lost{
      [](double t) { return 1764500000 + t; },
      [](double t) { return 1764500000 + 60 * t; },
      [](double t) { return 20251129120000 + 100 * t; },
      [](double t) { return 1e9 + std::sin(t / 9); },
      [](double t) { return -3e12 + 1e4 * std::sin(t / 9); },
      [](double t) { return 1e-60 * (t + 1); },
      [](double t) { return 1e60 * (t + 1); },
  };
  for (std::size_t k = 0; k < 2 * lost.size(); ++k) {
    const bool target = k % 2 == 1;
    write(target ? wave : lost[k / 2], target ? lost[k / 2] : wave);
    for (const auto& [samples, file, column] :
         {std::tuple{csv, std::string("d.csv"), std::string(target ? "level" : "time")},
          std::tuple{npy, std::string(target ? "dY" : "dX"), std::string("1")}}) {
      const Outcome refused = run(fit + samples + narrow);
      CAPTURE(k, samples, refused.output, refused.errors);
      CHECK(refused.code == 2);
      CHECK_THAT(refused.errors, ContainsSubstring(file) && ContainsSubstring("column " + column) &&
                                     ContainsSubstring("--scalar float64"));
    }
    CHECK(run(fit + csv).code == 0);
  }
  // What float32 keeps, or what was nothing in float64 either.
  for (const Function& kept : std::vector<Function>{
           [](double t) { return 1950 + t; },
           [](double t) { return 101325 + 60 * std::sin(t / 9); },
           [](double t) { return 16777216 + 2 * t; }, [](double) { return 1e9 + 0.1; },
           [](double t) { return 0.1 * t; }, [](double t) { return 1e30 * t; }}) {
    for (const bool target : {false, true}) {
      write(target ? wave : kept, target ? kept : wave);
      for (const Arguments& samples : {csv, npy}) {
        const Outcome outcome = run(fit + samples + narrow);
        CAPTURE(outcome.errors);
        REQUIRE(outcome.code == 0);
        const Outcome found = folder.verify(samples);
        CAPTURE(found.output, found.errors);
        CHECK(found.code == 0);
      }
    }
  }
}
