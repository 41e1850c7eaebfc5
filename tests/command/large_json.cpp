// Samples that stay in their files, fits that are stored on the way and go on from there.

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/refused.hpp"
#include "command/run_command.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::check_refused;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;

namespace {

/// Two blocks of samples of three inputs.
class LargeFolder : public mgdl::test::TemporaryFolder {
 public:
  LargeFolder() {
    mgdl::RandomStream random(mgdl::test::seed());
    const Index n = 20000;
    mgdl::Matrix<double> X(n, 3), Y(n, 1);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < 3; ++j) X(i, j) = random.uniform(-1, 1);
      Y(i, 0) = std::sin(3 * X(i, 0)) + std::abs(X(i, 1) - X(i, 2)) + 0.05 * random.normal();
    }
    mgdl::write_npy(*this / "X.npy", X);
    mgdl::write_npy(*this / "Y.npy", Y);
  }

  Outcome fit(const std::string& output, const Arguments& more) const {
    return run(Arguments{"fit", "--input", *this / "X.npy", "--target", *this / "Y.npy", "--width",
                         "16", "--quiet", "--output", *this / output} +
               more);
  }

  /// Of a fit that succeeds: the file.
  std::string fitted(const std::string& output, const Arguments& more) const {
    const Outcome outcome = fit(output, more);
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    return mgdl::read_file(*this / output);
  }

  Outcome verify(const std::string& model) const {
    return run({"verify", "--model", *this / model, "--input", *this / "X.npy", "--target",
                *this / "Y.npy"});
  }
};

const Arguments kTrainers{"--trainer", "sampled,gradient", "--epochs", "2"};

}  // namespace

TEST_CASE("a limit for memory changes no byte of a model, which verifies", "[command/large]") {
  const LargeFolder folder;
  const Arguments more = kTrainers + Arguments{"--grades", "2", "--validation", "0.2"};
  const std::string much = folder.fitted("much", more + Arguments{"--memory", "1G"});
  CHECK(folder.fitted("little", more + Arguments{"--memory", "50k", "--threads", "1"}) == much);
  CHECK(folder.verify("much").code == 0);
  // Held out are others than those of a fit in memory.
  CHECK(folder.fitted("memory", more) != much);
  CHECK(folder.verify("memory").code == 0);
  // Without held out samples it is the same model but for what the flags are.
  const Arguments none = kTrainers + Arguments{"--grades", "2", "--validation", "0"};
  CHECK(folder.fitted("whole", none) == folder.fitted("parts", none + Arguments{"--memory", "1"}));
}

TEST_CASE("auto works under a limit", "[command/large]") {
  const LargeFolder folder;
  const Outcome outcome =
      folder.fit("auto", {"--memory", "1M", "--grades", "1", "--time-limit", "2"});
  INFO(outcome.errors);
  CHECK(outcome.code == 0);
  CHECK(folder.verify("auto").code == 0);
}

TEST_CASE("a fit goes on from a checkpoint with the same bits", "[command/large]") {
  const LargeFolder folder;
  for (const Arguments& memory : {Arguments{}, Arguments{"--memory", "50K"}}) {
    const Arguments more = kTrainers + Arguments{"--validation", "0.2"} + memory;
    const std::string whole = folder.fitted(
        "whole", more + Arguments{"--grades", "3", "--checkpoint", folder / "checkpoint"});
    // Written after the grade before the last one.
    CHECK(folder.verify("checkpoint").code == 0);
    const std::string resumed = folder.fitted(
        "resumed", more + Arguments{"--grades", "3", "--resume", folder / "checkpoint"});
    CHECK(resumed == whole);
    // The file that is gone on with may be the next checkpoint.
    folder.fitted("first", more + Arguments{"--grades", "2", "--checkpoint", folder / "c"});
    CHECK(folder.fitted("again", more + Arguments{"--grades", "3", "--resume", folder / "c",
                                                  "--checkpoint", folder / "c"}) == whole);
  }
}

TEST_CASE("checkpoints that are refused", "[command/large]") {
  const LargeFolder folder;
  const Arguments more = kTrainers + Arguments{"--validation", "0.2"};
  folder.fitted("m", more + Arguments{"--grades", "2", "--checkpoint", folder / "c"});
  const Arguments resume{"--resume", folder / "c"};
  const std::string before = mgdl::read_file(folder / "c");
  check_refused(folder.fit("n", more + resume + Arguments{"--grades", "1"}),
                {"--resume", "fewer than --grades"});
  const std::filesystem::path targets(folder / "Y.npy");
  mgdl::Matrix<double> Y = mgdl::read_npy<double>(targets);
  Y(17, 0) += 1e-9;
  mgdl::write_npy(targets, Y);
  check_refused(folder.fit("n", more + resume + Arguments{"--grades", "3"}),
                {"--resume", "samples that it was fitted to"});
  check_refused(folder.fit("n", more + resume + Arguments{"--seed", "3"}), {"--resume", "--seed"});
  check_refused(folder.fit("n", resume + Arguments{"--trainer", "sampled"}),
                {"--resume", "same flags"});
  check_refused(folder.fit("n", more + resume + Arguments{"--scalar", "float32"}), {"float32"});
  check_refused(folder.fit("n", {"--folds", "3", "--resume", folder / "c"}),
                {"--resume", "--validation instead of --folds"});
  check_refused(folder.fit("n", {"--folds", "3", "--checkpoint", folder / "d"}),
                {"--checkpoint", "--validation instead of --folds"});
  check_refused(folder.fit("n", more + Arguments{"--resume", folder / "X.npy"}), {"X.npy"});
  CHECK(mgdl::read_file(folder / "c") == before);
  CHECK_FALSE(std::filesystem::exists(folder / "n"));
}

TEST_CASE("float32 that the samples do not survive is refused under a limit, too",
          "[command/large]") {
  const LargeFolder folder;
  mgdl::Matrix<double> Y = mgdl::read_npy<double>(std::filesystem::path(folder / "Y.npy"));
  const Arguments more = kTrainers + Arguments{"--scalar", "float32", "--memory", "1M"};
  folder.fitted("m", more + Arguments{"--grades", "1"});
  Y.array() += 1e8;
  mgdl::write_npy(std::filesystem::path(folder / "Y.npy"), Y);
  check_refused(folder.fit("n", more), {"Y.npy", "survive rounding to float32", "column 1"});
}

TEST_CASE("limits that are refused", "[command/large]") {
  const LargeFolder folder;
  for (const char* size : {"", "0", "-1", "G", "1X", "1e999", "nan", "2 G"}) {
    CAPTURE(size);
    if (*size == '\0') continue;
    check_refused(folder.fit("n", {"--memory", size}), {"--memory"});
  }
  folder.write("t.csv", "a,y\n1,2\n2,3\n3,4\n");
  check_refused(run({"fit", "--csv", folder / "t.csv", "--target-columns", "y", "--memory", "1G",
                     "--output", folder / "n"}),
                {"--memory", "mgdl convert"});
  check_refused(folder.fit("n", {"--memory", "1G", "--folds", "3"}), {"--memory", "--validation"});
  check_refused(folder.fit("n", {"--memory", "1G", "--trainer", "convex"}),
                {"--memory", "--trainer auto, affine, gradient or sampled"});
}
