#pragma once

#include <vector>

#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// A MultigradeModel prepared for many predictions: weights packed and buffers allocated once, so
/// that `predict_into` allocates nothing. It holds a copy of what it needs of the model.
///
/// Each row is computed by itself: its bits depend neither on the other rows nor on the number of
/// threads. One Predictor must not be used by two threads at a time, and it cannot be copied.
template <class Scalar_ = double>
class Predictor {
 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param threads  threads each call may use; 0: all available
  explicit Predictor(const MultigradeModel<Scalar>& model, int threads = 0);

  /// The same as of the model.
  /// \{
  Index inputs() const noexcept { return m_input.columns(); }
  Index outputs() const noexcept { return m_output.columns(); }
  Index grades() const noexcept { return static_cast<Index>(m_grades.size()); }
  /// \}

  /// Writes the model at each row of X (n x d) to `result` (n x c). Allocates nothing once the
  /// threads have started, which happens at the first call with more than a few hundred rows; but X
  /// in another layout than Matrix<Scalar>, row-major say, is copied when the call is made.
  /// \throws InvalidArgument for unequal shapes, NaN or infinities; `result` is unchanged then
  void predict_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result) {
    predict_into(X, result, grades());
  }

  /// The same for the first k grades.
  void predict_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result, Index k);

  /// Writes the features after the first k grades to `result` (n x feature_count(k)).
  void features_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result, Index k);

 private:
  struct Scratch {
    detail::ForwardScratch<Scalar> forward;
    detail::AlignedVector<Scalar> input;  // standardised, d columns of kForwardRows
    detail::AlignedVector<Scalar> sum;    // of the grades' outputs
  };

  static int checked_threads(int threads);

  void require_grades(Index k) const;

  void require_shapes(const ConstMatrixRef<Scalar>& X, const Eigen::Ref<Matrix<Scalar>>& result,
                      Index k, Index columns);

  /// All of X is looked at before anything is written; with many columns that takes a while.
  void require_finite(const ConstMatrixRef<Scalar>& X);

  /// Calls done(first_row, rows, scratch, features) for each block of rows.
  template <class Done>
  void run(const ConstMatrixRef<Scalar>& X, Index k, const Done& done);

  FeatureLink m_link;
  Standardizer<Scalar> m_input;
  Standardizer<Scalar> m_output;
  detail::ThreadPool m_pool;
  std::vector<detail::PanelNetwork<Scalar>> m_grades;
  std::vector<Index> m_feature_counts;  // after 0, 1, ... grades
  std::vector<Scratch> m_scratch;       // one for each thread
};

#ifdef MGDL_COMPILED
extern template class Predictor<float>;
extern template class Predictor<double>;
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/detail/predictor_impl.hpp"  // IWYU pragma: export
#endif
