// A save that is killed at any byte, or runs out of disk, leaves the old model file whole.

#ifdef __unix__
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mount.h>
#endif

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "mgdl/io/file.hpp"
#include "mgdl/io/model_file.hpp"
#include "support/catch.hpp"
#include "support/saved_models.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::test::saved_model;
using mgdl::test::saved_report;
using mgdl::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// Saves in a process of its own that the system kills when a file would get longer than `limit`.
/// Returns the signal that ended it, or 0.
int save_and_die(const fs::path& path, const mgdl::MultigradeModel<double>& model,
                 const mgdl::FitSummary& report, rlim_t limit) {
  const pid_t child = fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_DFL);
    const rlimit small{limit, limit};
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_FSIZE, &small);
    try {
      mgdl::save_model(path, model, &report);
    } catch (...) {
      _exit(2);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("a save that is killed at any byte leaves the old model", "[io/model_interrupted]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m";
  const auto old_model = saved_model<float>();
  mgdl::save_model(path, old_model);
  const std::string old_bytes = mgdl::read_file(path);
  const auto model = saved_model<double>();
  const auto report = saved_report();
  const std::size_t size = mgdl::save_model(model, &report).size();
  REQUIRE(size > 3000);
  std::size_t killed = 0;
  for (std::size_t limit = 0; limit < size; limit += limit < 64 || limit + 64 > size ? 1 : 37) {
    INFO(limit);
    CHECK(save_and_die(path, model, report, limit) == SIGXFSZ);
    ++killed;
    REQUIRE(mgdl::read_file(path) == old_bytes);
  }
  CHECK(killed > 100);
  CHECK(mgdl::load_model<float>(path).model == old_model);
  // What the killed ones left behind are temporary files, by their names.
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename().string();
    CHECK((name == "m" || (name.starts_with(".mgdl-") && name.ends_with(".tmp"))));
  }
  CHECK(save_and_die(path, model, report, size) == 0);
  CHECK(mgdl::load_model<double>(path).model == model);
}

#ifdef __linux__
TEST_CASE("a disk that is full leaves the old model", "[io/model_interrupted]") {
  const TemporaryFolder folder;
  if (mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k,mode=700") != 0) {
    WARN("not tested: no right to mount a small file system");
    return;
  }
  const fs::path path = folder.path() / "m";
  const auto old_model = saved_model<double>();
  std::string message;
  std::string after;
  std::ptrdiff_t entries = 0;
  mgdl::save_model(path, old_model);
  const std::string before = mgdl::read_file(path);
  std::ofstream(folder.path() / "filler") << std::string(100'000, 'x');
  try {
    mgdl::save_model(path, saved_model<float>());
  } catch (const mgdl::InvalidArgument& error) {
    message = error.what();
  }
  after = mgdl::read_file(path);
  entries = std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator());
  umount(folder.path().c_str());
  CHECK_THAT(message, ContainsSubstring(path.string() + ": expected room to write the file"));
  CHECK(after == before);
  CHECK(entries == 2);
}
#endif
#endif
