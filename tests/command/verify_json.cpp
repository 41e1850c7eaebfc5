// `mgdl verify`: yes for what was fitted, no for anything else.

#include <filesystem>
#include <string>
#include <vector>

#include "command/run_command.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

class Folder : public mgdl::test::TemporaryFolder {
 public:
  Folder() {
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
  const Folder folder;
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
  const Folder folder;
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
  const Folder folder;
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
