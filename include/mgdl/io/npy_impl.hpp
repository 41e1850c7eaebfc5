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
#include <string_view>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/npy/format.hpp"

namespace mgdl {

template <std::floating_point Scalar>
Matrix<Scalar> read_npy(std::istream& in, std::uint64_t size, const std::string& name) {
  const detail::NpyHeader header = detail::read_npy_header(in, size, name);
  const auto [rows, cols] = detail::npy_matrix_shape(header, name);
  Matrix<Scalar> result(rows, cols);
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

template <std::floating_point Scalar>
Matrix<Scalar> read_npy(const std::filesystem::path& path) {
  auto [in, size] = detail::open_input_of_known_size(path);
  return read_npy<Scalar>(in, size, path.string());
}

template <std::floating_point Scalar>
NpyArray<Scalar> read_npy_array(const std::filesystem::path& path) {
  auto [in, size] = detail::open_input_of_known_size(path);
  return read_npy_array<Scalar>(in, size, path.string());
}

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

template <std::floating_point Scalar>
void write_npy_array(const std::filesystem::path& path, const NpyArray<Scalar>& array) {
  write_file(path, [&](std::ostream& out) { write_npy_array(out, array); });
}

template <std::floating_point Scalar>
NpyWriter<Scalar>::NpyWriter(std::ostream& out, Index rows, Index cols)
    : m_out(out), m_missing(rows), m_cols(cols) {
  detail::write_npy_header<Scalar>(out, {rows, cols});
}

template <std::floating_point Scalar>
void NpyWriter<Scalar>::add_values(const detail::MatrixView<Scalar>& values) {
  detail::require_cols("rows", m_cols, values.cols());
  if (values.rows() > m_missing) {
    throw InvalidArgument("rows", "at most " + std::to_string(m_missing) + " more",
                          std::to_string(values.rows()));
  }
  m_missing -= values.rows();
  std::vector<Scalar> buffer(
      static_cast<std::size_t>(std::min<Index>(values.size(), detail::npy_block)));
  detail::for_each_npy_block(
      values.rows(), values.cols(), [&](Index row, Index col, Index height, Index width) {
        Eigen::Map<RowMatrix<Scalar>>(buffer.data(), height, width) =
            values.block(row, col, height, width);
        detail::write_npy_data(m_out, buffer.data(), static_cast<std::size_t>(height * width));
      });
}

template <std::floating_point Scalar>
void detail::write_npy_values(std::ostream& out, const MatrixView<Scalar>& values) {
  NpyWriter<Scalar>(out, values.rows(), values.cols()).add(values);
}

template <std::floating_point Scalar>
void detail::write_npy_values(const std::filesystem::path& path, const MatrixView<Scalar>& values) {
  write_file(path, [&](std::ostream& out) { write_npy_values(out, values); });
}

}  // namespace mgdl
