// Bad usage and bad input: exit code 2, a message that names the thing, and no file written or
// changed.

#include <limits>
#include <string>
#include <vector>

#include "command/refused.hpp"
#include "command/run_command.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::test::Arguments;
using mgdl::test::check_all_refused;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

/// The folder of all cases, with good and with bad files.
class BadInputFolder : public mgdl::test::TemporaryFolder {
 public:
  BadInputFolder() {
    const auto& self = *this;
    auto [X, Y] = mgdl::test::samples(20);
    mgdl::write_npy(self / "X.npy", X);
    mgdl::write_npy(self / "Y.npy", Y);
    mgdl::write_npy(self / "Y19.npy", Y.topRows(19));
    mgdl::write_npy(self / "X3.npy", mgdl::Matrix<double>::Ones(20, 3));
    mgdl::write_npy(self / "rows0.npy", mgdl::Matrix<double>(0, 2));
    mgdl::write_npy(self / "zero.npy", mgdl::Matrix<double>::Zero(20, 2));
    X(7, 1) = std::numeric_limits<double>::quiet_NaN();
    mgdl::write_npy(self / "nan.npy", X);
    Y(3, 0) = std::numeric_limits<double>::infinity();
    mgdl::write_npy(self / "inf.npy", Y);

    const std::string good = mgdl::read_file(self / "X.npy");
    write("empty.npy", "");
    write("cut.npy", good.substr(0, good.size() - 5));
    write("longer.npy", good + "x");
    std::string hostile = good;
    hostile.replace(hostile.find("(20, 2)"), 7, "(9999999999999, 9999999)");
    hostile.erase(hostile.find("   "), 17);  // keeps the header's length
    REQUIRE(hostile.size() == good.size());
    write("hostile.npy", hostile);

    write("good.csv", "a,b,y\n1,2,3\n4,5,6\n7,8,10\n");
    write("other.csv", "a,c,y\n1,2,3\n");
    write("ragged.csv", "a,b,y\n1,2,3\n4,5\n");
    write("text.csv", "a,b,y\n1,2,3\n4,five,6\n");
    write("nan.csv", "a,b,y\n1,2,nan\n4,5,6\n");
    write("header.csv", "a,b,y\n");
    write("empty.csv", "");

    write("kept", "not to be touched");
    const Outcome fit =
        run({"fit", "--input", self / "X.npy", "--target", self / "Y.npy", "--width", "3",
             "--epochs", "1", "--grades", "2", "--output", self / "model"});
    REQUIRE(fit.code == 0);
    const std::string model = mgdl::read_file(self / "model");
    write("cut_model", model.substr(0, model.size() / 2));
  }
};

}  // namespace

TEST_CASE("fit refuses bad samples", "[command/fit]") {
  const BadInputFolder folder;
  const auto npy = [&](const std::string& input, const std::string& target) {
    return Arguments{"--input",  folder / input,  "--target", folder / target,
                     "--output", folder / "kept", "--report", folder / "new"};
  };
  const auto test = [&](const std::string& input, const std::string& target) {
    return npy("X.npy", "Y.npy") +
           Arguments{"--test-input", folder / input, "--test-target", folder / target};
  };
  const auto csv = [&](const std::string& file, const std::string& targets) {
    return Arguments{"--csv", folder / file, "--target-columns",
                     targets, "--output",    folder / "kept"};
  };
  check_all_refused(
      folder, "fit",
      {
          {npy("nan.npy", "Y.npy"), {folder / "nan.npy", "finite", "nan", "row 7, column 1"}},
          {npy("X.npy", "inf.npy"), {folder / "inf.npy", "finite", "inf", "row 3, column 0"}},
          {npy("X.npy", "Y19.npy"), {folder / "Y19.npy", "20 rows", "found 19"}},
          {npy("empty.npy", "Y.npy"), {folder / "empty.npy"}},
          {npy("rows0.npy", "rows0.npy"), {folder / "rows0.npy", "at least one row", "0 x 2"}},
          {npy("cut.npy", "Y.npy"), {folder / "cut.npy"}},
          {npy("longer.npy", "Y.npy"), {folder / "longer.npy"}},
          {npy("hostile.npy", "Y.npy"), {folder / "hostile.npy"}},
          {npy("good.csv", "Y.npy"), {folder / "good.csv"}},
          {npy("missing.npy", "Y.npy"), {folder / "missing.npy", "readable file"}},
          {npy("X.npy", "."), {"readable file", "a directory"}},
          {test("X3.npy", "Y.npy"), {folder / "X3.npy", "2 columns", "found 3"}},
          {test("X.npy", "X3.npy"), {folder / "X3.npy", "2 columns", "found 3"}},
          {test("X.npy", "Y19.npy"), {folder / "Y19.npy", "20 rows", "found 19"}},
          {test("nan.npy", "Y.npy"), {folder / "nan.npy", "row 7, column 1"}},
          {csv("ragged.csv", "y"), {folder / "ragged.csv", "line 3"}},
          {csv("text.csv", "y"), {folder / "text.csv", "five", "line 3", "column 2"}},
          {csv("nan.csv", "y"), {folder / "nan.csv", "line 2", "column 3"}},
          {csv("header.csv", "y"), {folder / "header.csv", "at least one row"}},
          {csv("empty.csv", "y"), {folder / "empty.csv"}},
          {csv("missing.csv", "y"), {folder / "missing.csv", "readable file"}},
          {csv("good.csv", "z"), {"--target-columns", "\"z\"", folder / "good.csv"}},
          {csv("good.csv", "a,b,y"), {"--target-columns", "as input", folder / "good.csv"}},
          {csv("good.csv", "y") + Arguments{"--test-csv", folder / "other.csv"},
           {folder / "other.csv", "one column named \"b\"", "\"a\", \"c\""}},
      });
}

TEST_CASE("fit refuses bad flags", "[command/fit]") {
  const BadInputFolder folder;
  const Arguments samples{"--input", folder / "X.npy", "--target", folder / "Y.npy"};
  const Arguments good = samples + Arguments{"--output", folder / "kept"};
  const auto with = [&](const std::string& flag, const std::string& value) {
    return good + Arguments{flag, value};
  };
  check_all_refused(
      folder, "fit",
      {
          {with("--width", "0"), {"--width", ">= 1", "found 0"}},
          {with("--hidden-layers", "0"), {"--hidden-layers", "found 0"}},
          {with("--grades", "-1"), {"--grades", "found -1"}},
          {with("--epochs", "0"), {"--epochs", "found 0"}},
          {with("--batch", "0"), {"--batch", "found 0"}},
          {with("--learning-rate", "-1"), {"--learning-rate", "> 0", "found -1"}},
          {with("--learning-rate", "nan"), {"--learning-rate", "found nan"}},
          {with("--tolerance", "-1e-3"), {"--tolerance", "found -0.001"}},
          {with("--time-limit", "0"), {"--time-limit", "found 0"}},
          {with("--validation", "1"), {"--validation", "[0, 1)", "found 1"}},
          {with("--threads", "-2"), {"--threads", "found -2"}},
          {with("--peak", "0"), {"--peak", "found 0"}},
          {with("--seed", "-1"), {"--seed", "from 0 to 18446744073709551615", "\"-1\""}},
          {with("--seed", "18446744073709551616"), {"--seed", "to 18446744073709551615"}},
          {with("--seed", "99999999999999999999999"), {"--seed", "found \"99999"}},
          {with("--seed", ""), {"--seed", "found \"\""}},
          {with("--seed", "0x10"), {"--seed", "0x10"}},
          {with("--seed", "1e3"), {"--seed", "1e3"}},
          {with("--seed", "7 "), {"--seed", "7 "}},
          {with("--width", ""), {"--width", "a whole number", "found \"\""}},
          {with("--width", "9223372036854775808"), {"--width", "to 9223372036854775807"}},
          {with("--threads", "4294967297"), {"--threads", "to 2147483647"}},
          {with("--tolerance", ""), {"--tolerance", "a number"}},
          {with("--tolerance", "1e999"), {"--tolerance", "1e999"}},
          {with("--tolerance", "1,5"), {"--tolerance", "1,5"}},
          {with("--threads", "100000"), {"--threads", "16 for each thread of the machine"}},
          {with("--threads", "2147483647"), {"--threads", "at most"}},
          {with("--width", "many"), {"--width", "many"}},
          {with("--width", "1.5"), {"--width", "1.5"}},
          {with("--scalar", "float16"), {"--scalar", "float16"}},
          {with("--link", "none"), {"--link", "none"}},
          {with("--optimizer", "sgd"), {"--optimizer", "sgd"}},
          {with("--no-such-flag", "1"), {"--no-such-flag"}},
          {with("--seed", "1") + Arguments{"--seed", "2"}, {"--seed"}},
          {good + Arguments{"stray"}, {"stray"}},
          {good + Arguments{"--seed"}, {"--seed"}},
          {{}, {"--input", "--csv", "neither"}},
          {good + Arguments{"--csv", folder / "good.csv"}, {"--csv", "both"}},
          {{"--input", folder / "X.npy", "--output", folder / "kept"}, {"--target"}},
          {{"--target-columns", "y", "--output", folder / "kept"}, {"--csv"}},
          {{"--csv", folder / "good.csv", "--output", folder / "kept"}, {"--target-columns"}},
          {with("--test-input", folder / "X.npy"), {"--test-target"}},
          {samples, {"--output"}},
          {with("--plot", folder / "plot.png"), {"--plot", ".svg", "plot.png"}},
      });
}

TEST_CASE("fit refuses bad trainers and flags that are not theirs", "[command/fit]") {
  const BadInputFolder folder;
  mgdl::write_npy(folder / "X4.npy", mgdl::test::samples(20).X.replicate(1, 2).eval());
  const Arguments good{"--input",        folder / "X.npy", "--target",
                       folder / "Y.npy", "--output",       folder / "kept"};
  const auto with = [&](const std::string& trainers, const Arguments& more) {
    return good + Arguments{"--trainer", trainers} + more;
  };
  const Arguments relu{"--convex-problem", "relu"};
  check_all_refused(
      folder, "fit",
      {
          {with("annealing", {}), {"--trainer", "annealing", "constructive"}},
          {with("gradient,Sampled", {}), {"--trainer", "Sampled"}},
          {with("", {}), {"--trainer"}},
          {with("sampled", {"--width", "0"}), {"--width", ">= 1", "found 0"}},
          {with("sampled", {"--hidden-layers", "0"}), {"--hidden-layers", "found 0"}},
          {with("convex", {"--convex-problem", "dual"}), {"--convex-problem", "dual"}},
          {with("convex", {"--penalty", "none"}), {"--penalty", "none"}},
          {with("convex", {"--patterns", "0"}), {"--patterns", ">= 1", "found 0"}},
          {with("convex", {"--lambda-ratio", "-1"}), {"--lambda-ratio", ">= 0", "found -1"}},
          {with("convex", relu + Arguments{"--lambda-ratio", "0"}), {"--lambda-ratio", "> 0"}},
          {with("convex", relu + Arguments{"--polish", "-1"}), {"--polish", "found -1"}},
          {with("convex", {"--polish", "5"}), {"--polish: expected --convex-problem relu"}},
          {with("convex", {"--penalty", "validation"}), {"--penalty", "--validation"}},
          {with("constructive", {"--hats", "0"}), {"--hats", ">= 1", "found 0"}},
          {with("sampled,gradient", {"--hats", "5"}),
           {"--hats: expected --trainer constructive with it, found sampled,gradient"}},
          {with("convex", {"--balanced"}), {"--balanced", "--trainer constructive"}},
          {with("sampled", relu), {"--convex-problem", "--trainer convex or auto"}},
          {with("sampled", {"--patterns", "5"}), {"--patterns", "--trainer convex or auto"}},
          {with("gradient", {"--lambda-ratio", "1"}), {"--lambda-ratio", "--trainer convex"}},
          {with("gradient", {"--penalty", "ratio"}), {"--penalty", "--trainer convex"}},
          {with("gradient", {"--polish", "0"}), {"--polish", "--trainer convex"}},
          {with("convex", {"--epochs", "1"}), {"--epochs", "--trainer gradient or auto"}},
          {with("sampled", {"--weight-decay", "1"}), {"--weight-decay", "--trainer gradient"}},
          {with("gradient", {"--weight-decay", "-1"}), {"--weight-decay", ">= 0", "found -1"}},
          {with("gradient", {"--initialization", "zero"}), {"--initialization", "zero"}},
          {with("sampled", {"--folds", "1"}), {"--folds", "a value >= 2", "found 1"}},
          {with("sampled", {"--folds", "1000"}), {"--folds", "the samples", "found 1000"}},
          {with("sampled", {"--folds", "3", "--validation", "0.1"}), {"--folds", "found 3"}},
          {with("constructive,gradient,constructive", {}), {"--link", "last-hidden-and-input"}},
          {{"--input", folder / "X4.npy", "--target", folder / "Y.npy", "--output", folder / "kept",
            "--trainer", "constructive"},
           {"--trainer", "1 to 3 inputs for constructive", "found 4"}},
          {with("gradient", {"--measure", "mae"}), {"--measure", "mae"}},
      });
}

TEST_CASE("sizes that no memory holds are refused with what they need", "[command/fit]") {
  const BadInputFolder folder;
  const Arguments good{"--input",        folder / "X.npy", "--target",
                       folder / "Y.npy", "--output",       folder / "kept"};
  const auto with = [&](const std::string& trainer, const std::string& flag,
                        const std::string& value) {
    return good + Arguments{"--trainer", trainer, flag, value};
  };
  const std::string needs = "one that needs at least ";
  check_all_refused(
      folder, "fit",
      {
          {with("gradient", "--width", "1000000000"), {"--width", "of memory", needs, " EB"}},
          {with("gradient", "--width", "10000000"), {"--width", needs, " PB"}},
          {with("sampled", "--width", "10000000"), {"--width", needs, " PB"}},
          {with("auto", "--width", "9223372036854775807"), {"--width", needs}},
          {with("gradient", "--hidden-layers", "1000000000000"), {"--hidden-layers", needs, " PB"}},
          {with("convex", "--patterns", "1000000000000"), {"--patterns", needs, " TB"}},
          {with("sampled", "--hidden-layers", "9223372036854775807"), {"--hidden-layers"}},
      });
  check_all_refused(folder, "convex",
                    {{{"--input", folder / "X.npy", "--target", folder / "Y.npy", "--gate-count",
                       "1000000000000", "--output", folder / "kept"},
                      {"--gate-count", needs, " TB"}}});
}

TEST_CASE("fit finds out before training what it cannot write", "[command/fit]") {
  const BadInputFolder folder;
  // So much work that the test would not end, were it begun.
  const Arguments good{"--input",        folder / "X.npy", "--target",
                       folder / "Y.npy", "--epochs",       "1000000000"};
  const std::string nowhere = folder / "missing/model";
  check_all_refused(
      folder, "fit",
      {
          {good + Arguments{"--output", nowhere}, {nowhere, "--output", "writable"}},
          {good + Arguments{"--output", folder / "."}, {"--output", "a directory"}},
          {good + Arguments{"--output", folder / "kept", "--report", nowhere},
           {nowhere, "--report", "writable"}},
          {good + Arguments{"--output", folder / "kept", "--plot", nowhere + ".svg"},
           {nowhere, "--plot", "writable"}},
          {good + Arguments{"--output", folder / "X.npy"}, {folder / "X.npy", "one of the inputs"}},
          {good + Arguments{"--output", folder / "new", "--report", folder / "./new"},
           {"--report", "the file of --output"}},
      });
}

TEST_CASE("predict refuses bad input", "[command/predict]") {
  const BadInputFolder folder;
  const auto predict = [&](const std::string& model, const std::string& input) {
    return Arguments{"--model", folder / model, "--input", folder / input};
  };
  const Arguments out{"--output", folder / "new.npy"};
  const auto csv = [&](const std::string& columns) {
    return Arguments{"--model",           folder / "model", "--csv",
                     folder / "good.csv", "--columns",      columns} +
           out;
  };
  check_all_refused(
      folder, "predict",
      {
          {predict("model", "X3.npy") + out, {folder / "X3.npy", "2 columns", "found 3"}},
          {predict("model", "nan.npy") + out, {folder / "nan.npy", "row 7, column 1"}},
          {predict("model", "cut.npy") + out, {folder / "cut.npy"}},
          {predict("model", "rows0.npy") + out, {folder / "rows0.npy", "one row"}},
          {predict("missing", "X.npy") + out, {folder / "missing", "readable file"}},
          {predict("cut_model", "X.npy") + out, {folder / "cut_model", "bytes"}},
          {predict("kept", "X.npy") + out, {folder / "kept", "a header of at most"}},
          {predict("model", "X.npy") + out + Arguments{"--grades", "3"},
           {"--grades", "0 to 2", "found 3"}},
          {predict("model", "X.npy") + out + Arguments{"--grades", "-1"}, {"--grades"}},
          {predict("model", "X.npy") + out + Arguments{"--threads", "-1"}, {"--threads"}},
          {predict("model", "X.npy") + out + Arguments{"--no-such-flag"}, {"--no-such-flag"}},
          {predict("model", "X.npy"), {"--output"}},
          {predict("model", "X.npy") + Arguments{"--output", folder / "new.txt"},
           {"--output", ".npy or .csv", "new.txt"}},
          {predict("model", "X.npy") + Arguments{"--output", folder / "X.npy"},
           {folder / "X.npy", "one of the inputs"}},
          {predict("model", "X.npy") + Arguments{"--output", folder / "no/new.npy"},
           {"new.npy", "writable"}},
          {predict("model", "X.npy") + out + Arguments{"--csv", folder / "good.csv"},
           {"--input or --csv", "both"}},
          {Arguments{"--model", folder / "model"} + out, {"--input or --csv", "neither"}},
          {csv("a,z"), {"\"z\""}},
          {csv("a"), {folder / "good.csv", "2 columns", "found 1"}},
      });
}

TEST_CASE("verify refuses what it cannot compare", "[command/verify]") {
  const BadInputFolder folder;
  const auto with = [&](const std::string& model, const Arguments& samples) {
    return Arguments{"--model", folder / model} + samples;
  };
  const Arguments npy{"--input", folder / "X.npy", "--target", folder / "Y.npy"};
  check_all_refused(
      folder, "verify",
      {
          {with("missing", npy), {folder / "missing", "readable file"}},
          {with("cut_model", npy), {folder / "cut_model", "bytes"}},
          {with("model", {"--input", folder / "X3.npy", "--target", folder / "Y.npy"}),
           {folder / "X3.npy", "2 inputs, as in the model", "found 3"}},
          {with("model", {"--input", folder / "X.npy", "--target", folder / "X3.npy"}),
           {folder / "X3.npy", "targets, as in the model", "found 3"}},
          {with("model", {"--input", folder / "nan.npy", "--target", folder / "Y.npy"}),
           {folder / "nan.npy", "row 7, column 1"}},
          {with("model", {"--input", folder / "X.npy"}), {"--target"}},
          {with("model", npy) + Arguments{"--input", folder / "X.npy"},
           {"--target", "2, one for each --input", "found 1"}},
          {with("model", npy) + Arguments{"--target", folder / "Y.npy"},
           {"--target", "1, one for each --input", "found 2"}},
          {with("model", npy) + Arguments{"--input", "", "--target", folder / "Y.npy"},
           {"--input", "found none"}},
          {with("model", npy + npy) + Arguments{"--csv", folder / "good.csv"},
           {"samples", "flags of both"}},
          {with("model", {}), {"samples", "neither"}},
          {npy, {"--model"}},
          {with("model", npy) + Arguments{"--threads", "-1"}, {"--threads"}},
      });
}

TEST_CASE("inspect refuses what is no model", "[command/inspect]") {
  const BadInputFolder folder;
  check_all_refused(folder, "inspect",
                    {
                        {{"--model", folder / "missing"}, {folder / "missing", "readable file"}},
                        {{"--model", folder / "cut_model"}, {folder / "cut_model", "bytes"}},
                        {{"--model", folder / "X.npy"}, {folder / "X.npy", "a header of at most"}},
                        {{}, {"--model"}},
                    });
  const auto box = [&](const Arguments& sides) {
    return Arguments{"--model", folder / "model"} + sides;
  };
  check_all_refused(
      folder, "inspect",
      {
          {box({"--lower", "0,0"}), {"--lower and --upper", "only --lower"}},
          {box({"--upper", "0,0"}), {"--lower and --upper", "only --upper"}},
          {box({"--lower", "0,0,0", "--upper", "1,1"}), {"--lower", "2 values", "found 3"}},
          {box({"--lower", "0,0", "--upper", "1"}), {"--upper", "2 values", "found 1"}},
          {box({"--lower", "0,2", "--upper", "1,1"}), {"--upper", ">= 2", "found 1", "row 1"}},
          {box({"--lower", "0,nan", "--upper", "1,1"}), {"--lower", "finite", "row 1"}},
          {box({"--lower", "0,x", "--upper", "1,1"}), {"--lower"}},
      });
}

TEST_CASE("without a known subcommand the command says so", "[command]") {
  for (const Arguments& arguments :
       {Arguments{}, Arguments{"train"}, Arguments{"--no-such-flag"}}) {
    const Outcome outcome = run(arguments);
    CHECK(outcome.code == 2);
    CHECK(outcome.output.empty());
    CHECK(outcome.errors.rfind("mgdl: ", 0) == 0);
    if (!arguments.empty()) CHECK_THAT(outcome.errors, ContainsSubstring(arguments[0]));
  }
}
