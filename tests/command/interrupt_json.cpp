// Ctrl-C, and how a long fit shows that it is alive.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "command/run_command.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"

using Catch::Matchers::ContainsSubstring;
using Json = nlohmann::ordered_json;
using mgdl::test::Arguments;
using mgdl::test::operator+;

namespace {

/// A fit that nobody waits for, of epochs that are over soon.
Arguments endless(const mgdl::test::TemporaryFolder& folder) {
  const auto [X, Y] = mgdl::test::samples(300);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "Y.npy", Y);
  return {"fit",       "--input",        folder / "X.npy",
          "--target",  folder / "Y.npy", "--epochs",
          "1000000",   "--width",        "16",
          "--trainer", "gradient",       "--folds",
          "0",         "--output",       folder / "m"};
}

}  // namespace

TEST_CASE("Ctrl-C ends training and keeps what there is", "[command/fit]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const mgdl::test::TemporaryFolder folder;
    mgdl::test::Process process(endless(folder) +
                                Arguments{"--report", folder / "r", "--plot", folder / "p.svg"});
    REQUIRE(process.wait_for("grade 1/4: "));  // the first progress line
    process.kill(signal);
    const auto outcome = process.wait();
    INFO(outcome.errors);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.errors, ContainsSubstring(" samples/s, "));
    CHECK_THAT(outcome.errors, ContainsSubstring(" left\n"));
    CHECK_THAT(outcome.errors, ContainsSubstring("stopping"));
    CHECK_THAT(outcome.output, ContainsSubstring("StoppedByObserver"));

    const auto model = mgdl::load_model<double>(folder / "m").model;
    CHECK(model.grades() == 1);
    CHECK(model.grade(1).train_rse < 0.5);
    const Json report = Json::parse(mgdl::read_file(folder / "r"));
    CHECK(report["termination"] == "StoppedByObserver");
    REQUIRE(report["grades"].size() == 1);
    CHECK(report["grades"][0]["termination"] == "StoppedByObserver");
    CHECK(report["grades"][0]["train_rse"] == model.grade(1).train_rse);
    if (outcome.errors.find("gnuplot") == std::string::npos) {
      CHECK_THAT(mgdl::read_file(folder / "p.svg"), ContainsSubstring("</svg>"));
    }
    const auto predicted = mgdl::test::run({"predict", "--model", folder / "m", "--input",
                                            folder / "X.npy", "--output", folder / "P.npy"});
    CHECK(predicted.code == 0);
  }
}

TEST_CASE("a terminal that goes ends training and keeps what there is", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  mgdl::test::Process process(endless(folder));
  REQUIRE(process.wait_for("grade 1/4: "));
  // From the terminal and from the shell.
  process.kill(SIGHUP);
  process.kill(SIGHUP);
  const auto outcome = process.wait();
  INFO(outcome.errors);
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, ContainsSubstring("StoppedByObserver"));
  CHECK(mgdl::load_model<double>(folder / "m").model.grades() == 1);
}

TEST_CASE("behind nohup, training goes on without a terminal", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  const auto before = ::signal(SIGHUP, SIG_IGN);  // passed on to the process
  mgdl::test::Process process(endless(folder) + Arguments{"--time-limit", "2"});
  ::signal(SIGHUP, before);
  REQUIRE(process.wait_for("grade 1/4: "));
  process.kill(SIGHUP);
  const auto outcome = process.wait();
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output, ContainsSubstring("TimeLimit"));
}

TEST_CASE("a reader of the progress that goes ends training and keeps what there is",
          "[command/fit]") {
  // Progress, the table at the end, or both go to a reader of one line.
  for (const std::string to : {"2>&1 >/dev/null | head -n 1", "2>&1 | head -n 1"}) {
    const mgdl::test::TemporaryFolder folder;
    std::string line = mgdl::test::quoted(MGDL_COMMAND);
    for (const auto& argument : endless(folder)) line += " " + mgdl::test::quoted(argument);
    line = "( " + line + "; echo $? > " + mgdl::test::quoted(folder / "code") + " ) ";
    REQUIRE(mgdl::test::shell(line + to + " > " + mgdl::test::quoted(folder / "head")) == 0);
    INFO(to);
    CHECK(mgdl::read_file(folder / "head") == "300 samples, 2 inputs, 2 outputs\n");
    // The shell waits for the reader alone.
    for (int i = 0; i < 6000 && folder.content().count("code") == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(mgdl::read_file(folder / "code") == "0\n");
    CHECK(mgdl::load_model<double>(folder / "m").model.grades() == 1);
  }
}

TEST_CASE("the second Ctrl-C ends at once", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  // An epoch takes much longer than it takes to press twice.
  const auto [X, Y] = mgdl::test::samples(200000);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "Y.npy", Y);
  mgdl::test::Process process({"fit", "--input", folder / "X.npy", "--target", folder / "Y.npy",
                               "--width", "512", "--output", folder / "m"});
  REQUIRE(process.wait_for("180000 samples"));
  process.kill(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  process.kill(SIGINT);
  const auto outcome = process.wait();
  CHECK(outcome.signal == SIGINT);
  CHECK(folder.content().count("m") == 0);
}

TEST_CASE("time limit and Ctrl-C are kept by trainers without iterations", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  const auto [X, Y] = mgdl::test::samples(60000);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "Y.npy", Y);
  // Minutes of work, were it not stopped.
  const Arguments fit{"fit",
                      "--input",
                      folder / "X.npy",
                      "--target",
                      folder / "Y.npy",
                      "--trainer",
                      "sampled",
                      "--width",
                      "3000",
                      "--validation",
                      "0",
                      "--threads",
                      "1",
                      "--output",
                      folder / "m",
                      "--report",
                      folder / "r"};
  const auto limited = mgdl::test::run(fit + Arguments{"--time-limit", "1"});
  CHECK(limited.code == 0);
  Json report = Json::parse(mgdl::read_file(folder / "r"));
  CHECK(report["termination"] == "TimeLimit");
  CHECK(report["seconds"] < 15);  // of a loaded machine

  mgdl::test::Process process(fit);
  REQUIRE(process.wait_for("iteration "));
  process.kill(SIGINT);
  const auto outcome = process.wait();
  CHECK(outcome.code == 0);
  report = Json::parse(mgdl::read_file(folder / "r"));
  CHECK(report["termination"] == "StoppedByObserver");
  CHECK(mgdl::load_model<double>(folder / "m").model.inputs() == 2);
}

TEST_CASE("a time limit is kept", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  const auto outcome =
      mgdl::test::run(endless(folder) + Arguments{"--time-limit", "0.3", "--report", folder / "r"});
  CHECK(outcome.code == 0);
  const Json report = Json::parse(mgdl::read_file(folder / "r"));
  CHECK(report["termination"] == "TimeLimit");
  CHECK(report["seconds"] < 10);
}

namespace {

/// What a command shows on a terminal; it has to end well.
std::string shown_on_terminal(const Arguments& arguments) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(grantpt(terminal) == 0);
  REQUIRE(unlockpt(terminal) == 0);
  const std::string name = ptsname(terminal);
  std::vector<char*> argv{const_cast<char*>(MGDL_COMMAND)};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int side = open(name.c_str(), O_RDWR | O_NOCTTY);
  REQUIRE(side >= 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(side, STDERR_FILENO);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    setenv("TERM", "xterm", 1);
    execv(MGDL_COMMAND, argv.data());
    _exit(127);
  }
  close(side);
  std::string shown;
  char buffer[4096];
  for (;;) {
    const ssize_t size = read(terminal, buffer, sizeof(buffer));
    if (size <= 0) break;  // the other side is closed
    shown.append(buffer, static_cast<std::size_t>(size));
  }
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  return shown;
}

}  // namespace

TEST_CASE("on a terminal there is a bar", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  const auto shown = shown_on_terminal(endless(folder) + Arguments{"--time-limit", "0.5"});
  CHECK_THAT(shown, ContainsSubstring("\rgrade 1/4 ["));
  CHECK_THAT(shown, ContainsSubstring(" samples/s, 0:0"));
  CHECK_THAT(shown, ContainsSubstring(" left\033[K"));
  CHECK_THAT(shown, ContainsSubstring("\r\033[Kgrade 1/4: train RSE "));
}

TEST_CASE("the bar of a race of settings ends with all of its work", "[command/fit]") {
  const mgdl::test::TemporaryFolder folder;
  const auto [X, Y] = mgdl::test::samples(300);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "Y.npy", Y);
  // In the last grade more than all of the work would be a bar that is longer than its frame.
  for (const std::string grades : {"1", "2"}) {
    const auto shown =
        shown_on_terminal({"fit", "--input", folder / "X.npy", "--target", folder / "Y.npy",
                           "--width", "16", "--grades", grades, "--output", folder / "m"});
    CHECK_THAT(shown, ContainsSubstring("\rgrade 1/" + grades + " ["));
    for (int percent = 101; percent < 300; ++percent) {
      CHECK_THAT(shown, !ContainsSubstring("] " + std::to_string(percent) + "%"));
    }
  }
}
