#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/mapped_file.hpp"
#include "mgdl/io/npy/format.hpp"
#include "mgdl/io/npy_source.hpp"

namespace mgdl::detail {

/// A matrix in a .npy file, row by row.
template <class Scalar>
class MappedNpy {
 public:
  explicit MappedNpy(const std::filesystem::path& path) : m_file(path) {
    constexpr std::size_t header_and_more = std::size_t{1} << 17;
    const std::size_t start = std::min(m_file.size(), header_and_more);
    std::istringstream in(std::string(m_file.read(0, start), start));
    m_header = read_npy_header(in, m_file.size(), name());
    const auto [rows, cols] = npy_matrix_shape(m_header, name());
    m_rows = rows;
    m_cols = cols;
    if (m_header.fortran_order && rows > 1 && cols > 1) {
      throw InvalidArgument(
          name(), "'fortran_order' False (numpy.ascontiguousarray(x) makes an array of that kind)",
          "True", "header key 'fortran_order'");
    }
    m_file.forget();
  }

  const std::string& name() const noexcept { return m_file.name(); }
  Index rows() const noexcept { return m_rows; }
  Index cols() const noexcept { return m_cols; }
  std::size_t row_bytes() const noexcept {
    return static_cast<std::size_t>(m_cols) * m_header.item_size;
  }
  void forget() const noexcept { m_file.forget(); }

  /// The values of some rows: in the file, if `must_copy` is not set and they are there as they
  /// are needed; else written to copy(), which is called if it comes to that.
  template <class Copy>
  const Scalar* read(Index first, Index count, bool must_copy, const Copy& copy) const {
    const auto size = static_cast<std::size_t>(count * m_cols);
    const auto position = static_cast<std::size_t>(first * m_cols);
    const char* bytes =
        m_file.read(static_cast<std::size_t>(m_header.data_offset) + position * m_header.item_size,
                    size * m_header.item_size);
    const bool as_needed = m_header.kind == 'f' && m_header.item_size == sizeof(Scalar) &&
                           !m_header.swap_bytes &&
                           reinterpret_cast<std::uintptr_t>(bytes) % alignof(Scalar) == 0;
    if (as_needed && !must_copy) return reinterpret_cast<const Scalar*>(bytes);
    Scalar* values = copy();
    std::string misfit;
    const std::size_t good = npy_decoder<Scalar>(m_header)(
        reinterpret_cast<const unsigned char*>(bytes), size, m_header.swap_bytes, values, misfit);
    if (good != size) fail_npy_element<Scalar>(m_header, name(), position + good, misfit);
    return values;
  }

 private:
  MappedFile m_file;
  NpyHeader m_header;
  Index m_rows = 0;
  Index m_cols = 0;
};

/// Matrices in files, one below the other.
template <class Scalar>
class NpyRows {
 public:
  NpyRows(const std::vector<std::filesystem::path>& paths, const char* argument) {
    for (const auto& path : paths) {
      const auto part = std::make_shared<const MappedNpy<Scalar>>(path);
      if (m_parts.empty()) m_cols = part->cols();
      require_cols(part->name(), m_cols, part->cols());
      m_parts.push_back({part, m_rows});
      m_rows += part->rows();
    }
    if (m_rows > 0 && m_cols > 0) return;
    throw InvalidArgument(paths.empty() ? argument : paths.front().string(),
                          "at least one row and one column",
                          paths.empty() ? "no file" : shape_text(m_rows, m_cols));
  }

  Index rows() const noexcept { return m_rows; }
  Index cols() const noexcept { return m_cols; }
  /// The last file, for what is wrong with their number of rows.
  const std::string& last_name() const { return m_parts.back().file->name(); }
  void forget() const noexcept {
    for (const Part& part : m_parts) part.file->forget();
  }

  /// The rows first..first + count: in a file, or in `space`.
  /// \param bytes  grows by what has come into memory at most
  template <class Space>
  const Scalar* read(Index first, Index count, Space& space, std::size_t& bytes) const {
    // The system brings files into memory by pieces, the largest of which are of 2 MiB.
    constexpr std::size_t piece = std::size_t{1} << 21;
    auto part = std::ranges::upper_bound(m_parts, first, {}, &Part::first) - 1;
    const bool several = first + count > part->first + part->file->rows();
    if (several) space.resize(count, m_cols);
    const Scalar* result = nullptr;
    for (Index done = 0; done < count; ++part) {
      const Index row = first + done - part->first;
      const Index rows = std::min(count - done, part->file->rows() - row);
      if (rows == 0) continue;
      const Scalar* values = part->file->read(row, rows, several, [&] {
        if (!several) space.resize(count, m_cols);
        return space.data() + done * m_cols;
      });
      require_finite(part->file->name(), Eigen::Map<const RowMatrix<Scalar>>(values, rows, m_cols),
                     row);
      if (result == nullptr) result = values;
      bytes += static_cast<std::size_t>(rows) * part->file->row_bytes() + piece;
      done += rows;
    }
    return result;
  }

  /// Throws, naming the file, for row i of those that were read: from `first` on.
  [[noreturn]] void fail(Index i, const std::string& expected, const std::string& found) const {
    const auto part = std::ranges::upper_bound(m_parts, i, {}, &Part::first) - 1;
    throw InvalidArgument(part->file->name(), expected, found,
                          "row " + std::to_string(i - part->first));
  }

 private:
  struct Part {
    std::shared_ptr<const MappedNpy<Scalar>> file;
    Index first;  ///< row of all
  };

  std::vector<Part> m_parts;
  Index m_rows = 0;
  Index m_cols = 0;
};

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar_>
struct NpySource<Scalar_>::Files {
  Files(detail::NpyRows<Scalar> x, detail::NpyRows<Scalar> y)
      : inputs(std::move(x)), targets(std::move(y)) {}

  detail::NpyRows<Scalar> inputs;
  detail::NpyRows<Scalar> targets;
  std::unique_ptr<const detail::NpyRows<Scalar>> weights;
  mutable std::atomic<std::size_t> in_memory{0};  ///< bytes at most, of all files

  /// Called before more of the files is read.
  void make_room() const {
    constexpr std::size_t kept = std::size_t{1} << 26;
    if (in_memory.load() < kept || in_memory.exchange(0) < kept) return;
    inputs.forget();
    targets.forget();
    if (weights) weights->forget();
  }
};

template <class Scalar>
NpySource<Scalar>::NpySource(const Paths& inputs, const Paths& targets, const Paths& weights) {
  const auto files = std::make_shared<Files>(detail::NpyRows<Scalar>(inputs, "inputs"),
                                             detail::NpyRows<Scalar>(targets, "targets"));
  const auto require_rows = [&](const detail::NpyRows<Scalar>& rows) {
    detail::require_rows(rows.last_name(), files->inputs.rows(), rows.rows());
  };
  require_rows(files->targets);
  if (!weights.empty()) {
    files->weights = std::make_unique<detail::NpyRows<Scalar>>(weights, "weights");
    detail::require_cols(files->weights->last_name(), 1, files->weights->cols());
    require_rows(*files->weights);
  }
  m_files = files;
}

template <class Scalar>
Index NpySource<Scalar>::size() const {
  return m_files->inputs.rows();
}
template <class Scalar>
Index NpySource<Scalar>::inputs() const {
  return m_files->inputs.cols();
}
template <class Scalar>
Index NpySource<Scalar>::outputs() const {
  return m_files->targets.cols();
}

template <class Scalar>
SampleView<Scalar> NpySource<Scalar>::read(Index first, Index count,
                                           SampleBuffer<Scalar>& buffer) const {
  const Files& files = *m_files;
  if (first < 0 || count < 1 || first > size() - count) {
    throw InvalidArgument("rows", "some of the " + std::to_string(size()) + " that there are",
                          std::to_string(count) + " from row " + std::to_string(first));
  }
  files.make_room();
  std::size_t bytes = 0;
  const Eigen::Map<const RowMatrix<Scalar>> inputs(
      files.inputs.read(first, count, buffer.inputs, bytes), count, this->inputs());
  const Eigen::Map<const RowMatrix<Scalar>> targets(
      files.targets.read(first, count, buffer.targets, bytes), count, outputs());
  const Scalar* weights = nullptr;
  if (files.weights) {
    weights = files.weights->read(first, count, buffer.weights, bytes);
    const Scalar* negative =
        std::find_if(weights, weights + count, [](Scalar weight) { return weight < 0; });
    if (negative != weights + count) {
      files.weights->fail(first + (negative - weights), "values >= 0", detail::to_text(*negative));
    }
  } else {
    weights = buffer.weights.setOnes(count).data();
  }
  files.in_memory += bytes;
  const Eigen::Map<const Vector<Scalar>> sample_weights(weights, count);
  return {inputs, targets, sample_weights};
}

}  // namespace mgdl
