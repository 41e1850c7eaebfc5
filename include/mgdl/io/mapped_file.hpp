#pragma once

#if !__has_include(<sys/mman.h>)
#error "mgdl/io/mapped_file.hpp needs POSIX: open, fstat, mmap, madvise"
#endif

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <limits>
#include <string>

#include "mgdl/core/error.hpp"
#include "mgdl/io/file.hpp"

namespace mgdl::detail {

/// A file that is read where the system has it, by pages that come when they are looked at and go
/// when they are not needed. Several threads may use it at a time.
///
/// A file that another one takes the place of (a rename) stays what it was. One that is written
/// into must not be used any more, and if it was cut, looking at what is gone ends the program
/// (SIGBUS): read() says so before that, unless it happens between read() and the look.
class MappedFile {
 public:
  /// \throws InvalidArgument if `path` is not a readable regular file
  explicit MappedFile(const std::filesystem::path& path) : m_name(path.string()) {
    errno = 0;
    m_file.number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (m_file.number < 0) fail("a readable file", system_error_text(errno));
    const struct stat found = status();
    if (S_ISDIR(found.st_mode)) fail("a readable file", "a directory");
    if (!S_ISREG(found.st_mode)) fail("a regular file", "a pipe, device or the like");
    m_time = time_of(found);
    const auto size = static_cast<std::uint64_t>(found.st_size);
    if (size > std::numeric_limits<std::size_t>::max()) fail("a file of fewer bytes", "more");
    m_size = static_cast<std::size_t>(size);
    if (m_size == 0) return;
    void* data = ::mmap(nullptr, m_size, PROT_READ, MAP_SHARED, m_file.number, 0);
    if (data == MAP_FAILED) {
      fail("room for " + std::to_string(m_size) + " bytes of address space",
           system_error_text(errno));
    }
    m_data = static_cast<char*>(data);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (m_data != nullptr) ::munmap(m_data, m_size);
  }

  const std::string& name() const noexcept { return m_name; }
  std::size_t size() const noexcept { return m_size; }
  /// Null if the file is empty.
  const char* data() const noexcept { return m_data; }

  /// The bytes first..first + count, which have been fetched.
  /// \throws InvalidArgument if the file was changed since it was opened, or cannot be read
  const char* read(std::size_t first, std::size_t count) const {
    require_unchanged();
    if (count == 0) return m_data + first;
#ifdef MADV_POPULATE_READ
    // Else what the disk does not give ends the program, too. Older systems do not know the call.
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t start = first / page * page;
    if (::madvise(m_data + start, first + count - start, MADV_POPULATE_READ) != 0 &&
        errno == EFAULT) {
      require_unchanged();
      fail("readable data to the end", "an input/output error",
           "byte " + std::to_string(first) + " or after");
    }
#endif
    return m_data + first;
  }

  /// Makes the memory free that holds what was read. What somebody still looks at comes back from
  /// the system's cache, or from the disk.
  void forget() const noexcept {
    if (m_data != nullptr) ::madvise(m_data, m_size, MADV_DONTNEED);
  }

 private:
  struct Descriptor {
    Descriptor() = default;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
      if (number >= 0) ::close(number);
    }
    int number = -1;
  };

  [[noreturn]] void fail(const std::string& expected, const std::string& found,
                         const std::string& where = {}) const {
    throw InvalidArgument(m_name, expected, found, where);
  }

  struct stat status() const {
    struct stat found {};
    if (::fstat(m_file.number, &found) != 0) fail("a readable file", system_error_text(errno));
    return found;
  }

  static std::timespec time_of(const struct stat& found) {
#ifdef __APPLE__
    return found.st_mtimespec;
#else
    return found.st_mtim;
#endif
  }

  void require_unchanged() const {
    const struct stat found = status();
    if (static_cast<std::uint64_t>(found.st_size) != m_size) {
      fail("the " + std::to_string(m_size) + " bytes that it had when it was opened",
           std::to_string(found.st_size));
    }
    const std::timespec time = time_of(found);
    if (time.tv_sec != m_time.tv_sec || time.tv_nsec != m_time.tv_nsec) {
      fail("a file that is not changed while it is read", "one that was written to");
    }
  }

  std::string m_name;
  Descriptor m_file;
  std::timespec m_time{};
  std::size_t m_size = 0;
  char* m_data = nullptr;
};

}  // namespace mgdl::detail
