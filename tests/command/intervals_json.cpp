// Prediction intervals from `mgdl fit` to `mgdl predict`, `mgdl verify` and `mgdl inspect`.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "command/run_command.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

class IntervalsFolder : public mgdl::test::TemporaryFolder {
 public:
  IntervalsFolder() {
    const auto [X, Y] = mgdl::test::samples(80);
    mgdl::write_npy(*this / "X", X);
    mgdl::write_npy(*this / "Y", Y);
    mgdl::write_npy(*this / "y", Y.col(1));
    mgdl::Matrix<double> wrong = Y;
    wrong.row(5).array() += 0.5;
    mgdl::write_npy(*this / "wrong", wrong);
  }

  void fit(const std::string& target, const Arguments& more) const {
    const Outcome outcome = run(Arguments{"fit", "--input", *this / "X", "--target", *this / target,
                                          "--trainer", "sampled", "--width", "12", "--grades", "2",
                                          "--quiet", "--seed", "3", "--output", *this / "m"} +
                                more);
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
  }

  Outcome predict(const Arguments& more, const std::string& output = "P.npy") const {
    return run(Arguments{"predict", "--model", *this / "m", "--input", *this / "X", "--output",
                         *this / output} +
               more);
  }

  std::string predict_error(const Arguments& more) const {
    const Outcome outcome = predict(more);
    CHECK(outcome.code == 2);
    return outcome.errors;
  }

  Outcome verify(const std::string& target = "Y") const {
    return run(
        {"verify", "--model", *this / "m", "--input", *this / "X", "--target", *this / target});
  }
};

}  // namespace

TEST_CASE("predictions have limits", "[command/predict]") {
  const IntervalsFolder folder;
  const std::vector<Arguments> held_out{{}, {"--folds", "3"}, {"--validation", "0.3"}};
  for (const auto& more : held_out) {
    folder.fit("Y", more);
    const auto saved = mgdl::load_model<double>(folder / "m");
    REQUIRE(saved.intervals);
    const auto X = mgdl::read_npy<double>(folder / "X");
    const auto Y = saved.model.predict(X);
    for (const std::string width : {"", "constant", "scaled"}) {
      Arguments flags{"--interval", "0.8"};
      if (!width.empty()) flags = flags + Arguments{"--interval-width", width};
      const Outcome outcome = folder.predict(flags);
      INFO(outcome.errors);
      REQUIRE(outcome.code == 0);
      const auto found = mgdl::read_npy<double>(folder / "P.npy");
      const auto limits = saved.intervals->predict(
          X, 0.8, width == "scaled" ? mgdl::IntervalWidth::Scaled : mgdl::IntervalWidth::Constant);
      REQUIRE(found.cols() == 6);
      for (Index j = 0; j < 2; ++j) {
        CHECK(found.col(3 * j) == Y.col(j));
        CHECK(found.col(3 * j + 1) == limits.lower.col(j));
        CHECK(found.col(3 * j + 2) == limits.upper.col(j));
      }
    }
    REQUIRE(folder.predict({"--interval", "0.8"}, "P.csv").code == 0);
    const auto table = mgdl::read_csv<double>(folder / "P.csv");
    CHECK(table.names ==
          std::vector<std::string>{"y1", "y1_lower", "y1_upper", "y2", "y2_lower", "y2_upper"});
    CHECK(table.values.col(3) == Y.col(1));
    // All grades by their number are all grades, and without --interval nothing changes.
    CHECK(folder.predict({"--interval", "0.8", "--grades", std::to_string(saved.model.grades())})
              .code == 0);
    REQUIRE(folder.predict({}).code == 0);
    CHECK(mgdl::read_npy<double>(folder / "P.npy") == Y);
  }
  folder.fit("y", {"--scalar", "float32"});
  REQUIRE(folder.predict({"--interval", "0.5"}, "P.csv").code == 0);
  const auto table = mgdl::read_csv<float>(folder / "P.csv");
  CHECK(table.names == std::vector<std::string>{"y", "y_lower", "y_upper"});
  CHECK((table.values.col(1).array() < table.values.col(2).array()).all());
}

TEST_CASE("limits that a model does not have are refused", "[command/predict]") {
  const IntervalsFolder folder;
  folder.fit("Y", {"--validation", "0.3"});  // 24 samples
  for (const std::string level : {"0", "1", "-0.1", "1.5", "nan"}) {
    CHECK_THAT(folder.predict_error({"--interval", level}),
               ContainsSubstring("--interval: expected a value in (0, 1), found " + level));
  }
  CHECK_THAT(folder.predict_error({"--interval", "0.97"}),
             ContainsSubstring("--interval: expected at most 0.96 with 24 held out samples"));
  CHECK_THAT(folder.predict_error({"--interval", "0.9", "--grades", "0"}),
             ContainsSubstring("--interval: expected all ") && ContainsSubstring("found 0"));
  CHECK_THAT(folder.predict_error({"--interval-width", "scaled"}),
             ContainsSubstring("--interval-width: expected --interval with it"));
  CHECK_THAT(folder.predict_error({"--interval", "0.9", "--interval-width", "narrow"}),
             ContainsSubstring("--interval-width"));
  folder.fit("Y", {"--folds", "0"});
  CHECK_THAT(folder.predict_error({"--interval", "0.9"}),
             ContainsSubstring(
                 "--interval: expected a model with prediction intervals, from mgdl fit with "
                 "samples held out, found none"));
  CHECK(!mgdl::load_model<double>(folder / "m").intervals);
}

TEST_CASE("verify says whether the scores are those of the samples", "[command/verify]") {
  const IntervalsFolder folder;
  const std::vector<Arguments> held_out{
      {"--folds", "3"}, {"--validation", "0.3"}, {"--validation", "0.3", "--scalar", "float32"}};
  for (const auto& more : held_out) {
    folder.fit("Y", more);
    const Outcome good = folder.verify();
    CAPTURE(good.output, good.errors);
    CHECK(good.code == 0);
    CHECK_THAT(good.output,
               ContainsSubstring("intervals of level 0.9") && ContainsSubstring("the scores hold"));
    const Outcome bad = folder.verify("wrong");
    CHECK(bad.code == 4);

    const auto any = mgdl::load_any_model(folder / "m");
    std::visit(
        [&](const auto& saved) {
          auto parts = saved.intervals->parts();
          parts[1].residuals *= 0.5;
          const mgdl::PredictionIntervals forged(saved.intervals->members(), parts);
          mgdl::save_model(folder / "m", saved.model, &*saved.report, &forged);
        },
        any);
    const Outcome refuted = folder.verify();
    CAPTURE(refuted.output);
    CHECK(refuted.code == 4);
    CHECK_THAT(refuted.output,
               ContainsSubstring("all claims hold") && ContainsSubstring("no: residual: stated"));
  }
  // Without held out samples there is nothing of it.
  folder.fit("Y", {"--folds", "0"});
  CHECK_THAT(folder.verify().output, !ContainsSubstring("intervals"));
}

TEST_CASE("inspect shows half widths", "[command/inspect]") {
  const IntervalsFolder folder;
  folder.fit("Y", {"--validation", "0.3"});
  const auto saved = mgdl::load_model<double>(folder / "m");
  const Outcome text = run({"inspect", "--model", folder / "m"});
  CHECK(text.code == 0);
  CHECK_THAT(text.output,
             ContainsSubstring("prediction intervals of level 0.9, from 24 held out samples"));
  const auto json =
      nlohmann::json::parse(run({"inspect", "--model", folder / "m", "--json"}).output);
  const auto& intervals = json["intervals"];
  CHECK(intervals["level"] == 0.9);
  CHECK(intervals["samples"] == 24);
  CHECK(intervals["parts"] == 5);
  const auto half = saved.intervals->half_width(0.9);
  for (std::size_t j = 0; j < 2; ++j) {
    const auto& line = intervals["outputs"][j];
    CHECK(line["half_width"] == half[static_cast<Index>(j)]);
    CHECK(line["scaled_least"] <= line["scaled_most"]);
    CHECK(line["scaled_least"] > 0);
  }
  folder.fit("Y", {"--validation", "0.05"});  // 4 samples
  const auto few =
      nlohmann::json::parse(run({"inspect", "--model", folder / "m", "--json"}).output);
  CHECK(few["intervals"]["outputs"][0]["half_width"].is_null());
  folder.fit("Y", {"--folds", "0"});
  const auto none =
      nlohmann::json::parse(run({"inspect", "--model", folder / "m", "--json"}).output);
  CHECK(none["intervals"].is_null());
}
