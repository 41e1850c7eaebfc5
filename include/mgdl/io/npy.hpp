#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"

/// \file
/// NumPy's .npy files (format versions 1.0, 2.0 and 3.0).
///
/// Elements of type f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 and b1 (bool, as 0 and 1), in either
/// byte order, C or Fortran order, become `float` or `double`:
/// - f8 is rounded to `float`, but a finite value beyond the range of `float` is an error;
///   NaN and infinity are read as they are;
/// - an integer that the result type cannot hold exactly (e.g. 2^53 + 1 in `double`) is an error,
///   as it is more likely an identifier or a time stamp than a measurement. Convert the array to
///   floating point where rounding is welcome.
///
/// A header is believed only if it agrees with the size of the file, so no file can ask for more
/// memory than its own size in elements. Reading needs the result and less than 1 MiB beside it.
/// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

namespace mgdl {

/// An array of any number of dimensions, the last index running fastest (C order).
template <std::floating_point Scalar>
struct NpyArray {
  std::vector<Index> shape;  ///< its dimensions; none for a single value
  std::vector<Scalar> data;  ///< as many as the product of `shape`
};

/// Reads an array of one (n -> n x 1) or two dimensions.
///
/// \param in    at the start of a .npy file, binary
/// \param size  bytes from there to the end of the file
/// \param name  how errors call the file
/// \returns n x m matrix; n or m may be 0
/// \throws InvalidArgument for anything but a complete file of a type listed above: names the file,
///         what was expected, what was found, and the byte or header key
template <std::floating_point Scalar>
Matrix<Scalar> read_npy(std::istream& in, std::uint64_t size, const std::string& name);

/// Reads an array of any number of dimensions, 0 included (one element). Otherwise like read_npy.
template <std::floating_point Scalar>
NpyArray<Scalar> read_npy_array(std::istream& in, std::uint64_t size, const std::string& name);

/// Reads a file as read_npy of a stream does.
///
/// \throws InvalidArgument also if `path` is not a readable regular file
template <std::floating_point Scalar>
Matrix<Scalar> read_npy(const std::filesystem::path& path);

/// Reads a file as read_npy_array of a stream does.
///
/// \throws InvalidArgument also if `path` is not a readable regular file
template <std::floating_point Scalar>
NpyArray<Scalar> read_npy_array(const std::filesystem::path& path);

namespace detail {

/// Where write_npy has a matrix of any kind.
/// \{
template <std::floating_point Scalar>
void write_npy_values(std::ostream& out, const MatrixView<Scalar>& values);
template <std::floating_point Scalar>
void write_npy_values(const std::filesystem::path& path, const MatrixView<Scalar>& values);
/// \}

}  // namespace detail

/// Writes an n x m matrix of float or double as a two-dimensional array.
///
/// Always in C order and this machine's byte order, format version 1.0: equal matrices give equal
/// files, however they are stored. A Matrix is written in place; other expressions are evaluated
/// first. Errors of the stream are left in its state.
template <class Derived>
void write_npy(std::ostream& out, const Eigen::DenseBase<Derived>& matrix) {
  const auto& values = matrix.eval();
  detail::write_npy_values(out, detail::view_of(values));
}

/// Writes a matrix whose rows are not all there at a time, otherwise like write_npy.
template <std::floating_point Scalar>
class NpyWriter {
 public:
  /// Writes the header of an array of `rows` x `cols`.
  ///
  /// \param out  must outlive the writer
  NpyWriter(std::ostream& out, Index rows, Index cols);

  /// Writes the next rows: any expression of Scalar.
  ///
  /// \throws InvalidArgument for rows of another length, and for more rows than the header says
  template <class Derived>
  void add(const Eigen::DenseBase<Derived>& rows) {
    const auto& values = rows.eval();
    add_values(detail::view_of(values));
  }

  /// Rows that the header says and that have not been written.
  Index missing() const noexcept { return m_missing; }

 private:
  void add_values(const detail::MatrixView<Scalar>& values);

  std::ostream& m_out;
  Index m_missing;
  Index m_cols;
};

/// Writes an array of any number of dimensions, otherwise like write_npy.
///
/// \throws InvalidArgument if a size is negative or `data` is not as long as `shape` says
template <std::floating_point Scalar>
void write_npy_array(std::ostream& out, const NpyArray<Scalar>& array);

/// Creates or replaces a file, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written
template <class Derived>
void write_npy(const std::filesystem::path& path, const Eigen::DenseBase<Derived>& matrix) {
  const auto& values = matrix.eval();
  detail::write_npy_values(path, detail::view_of(values));
}

/// Creates or replaces a file, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written, or for an array that contradicts itself
template <std::floating_point Scalar>
void write_npy_array(const std::filesystem::path& path, const NpyArray<Scalar>& array);

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template Matrix<float> read_npy(std::istream&, std::uint64_t, const std::string&);
extern template Matrix<float> read_npy(const std::filesystem::path&);
extern template NpyArray<float> read_npy_array(std::istream&, std::uint64_t, const std::string&);
extern template NpyArray<float> read_npy_array(const std::filesystem::path&);
extern template void write_npy_array(std::ostream&, const NpyArray<float>&);
extern template class NpyWriter<float>;
extern template void write_npy_array(const std::filesystem::path&, const NpyArray<float>&);
extern template void detail::write_npy_values(std::ostream&, const detail::MatrixView<float>&);
extern template void detail::write_npy_values(const std::filesystem::path&,
                                              const detail::MatrixView<float>&);
extern template Matrix<double> read_npy(std::istream&, std::uint64_t, const std::string&);
extern template Matrix<double> read_npy(const std::filesystem::path&);
extern template NpyArray<double> read_npy_array(std::istream&, std::uint64_t, const std::string&);
extern template NpyArray<double> read_npy_array(const std::filesystem::path&);
extern template void write_npy_array(std::ostream&, const NpyArray<double>&);
extern template class NpyWriter<double>;
extern template void write_npy_array(const std::filesystem::path&, const NpyArray<double>&);
extern template void detail::write_npy_values(std::ostream&, const detail::MatrixView<double>&);
extern template void detail::write_npy_values(const std::filesystem::path&,
                                              const detail::MatrixView<double>&);
}  // namespace mgdl
#else
#include "mgdl/io/npy_impl.hpp"  // IWYU pragma: export
#endif
