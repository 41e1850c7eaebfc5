#include "mgdl/io/file.hpp"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>

#ifdef __unix__
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#endif

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

class FileFolder : public mgdl::test::TemporaryFolder {
 public:
  fs::path operator/(const std::string& name) const { return path() / name; }
  std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(path()), fs::directory_iterator());
  }
};

void write_text(const fs::path& path, const std::string& text) {
  mgdl::write_file(path, [&](std::ostream& out) { out << text; });
}

}  // namespace

TEST_CASE("write_file creates and replaces, and leaves nothing else", "[io/file]") {
  const FileFolder folder;
  const std::string long_name(255, 'n');
  for (const std::string& name : {std::string("a"), long_name}) {
    write_text(folder / name, "first, and longer");
    CHECK(mgdl::read_file(folder / name) == "first, and longer");
    write_text(folder / name, std::string("a\0\r\n\xff", 5));
    CHECK(mgdl::read_file(folder / name) == std::string("a\0\r\n\xff", 5));
  }
  CHECK(folder.entries() == 2);
}

TEST_CASE("write_file that fails changes nothing", "[io/file]") {
  const FileFolder folder;
  write_text(folder / "a", "kept");
  const auto stop = [](std::ostream& out) {
    out << "half";
    throw std::runtime_error("stop");
  };
  const auto fail = [](std::ostream& out) { out.setstate(std::ios::badbit); };
  for (const char* name : {"a", "new"}) {
    CHECK_THROWS_WITH(mgdl::write_file(folder / name, stop), "stop");
    CHECK_THROWS_AS(mgdl::write_file(folder / name, fail), mgdl::InvalidArgument);
  }
  CHECK(mgdl::read_file(folder / "a") == "kept");
  CHECK(folder.entries() == 1);

  CHECK_THROWS_WITH(write_text(folder.path(), "x"), ContainsSubstring("found a directory"));
  const fs::path nowhere = folder / "missing" / "a";
  CHECK_THROWS_WITH(write_text(nowhere, "x"),
                    ContainsSubstring(nowhere.string() + ": expected a writable file, found "));
}

TEST_CASE("write_file keeps permissions and links", "[io/file]") {
  const FileFolder folder;
  write_text(folder / "a", "old");
  fs::permissions(folder / "a", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("a", folder / "link");
  write_text(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(mgdl::read_file(folder / "a") == "new");
  CHECK(fs::status(folder / "a").permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("write_file follows symbolic links, also those to nothing", "[io/file]") {
  const FileFolder folder;
  fs::create_directory(folder / "there");
  const auto links = [&](const char* to, const char* from) {
    fs::create_symlink(to, folder / from);
  };
  links("new", "dangling");
  links("there/new", "into");
  links("into2", "chain");
  links("there/back", "into2");
  fs::create_symlink("../home", folder / "there" / "back");
  fs::create_symlink(folder / "absolute-target", folder / "absolute");
  const std::pair<const char*, fs::path> expected[] = {{"dangling", folder / "new"},
                                                       {"into", folder / "there" / "new"},
                                                       {"chain", folder / "home"},
                                                       {"absolute", folder / "absolute-target"}};
  for (const auto& [link, target] : expected) {
    CAPTURE(link);
    CHECK_FALSE(fs::exists(target));
    for (const char* text : {"first", "second"}) {
      write_text(folder / link, text);
      CHECK(fs::is_symlink(folder / link));
      CHECK_FALSE(fs::is_symlink(target));
      CHECK(mgdl::read_file(target) == text);
    }
  }
  links("b", "a");
  links("a", "b");
  CHECK_THROWS_WITH(write_text(folder / "a", "x"), ContainsSubstring("a loop of symbolic links"));
  links("missing/new", "nowhere");
  CHECK_THROWS_WITH(
      write_text(folder / "nowhere", "x"),
      ContainsSubstring((folder / "nowhere").string() + ": expected a writable file, found "));
  CHECK(fs::is_symlink(folder / "nowhere"));
}

#ifdef __unix__
TEST_CASE("write_file keeps the owner", "[io/file]") {
  if (geteuid() != 0) {
    WARN("skipped: only root can make files of others");
    return;
  }
  const FileFolder folder;
  fs::permissions(folder.path(), fs::perms::all);
  const fs::path path = folder / "a";
  const auto owner = [&] {
    struct stat found {};
    REQUIRE(stat(path.c_str(), &found) == 0);
    return std::to_string(found.st_uid) + ":" + std::to_string(found.st_gid) + " " +
           std::to_string(found.st_mode & 07777);
  };
  const auto start = [&](uid_t user, gid_t group, mode_t mode) {
    write_text(path, "old, and longer than the new one");
    REQUIRE(chown(path.c_str(), user, group) == 0);
    REQUIRE(chmod(path.c_str(), mode) == 0);
  };
  for (const mode_t mode : {0600, 0640, 0666, 0444, 02755}) {
    CAPTURE(mode);
    start(1234, 4321, mode);
    const std::string before = owner();
    write_text(path, "new");
    CHECK(owner() == before);
    CHECK(mgdl::read_file(path) == "new");
  }

  // Somebody who may write to it, but must not give files away.
  constexpr uid_t somebody = 5678;
  start(1234, 4321, 0666);
  const std::string before = owner();
  const auto as_somebody = [&](const auto& write) {
    REQUIRE(seteuid(somebody) == 0);
    std::string error;
    try {
      mgdl::write_file(path, write);
    } catch (const std::exception& e) {
      error = e.what();
    }
    REQUIRE(seteuid(0) == 0);
    return error;
  };
  CHECK(as_somebody([](std::ostream& out) { out << "theirs"; }).empty());
  CHECK(owner() == before);
  CHECK(mgdl::read_file(path) == "theirs");
  const auto stop = [](std::ostream& out) {
    out << "half";
    throw std::runtime_error("stop");
  };
  CHECK(as_somebody(stop) == "stop");
  CHECK(mgdl::read_file(path) == "theirs");
  CHECK(as_somebody([](std::ostream&) {}).empty());
  CHECK(mgdl::read_file(path).empty());
  REQUIRE(chmod(path.c_str(), 0644) == 0);
  CHECK_THAT(as_somebody([](std::ostream& out) { out << "x"; }),
             ContainsSubstring("expected a writable file"));
  CHECK(folder.entries() == 1);
}

// With a pipe of its own, not with /dev/null: were the code wrong, a test run by root would replace
// the device.
TEST_CASE("pipes are written in place", "[io/file]") {
  const FileFolder folder;
  const fs::path pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const int keeper = open(pipe.c_str(), O_RDWR | O_NONBLOCK);  // so that nobody waits for a partner
  REQUIRE(keeper >= 0);
  write_text(pipe, "through");
  CHECK(fs::is_fifo(pipe));
  CHECK(folder.entries() == 1);
  char received[16] = {};
  CHECK(read(keeper, received, sizeof(received)) == 7);
  CHECK(std::string(received) == "through");
  close(keeper);
}

TEST_CASE("a full disk leaves the old file", "[io/file]") {
  const FileFolder folder;
  write_text(folder / "a", "kept");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    write_text(folder / "a", std::string(100000, 'x'));
  } catch (const mgdl::InvalidArgument& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK_THAT(message, ContainsSubstring((folder / "a").string() + ": expected room to write"));
  CHECK(mgdl::read_file(folder / "a") == "kept");
  CHECK(folder.entries() == 1);
}
#endif

#ifdef __linux__
TEST_CASE("read_file reads what has no size", "[io/file]") {
  CHECK(fs::file_size("/proc/self/status") == 0);
  CHECK_THAT(mgdl::read_file("/proc/self/status"), ContainsSubstring("Name:"));
}
#endif

TEST_CASE("read_file names the file that cannot be read", "[io/file]") {
  const FileFolder folder;
  CHECK_THROWS_WITH(mgdl::read_file(folder.path()), ContainsSubstring("found a directory"));
  const fs::path missing = folder / "missing";
  CHECK_THROWS_WITH(mgdl::read_file(missing),
                    ContainsSubstring(missing.string() + ": expected a readable file, found "));
}

TEST_CASE("an excerpt is short and printable", "[io/file]") {
  CHECK(mgdl::detail::excerpt(std::string("a\0\x1b\xff", 4)) == "\"a\\x00\\x1b\\xff\"");
  std::string quoted(42, 'x');
  quoted.front() = quoted.back() = '"';
  CHECK(mgdl::detail::excerpt(std::string(40, 'x')) == quoted);
  quoted.insert(41, "...");
  CHECK(mgdl::detail::excerpt(std::string(41, 'x')) == quoted);
}

TEST_CASE("write_file leaves the temporary files of others alone", "[io/file]") {
  const FileFolder folder;
  for (const char* name : {".mgdl-0.tmp", ".mgdl-1.tmp"}) {
    std::ofstream(folder / name) << "another program's";
  }
  write_text(folder / "a", "mine");
  CHECK(mgdl::read_file(folder / "a") == "mine");
  CHECK(mgdl::read_file(folder / ".mgdl-0.tmp") == "another program's");
  CHECK(mgdl::read_file(folder / ".mgdl-1.tmp") == "another program's");
  CHECK(folder.entries() == 3);
}
