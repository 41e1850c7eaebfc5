#pragma once

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
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
  explicit Predictor(const MultigradeModel<Scalar>& model, int threads = 0)
      : m_link(model.link()),
        m_input(model.input_standardizer()),
        m_output(model.output_standardizer()),
        m_pool(checked_threads(threads)) {
    m_feature_counts.push_back(model.feature_count(0));
    Index hidden_stride = 0;
    for (Index k = 1; k <= model.grades(); ++k) {
      m_grades.emplace_back(model.grade(k).network.layers());
      m_feature_counts.push_back(model.feature_count(k));
      hidden_stride = std::max({hidden_stride, m_grades.back().hidden_stride(),
                                detail::padded<Scalar>(model.feature_count(k))});
    }
    const Index output_stride = detail::padded<Scalar>(outputs());
    m_scratch.resize(static_cast<std::size_t>(m_pool.size()));
    for (auto& s : m_scratch) {
      s.forward.reserve(detail::kForwardRows, hidden_stride, output_stride);
      s.input.setZero(detail::kForwardRows * inputs());
      s.sum.setZero(detail::kForwardRows * outputs());
    }
  }

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
  void predict_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result, Index k) {
    require_shapes(X, result, k, outputs());
    run(X, k, [&](Index first, Index rows, const Scratch& s, detail::Strided<Scalar>) {
      for (Index j = 0; j < outputs(); ++j) {
        const Scalar mean = m_output.mean()[j];
        const Scalar scale = m_output.scale()[j];
        for (Index i = 0; i < rows; ++i) {
          result(first + i, j) = s.sum[i * outputs() + j] * scale + mean;
        }
      }
    });
  }

  /// Writes the features after the first k grades to `result` (n x feature_count(k)).
  void features_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result, Index k) {
    require_grades(k);
    const Index count = m_feature_counts[static_cast<std::size_t>(k)];
    require_shapes(X, result, k, count);
    run(X, k, [&](Index first, Index rows, const Scratch&, detail::Strided<Scalar> features) {
      for (Index j = 0; j < count; ++j) {
        for (Index i = 0; i < rows; ++i) {
          result(first + i, j) = features.data[i * features.row_stride + j * features.col_stride];
        }
      }
    });
  }

 private:
  struct Scratch {
    detail::ForwardScratch<Scalar> forward;
    detail::AlignedVector<Scalar> input;  // standardised, d columns of kForwardRows
    detail::AlignedVector<Scalar> sum;    // of the grades' outputs
  };

  static int checked_threads(int threads) {
    detail::require_threads("threads", threads);
    return detail::thread_count(threads);
  }

  void require_grades(Index k) const {
    if (k >= 0 && k <= grades()) return;
    throw InvalidArgument("grades", "a value from 0 to " + std::to_string(grades()),
                          std::to_string(k));
  }

  void require_shapes(const ConstMatrixRef<Scalar>& X, const Eigen::Ref<Matrix<Scalar>>& result,
                      Index k, Index columns) {
    require_grades(k);
    detail::require_cols("X", inputs(), X.cols());
    require_finite(X);
    detail::require_rows("result", X.rows(), result.rows());
    detail::require_cols("result", columns, result.cols());
  }

  /// All of X is looked at before anything is written; with many columns that takes a while.
  void require_finite(const ConstMatrixRef<Scalar>& X) {
    constexpr Index kColumns = 16;
    std::atomic<bool> finite{true};
    m_pool.parallel_for((X.cols() + kColumns - 1) / kColumns, [&](Index block, int) {
      const Index first = block * kColumns;
      const Index count = std::min(kColumns, X.cols() - first);
      if (!detail::all_finite(X.middleCols(first, count))) finite = false;
    });
    if (!finite) detail::require_finite("X", X);
  }

  /// Calls done(first_row, rows, scratch, features) for each block of rows.
  template <class Done>
  void run(const ConstMatrixRef<Scalar>& X, Index k, const Done& done) {
    constexpr Index kRows = detail::kForwardRows;
    const Index n = X.rows();
    m_pool.parallel_for((n + kRows - 1) / kRows, [&](Index block, int thread) {
      Scratch& s = m_scratch[static_cast<std::size_t>(thread)];
      const Index first = block * kRows;
      const Index rows = std::min(kRows, n - first);
      const Index d = inputs();
      for (Index j = 0; j < d; ++j) {
        s.input.segment(j * kRows, rows) =
            (X.col(j).segment(first, rows).array() - m_input.mean()[j]) / m_input.scale()[j];
      }
      s.sum.setZero();
      detail::Strided<Scalar> features{s.input.data(), 1, kRows};
      int buffer = 1;
      const Index output_stride = detail::padded<Scalar>(outputs());
      for (Index g = 0; g < k; ++g) {
        const auto& network = m_grades[static_cast<std::size_t>(g)];
        Scalar* hidden = network.forward(rows, features, s.forward, buffer);
        buffer = hidden == s.forward.buffers[0].data() ? 0 : 1;
        features = {hidden, s.forward.stride, 1};
        for (Index i = 0; i < rows; ++i) {
          for (Index j = 0; j < outputs(); ++j) {
            s.sum[i * outputs() + j] += s.forward.output[i * output_stride + j];
          }
        }
        if (m_link == FeatureLink::LastHiddenAndInput) {
          for (Index i = 0; i < rows; ++i) {
            Scalar* extra = hidden + i * s.forward.stride + network.width();
            for (Index j = 0; j < d; ++j) extra[j] = s.input[j * kRows + i];
          }
        }
      }
      done(first, rows, s, features);
    });
  }

  FeatureLink m_link;
  Standardizer<Scalar> m_input;
  Standardizer<Scalar> m_output;
  detail::ThreadPool m_pool;
  std::vector<detail::PanelNetwork<Scalar>> m_grades;
  std::vector<Index> m_feature_counts;  // after 0, 1, ... grades
  std::vector<Scratch> m_scratch;       // one for each thread
};

}  // namespace mgdl
