#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <ios>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

#if __has_include(<sys/stat.h>) && __has_include(<unistd.h>)
#include <sys/stat.h>
#include <unistd.h>
#endif

/// \file
/// Whole files: reading with clear errors, and writing that never leaves a damaged file behind.

namespace mgdl {
namespace detail {

/// What the system says about the last failed call, for the "found" of an error.
inline std::string system_error_text(int code) {
  return code == 0 ? std::string("an input/output error") : std::generic_category().message(code);
}

/// Text for an error message: in quotes, cut to 40 bytes, anything but printable ASCII escaped.
inline std::string excerpt(std::string_view text) {
  constexpr std::size_t max_length = 40;
  constexpr char digits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text.substr(0, max_length)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      result += c;
    } else {
      result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result + (text.size() > max_length ? "...\"" : "\"");
}

/// A name for an error message.
inline std::string printable(const std::string& name) {
  const std::string quoted = excerpt(name);
  return quoted.substr(1, quoted.size() - 2);
}

/// The sizes of an array, e.g. "3, 4".
inline std::string sizes_text(const std::vector<Index>& shape, const char* between = ", ") {
  std::string text;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += between;
    text += std::to_string(shape[i]);
  }
  return text;
}

/// A matrix in memory, whatever type it has and however it is stored.
template <class Scalar>
using MatrixView =
    Eigen::Map<const Matrix<Scalar>, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

template <class Values>
MatrixView<typename Values::Scalar> view_of(const Values& values) {
  return {values.data(), values.rows(), values.cols(), {values.colStride(), values.rowStride()}};
}

inline std::ifstream open_input(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw InvalidArgument(path.string(), "a readable file", "a directory");
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InvalidArgument(path.string(), "a readable file", system_error_text(errno));
  return in;
}

struct InputFile {
  std::ifstream stream;
  std::uintmax_t size;
};

/// For formats whose header must be checked against the size before it is believed.
inline InputFile open_input_of_known_size(const std::filesystem::path& path) {
  std::ifstream in = open_input(path);
  std::error_code ec;
  const std::uintmax_t size = std::filesystem::file_size(path, ec);
  if (ec || !std::filesystem::is_regular_file(path, ec)) {
    throw InvalidArgument(path.string(), "a regular file", "a pipe, device or the like");
  }
  return {std::move(in), size};
}

/// Opens `path`, passes the stream to `write` and makes sure that every byte arrived.
template <class Write>
void write_directly(const std::filesystem::path& path, const std::string& name, Write& write) {
  errno = 0;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) throw InvalidArgument(name, "a writable file", system_error_text(errno));
  write(static_cast<std::ostream&>(out));
  out.close();
  if (!out) throw InvalidArgument(name, "room to write the file", system_error_text(errno));
}

/// A new file beside the target that disappears with this object, unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target) {
    // The name does not contain the target's, which may already be as long as names can be.
    // Programs that write to one folder must not meet: the first free number, created only if it is
    // still free. Whatever else goes wrong is said when the file is written.
    std::FILE* created = nullptr;
    for (std::uint64_t i = 0; created == nullptr; ++i) {
      m_path = target.parent_path() / (".mgdl-" + std::to_string(i) + ".tmp");
      errno = 0;
      created = std::fopen(m_path.string().c_str(), "wbx");
      if (created == nullptr && errno != EEXIST) return;
    }
    std::fclose(created);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(m_path, ignored);
  }

  const std::filesystem::path& path() const noexcept { return m_path; }

 private:
  std::filesystem::path m_path;
};

/// Where a chain of symbolic links ends; there need not be anything.
inline std::filesystem::path link_target(std::filesystem::path path) {
  namespace fs = std::filesystem;
  constexpr int kLinks = 40;  // as many as Linux follows
  const std::string name = path.string();
  std::error_code ec;
  for (int i = 0; fs::is_symlink(fs::symlink_status(path, ec)); ++i) {
    if (i == kLinks) throw InvalidArgument(name, "a writable file", "a loop of symbolic links");
    const fs::path next = fs::read_symlink(path, ec);
    if (ec) throw InvalidArgument(name, "a writable file", ec.message());
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

/// Gives `to` the owner and the group of `from`; false if that must not be done.
inline bool take_owner([[maybe_unused]] const std::filesystem::path& from,
                       [[maybe_unused]] const std::filesystem::path& to) {
#if __has_include(<sys/stat.h>) && __has_include(<unistd.h>)
  struct stat wanted {};
  struct stat given {};
  if (stat(from.c_str(), &wanted) != 0 || stat(to.c_str(), &given) != 0) return false;
  if (wanted.st_uid == given.st_uid && wanted.st_gid == given.st_gid) return true;
  return chown(to.c_str(), wanted.st_uid, wanted.st_gid) == 0;
#else
  return true;
#endif
}

}  // namespace detail

/// The whole content of a file, byte for byte. Pipes and devices work too.
///
/// \throws InvalidArgument if `path` is missing, a directory or not readable
inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in = detail::open_input(path);
  std::error_code ec;
  const bool has_size = std::filesystem::is_regular_file(path, ec);
  const std::uintmax_t size = has_size ? std::filesystem::file_size(path, ec) : 0;

  std::string content(ec ? 0 : static_cast<std::size_t>(size), '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(in.gcount()));
  // A pipe has no size, and a file may have grown meanwhile: the rest comes in pieces.
  std::string piece(std::size_t{1} << 16, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    content.append(piece, 0, static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) {
    throw InvalidArgument(path.string(), "a readable file", detail::system_error_text(errno));
  }
  return content;
}

/// Creates or replaces a file: all of it or nothing.
///
/// `write(std::ostream&)` fills a temporary file in the same folder, which is then renamed to
/// `path`. If `write` throws or the disk is full, an existing file stays as it was and no new one
/// appears. A write-protected file is refused. A symbolic link is followed, also where it leads to
/// no file yet. An existing file's permissions, owner and group are kept; what has other names
/// (hard links) keeps the old content under those. Pipes and devices are written directly.
///
/// Who may write to somebody else's file, but must not give files away, has no file with the right
/// owner to rename: then the temporary file is copied into the old one, which a crash in the middle
/// would damage.
///
/// \throws InvalidArgument if `path` cannot be written; whatever `write` throws
template <class Write>
void write_file(const std::filesystem::path& path, Write&& write) {
  namespace fs = std::filesystem;
  const std::string name = path.string();
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  if (fs::is_directory(status)) throw InvalidArgument(name, "a writable file", "a directory");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return detail::write_directly(path, name, write);
  }

  const fs::path target = detail::link_target(path);
  const bool replaces = fs::exists(status);
  if (replaces) {
    errno = 0;
    // A rename needs no right to write the file it replaces, so ask for it here.
    if (!std::ofstream(target, std::ios::binary | std::ios::in | std::ios::out)) {
      throw InvalidArgument(name, "a writable file", detail::system_error_text(errno));
    }
  }
  const detail::TemporaryFile temporary(target);
  if (replaces) {
    // Nobody may read what is written who may not read the old file.
    const auto own = fs::perms::owner_read | fs::perms::owner_write;
    fs::permissions(temporary.path(), own, ec);
  }
  detail::write_directly(temporary.path(), name, write);
  if (replaces && !detail::take_owner(target, temporary.path())) {
    const auto copy = [&](std::ostream& out) {
      std::ifstream in(temporary.path(), std::ios::binary);
      if (in.peek() != std::ifstream::traits_type::eof()) out << in.rdbuf();
      if (in.bad()) out.setstate(std::ios::badbit);
    };
    return detail::write_directly(target, name, copy);
  }
  // After the owner: a change of it takes some of them away.
  if (replaces) fs::permissions(temporary.path(), status.permissions(), ec);
  fs::rename(temporary.path(), target, ec);
  if (ec) throw InvalidArgument(name, "a writable file", ec.message());
}

}  // namespace mgdl
