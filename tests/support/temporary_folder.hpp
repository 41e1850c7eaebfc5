#pragma once

#include <filesystem>
#include <map>
#include <ostream>
#include <random>
#include <string>

#include "mgdl/io/file.hpp"

namespace mgdl::test {

/// An empty folder, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder()
      : m_path(std::filesystem::temp_directory_path() /
               ("mgdl-test-" + std::to_string(std::random_device()()))) {
    std::filesystem::create_directory(m_path);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(m_path); }

  const std::filesystem::path& path() const noexcept { return m_path; }

  /// The path of a file in it.
  std::string operator/(const std::string& name) const { return (m_path / name).string(); }

  void write(const std::string& name, const std::string& content) const {
    write_file(m_path / name, [&](std::ostream& out) { out << content; });
  }

  /// Every file by its name.
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(m_path)) {
      files[entry.path().filename().string()] =
          entry.is_regular_file() ? read_file(entry.path()) : "not a file";
    }
    return files;
  }

 private:
  std::filesystem::path m_path;
};

}  // namespace mgdl::test
