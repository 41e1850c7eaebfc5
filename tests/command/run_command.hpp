#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "support/temporary_folder.hpp"

/// \file
/// Runs the command as a user does, and looks at what it leaves behind.

namespace mgdl::test {

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Outcome {
  int code;    ///< exit code, or -1 if a signal ended it
  int signal;  ///< that signal, or 0
  std::string output;
  std::string errors;
};

/// A running mgdl.
class Process {
 public:
  explicit Process(const Arguments& arguments) {
    std::vector<char*> argv{const_cast<char*>(MGDL_COMMAND)};
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const std::string output = m_folder / "output";
    const std::string errors = m_folder / "errors";
    m_id = fork();
    if (m_id != 0) return;
    const int out = open(output.c_str(), O_WRONLY | O_CREAT, 0600);
    const int err = open(errors.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    // A shell that runs tests in the background passes it on ignored.
    ::signal(SIGINT, SIG_DFL);
    execv(MGDL_COMMAND, argv.data());
    _exit(127);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (m_id > 0) {
      kill(SIGKILL);
      wait();
    }
  }

  void kill(int signal) const { ::kill(m_id, signal); }

  /// Until the standard error stream has this text; false if it does not come within a minute.
  bool wait_for(const std::string& text) const {
    for (int i = 0; i < 6000; ++i) {
      std::error_code ec;
      if (std::filesystem::exists(m_folder / "errors", ec) &&
          read_file(m_folder / "errors").find(text) != std::string::npos) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  Outcome wait() {
    int status = 0;
    waitpid(std::exchange(m_id, 0), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0, read_file(m_folder / "output"),
            read_file(m_folder / "errors")};
  }

 private:
  TemporaryFolder m_folder;
  pid_t m_id = 0;
};

inline Outcome run(const Arguments& arguments) { return Process(arguments).wait(); }

/// n points on a curve in the plane and two values at each: n x 2 and n x 2, with a mean.
struct Samples {
  Matrix<double> X, Y;
};

inline Samples samples(Index n, double shift = 0) {
  Samples result{Matrix<double>(n, 2), Matrix<double>(n, 2)};
  for (Index i = 0; i < n; ++i) {
    const double t = (static_cast<double>(i) + shift) / static_cast<double>(n);
    result.X.row(i) << t, std::cos(5 * t);
    result.Y.row(i) << 3 + std::sin(9 * t), 20 * t * t;
  }
  return result;
}

}  // namespace mgdl::test
