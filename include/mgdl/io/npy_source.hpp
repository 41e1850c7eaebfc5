#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Samples in .npy files (see mgdl/io/npy.hpp) that need not fit into memory: rows are read when
/// they are asked for. Needs POSIX (mmap).
///
/// Inputs, targets and weights are in one file each, or in several, whose rows follow each other
/// (those of the inputs need not end where those of the targets do). Arrays of one dimension are
/// columns. Elements are converted as read_npy does. Where they are of type Scalar and this
/// machine's byte order, read() looks at them in the file; else it writes them into the buffer.
///
/// Of the files about 64 MiB are in memory, beside the blocks that are read at the time and what
/// the system keeps to be quick and gives back when it is needed. Files stay open, and take address
/// space as long as they are.
template <class Scalar_ = double>
class NpySource final : public SampleSource<Scalar_> {
 public:
  using Scalar = Scalar_;                            ///< float or double
  using Paths = std::vector<std::filesystem::path>;  ///< files whose rows follow each other

  /// Opens the files and checks what their headers say. Copies share them.
  ///
  /// \param inputs   n x d in all
  /// \param targets  n x c
  /// \param weights  n, >= 0, in any unit; none: 1 for all samples
  /// \throws InvalidArgument that names the file if it is not one that read_npy reads, is in
  ///         Fortran order with more than one row and column, has other columns than the one before
  ///         it, or if their rows are not as many as those of the inputs; also for no inputs, no
  ///         targets or no rows
  NpySource(const Paths& inputs, const Paths& targets, const Paths& weights = {});

  Index size() const override;
  Index inputs() const override;
  Index outputs() const override;

  /// \throws InvalidArgument for rows that there are not. One that names the file, and row (in that
  /// file) and column: for NaN,
  ///         infinity and a negative weight; the element: for a number that Scalar cannot hold, as
  ///         read_npy; for a file that was written to since it was opened. Looking at a view of a
  ///         file that is cut after read() has returned ends the program (SIGBUS).
  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override;

 private:
  struct Files;
  std::shared_ptr<const Files> m_files;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class NpySource<float>;
extern template class NpySource<double>;
}  // namespace mgdl
#else
#include "mgdl/io/npy_source_impl.hpp"  // IWYU pragma: export
#endif
