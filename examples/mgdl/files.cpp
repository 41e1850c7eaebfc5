#include "files.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <system_error>

#include "mgdl/core/error.hpp"

namespace fs = std::filesystem;

namespace mgdl::command {
namespace {

void fail(const OutputFile& file, const std::string& found) {
  throw InvalidArgument(file.path + " (" + file.flag + ")", "a writable file", found);
}

std::string system_error() { return std::generic_category().message(errno); }

/// By trying, because rights alone do not tell: the file system may be read-only.
void check_writable(const OutputFile& file) {
  std::error_code ec;
  const fs::file_status status = fs::status(file.path, ec);
  if (fs::is_directory(status)) fail(file, "a directory");
  if (fs::exists(status) && access(file.path.c_str(), W_OK) != 0) fail(file, system_error());
  if (fs::exists(status) && !fs::is_regular_file(status)) return;  // a pipe or a device

  const fs::path target = fs::exists(status) ? fs::canonical(file.path) : fs::path(file.path);
  const fs::path probe = target.parent_path() / (".mgdl-probe-" + std::to_string(getpid()));
  errno = 0;
  if (!std::ofstream(probe)) fail(file, system_error());
  fs::remove(probe, ec);
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code ec;
  return fs::weakly_canonical(a, ec) == fs::weakly_canonical(b, ec) || fs::equivalent(a, b, ec);
}

/// Standard deviation of what is constant but for rounding, and how far rounding to float32 may
/// move values; in units of the largest value and of the standard deviation.
constexpr double kConstant = 16 * std::numeric_limits<double>::epsilon();
constexpr double kMostMoved = 1e-4;

/// \param what  about the values of the column, behind how large they are
[[noreturn]] void fail_float32(const std::string& file, Index column,
                               const std::vector<std::string>& names, double largest,
                               const std::string& what) {
  const std::string name =
      names.empty() ? std::to_string(column + 1) : names[static_cast<std::size_t>(column)];
  throw InvalidArgument(file, "values that survive rounding to float32, or --scalar float64",
                        "a column of values up to " + detail::to_text(largest) + what,
                        "column " + name);
}

std::string rounding_text(double spread, double moved) {
  return " that differ by less: standard deviation " + detail::to_text(spread) + ", rounded by " +
         detail::to_text(moved);
}

}  // namespace

void check_outputs(const std::vector<OutputFile>& outputs, const std::vector<std::string>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const OutputFile& file = outputs[i];
    if (file.path.empty()) continue;
    check_writable(file);
    std::error_code ec;
    if (!fs::is_regular_file(file.path, ec) && fs::exists(file.path, ec)) continue;
    for (const std::string& input : inputs) {
      if (!input.empty() && same_file(file.path, input)) fail(file, "one of the inputs");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (!outputs[j].path.empty() && same_file(file.path, outputs[j].path)) {
        fail(file, std::string("the file of ") + outputs[j].flag);
      }
    }
  }
}

std::string one_line(const std::string& text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      result += c;
    } else {
      result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result;
}

void complain(const std::string& command, const std::string& text) {
  std::cerr << "mgdl " << command << ": " << one_line(text) << '\n';
}

std::string extension_of(const std::string& path) {
  std::string extension = fs::path(path).extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

template <class Scalar>
void check_values(const std::string& file, const Matrix<Scalar>& values) {
  if (values.size() == 0) {
    throw InvalidArgument(file, "at least one row and one column",
                          detail::shape_text(values.rows(), values.cols()));
  }
  detail::require_finite(file, values);
}

void check_survives_float32(const std::string& file, const Matrix<double>& values,
                            const std::vector<std::string>& names) {
  const auto distinct = [](std::vector<double> numbers) {
    std::ranges::sort(numbers);
    return std::unique(numbers.begin(), numbers.end()) - numbers.begin();
  };
  const auto n = static_cast<double>(values.rows());
  for (Index j = 0; j < values.cols(); ++j) {
    if (!detail::all_finite(values.col(j))) continue;  // which others find
    const double largest = values.col(j).cwiseAbs().maxCoeff();
    if (!(largest > 0)) continue;
    // In the unit of the largest value, so that no square overflows or vanishes.
    const Vector<double> exact = values.col(j) / largest;
    const Vector<double> rounded = values.col(j).cast<float>().cast<double>() / largest;
    const double spread = (exact.array() - exact.mean()).matrix().norm() / std::sqrt(n);
    const double moved = (rounded - exact).norm() / std::sqrt(n);
    // A column that is constant in double loses nothing. Values are moved by up to half a step of
    // float32, and these steps keep samples apart if there are many more of them than samples.
    if (spread <= kConstant) continue;
    const bool few_steps = 4 * n * std::sqrt(12.0) * moved > spread;
    const bool merged = few_steps && 2 * distinct({rounded.begin(), rounded.end()}) <
                                         distinct({exact.begin(), exact.end()});
    if (moved <= kMostMoved * spread && !merged) continue;
    fail_float32(file, j, names, largest, rounding_text(spread * largest, moved * largest));
  }
}

void Float32Rounding::add(const ConstRowMatrixRef<double>& rows) {
  if (rows.rows() == 0) return;
  const auto n = static_cast<double>(rows.rows());
  for (Index j = 0; j < rows.cols(); ++j) {
    const Vector<double> values = rows.col(j);
    m_largest[j] = std::max(m_largest[j], values.cwiseAbs().maxCoeff());
    if (m_largest[j] > std::numeric_limits<float>::max()) continue;
    m_moved[j] += (values.cast<float>().cast<double>() - values).squaredNorm();
    // Chan, Golub & LeVeque: the moments of two parts together.
    const double mean = values.mean();
    const double apart = mean - m_mean[j];
    m_squares[j] += (values.array() - mean).matrix().squaredNorm() +
                    apart * apart * m_count * n / (m_count + n);
    m_mean[j] += apart * n / (m_count + n);
  }
  m_count += n;
}

void Float32Rounding::check(const std::string& file, const std::vector<std::string>& names) const {
  for (Index j = 0; j < m_mean.size(); ++j) {
    const double spread = std::sqrt(m_squares[j] / m_count);
    const double moved = std::sqrt(m_moved[j] / m_count);
    if (m_largest[j] > std::numeric_limits<float>::max()) {
      fail_float32(file, j, names, m_largest[j], ", more than float32 has");
    }
    if (spread <= kConstant * m_largest[j] || moved <= kMostMoved * spread) continue;
    fail_float32(file, j, names, m_largest[j], rounding_text(spread, moved));
  }
}

template void check_values(const std::string&, const Matrix<float>&);
template void check_values(const std::string&, const Matrix<double>&);

}  // namespace mgdl::command
