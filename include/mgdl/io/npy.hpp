#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <istream>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/detail/npy_elements.hpp"
#include "mgdl/io/detail/npy_header.hpp"
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
Matrix<Scalar> read_npy(std::istream& in, std::uint64_t size, const std::string& name) {
  const detail::NpyHeader header = detail::read_npy_header(in, size, name);
  const std::vector<Index>& shape = header.shape;
  if (shape.size() != 1 && shape.size() != 2) {
    throw InvalidArgument(
        name, "an array of 1 or 2 dimensions",
        std::to_string(shape.size()) + " dimensions, " + detail::npy_shape_text(shape),
        "header key 'shape'");
  }
  Matrix<Scalar> result(shape[0], shape.size() == 2 ? shape[1] : 1);
  detail::NpyElements<Scalar> elements(in, header, name);
  if (header.fortran_order || result.rows() == 1 || result.cols() == 1) {
    elements.read(result.data(), header.count);
    return result;
  }
  // Through a small row-major block, so that neither side is walked element by element in memory.
  std::vector<Scalar> buffer(static_cast<std::size_t>(std::min(result.size(), detail::npy_block)));
  detail::for_each_npy_block(
      result.rows(), result.cols(), [&](Index row, Index col, Index height, Index width) {
        elements.read(buffer.data(), static_cast<std::size_t>(height * width));
        result.block(row, col, height, width) =
            Eigen::Map<const RowMatrix<Scalar>>(buffer.data(), height, width);
      });
  return result;
}

/// Reads an array of any number of dimensions, 0 included (one element). Otherwise like read_npy.
template <std::floating_point Scalar>
NpyArray<Scalar> read_npy_array(std::istream& in, std::uint64_t size, const std::string& name) {
  const detail::NpyHeader header = detail::read_npy_header(in, size, name);
  NpyArray<Scalar> result{header.shape, std::vector<Scalar>(header.count)};
  detail::NpyElements<Scalar> elements(in, header, name);
  const std::size_t dimensions = header.shape.size();
  if (!header.fortran_order || dimensions < 2) {
    elements.read(result.data.data(), header.count);
    return result;
  }
  // The first index runs fastest in the file: count in its order, and follow with the C offset.
  std::vector<Index> stride(dimensions, 1);
  for (std::size_t d = dimensions - 1; d > 0 && header.count > 0; --d) {
    stride[d - 1] = stride[d] * header.shape[d];
  }
  std::vector<Index> index(dimensions, 0);
  Index offset = 0;
  std::vector<Scalar> buffer(std::min(header.count, static_cast<std::size_t>(detail::npy_block)));
  for (std::size_t done = 0; done < header.count; done += buffer.size()) {
    const std::size_t piece = std::min(buffer.size(), header.count - done);
    elements.read(buffer.data(), piece);
    for (std::size_t k = 0; k < piece; ++k) {
      result.data[static_cast<std::size_t>(offset)] = buffer[k];
      for (std::size_t d = 0; d < dimensions; ++d) {
        offset += stride[d];
        if (++index[d] < header.shape[d]) break;
        offset -= stride[d] * header.shape[d];
        index[d] = 0;
      }
    }
  }
  return result;
}

/// Reads a file as read_npy of a stream does.
///
/// \throws InvalidArgument also if `path` is not a readable regular file
template <std::floating_point Scalar>
Matrix<Scalar> read_npy(const std::filesystem::path& path) {
  auto [in, size] = detail::open_input_of_known_size(path);
  return read_npy<Scalar>(in, size, path.string());
}

/// Reads a file as read_npy_array of a stream does.
///
/// \throws InvalidArgument also if `path` is not a readable regular file
template <std::floating_point Scalar>
NpyArray<Scalar> read_npy_array(const std::filesystem::path& path) {
  auto [in, size] = detail::open_input_of_known_size(path);
  return read_npy_array<Scalar>(in, size, path.string());
}

/// Writes an n x m matrix of float or double as a two-dimensional array.
///
/// Always in C order and this machine's byte order, format version 1.0: equal matrices give equal
/// files, however they are stored. A Matrix is written in place; other expressions are evaluated
/// first. Errors of the stream are left in its state.
template <class Derived>
void write_npy(std::ostream& out, const Eigen::DenseBase<Derived>& matrix) {
  using Scalar = typename Derived::Scalar;
  const auto& values = matrix.eval();
  detail::write_npy_header<Scalar>(out, {values.rows(), values.cols()});
  std::vector<Scalar> buffer(
      static_cast<std::size_t>(std::min<Index>(values.size(), detail::npy_block)));
  detail::for_each_npy_block(
      values.rows(), values.cols(), [&](Index row, Index col, Index height, Index width) {
        Eigen::Map<RowMatrix<Scalar>>(buffer.data(), height, width) =
            values.block(row, col, height, width);
        detail::write_npy_data(out, buffer.data(), static_cast<std::size_t>(height * width));
      });
}

/// Writes an array of any number of dimensions, otherwise like write_npy.
///
/// \throws InvalidArgument if a size is negative or `data` is not as long as `shape` says
template <std::floating_point Scalar>
void write_npy_array(std::ostream& out, const NpyArray<Scalar>& array) {
  constexpr std::uint64_t limit = std::numeric_limits<Index>::max();
  if (detail::npy_count(array.shape, limit) != array.data.size()) {
    throw InvalidArgument("NpyArray", "as many elements as its shape says",
                          detail::npy_shape_text(array.shape) + " and " +
                              std::to_string(array.data.size()) + " elements");
  }
  detail::write_npy_header<Scalar>(out, array.shape);
  detail::write_npy_data(out, array.data.data(), array.data.size());
}

/// Creates or replaces a file, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written
template <class Derived>
void write_npy(const std::filesystem::path& path, const Eigen::DenseBase<Derived>& matrix) {
  write_file(path, [&](std::ostream& out) { write_npy(out, matrix); });
}

/// Creates or replaces a file, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written, or for an array that contradicts itself
template <std::floating_point Scalar>
void write_npy_array(const std::filesystem::path& path, const NpyArray<Scalar>& array) {
  write_file(path, [&](std::ostream& out) { write_npy_array(out, array); });
}

}  // namespace mgdl
