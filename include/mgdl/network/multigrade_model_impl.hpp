#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/panel_network.hpp"

namespace mgdl {

template <class Scalar>
void Predictor<Scalar>::require_grades(Index k) const {
  if (m_scratch.empty()) throw InvalidArgument("predictor", "that of a model", "one moved from");
  if (k >= 0 && k <= grades()) return;
  throw InvalidArgument("grades", "a value from 0 to " + std::to_string(grades()),
                        std::to_string(k));
}

template <class Scalar>
void Predictor<Scalar>::require_shapes(const ConstMatrixRef<Scalar>& X,
                                       const Eigen::Ref<Matrix<Scalar>>& result, Index k,
                                       Index columns) {
  require_grades(k);
  detail::require_cols("X", inputs(), X.cols());
  require_finite(X);
  detail::require_rows("result", X.rows(), result.rows());
  detail::require_cols("result", columns, result.cols());
}

template <class Scalar>
void Predictor<Scalar>::require_finite(const ConstMatrixRef<Scalar>& X) {
  constexpr Index kColumns = 16;
  std::atomic<bool> finite{true};
  m_threads.pool().parallel_for((X.cols() + kColumns - 1) / kColumns, [&](Index block, int) {
    const Index first = block * kColumns;
    const Index count = std::min(kColumns, X.cols() - first);
    if (!detail::all_finite(X.middleCols(first, count))) finite = false;
  });
  if (!finite) detail::require_finite("X", X);
}

template <class Scalar>
Predictor<Scalar>::Predictor(const MultigradeModel<Scalar>& model, Executor threads)
    : m_link(model.link()),
      m_input(model.input_standardizer()),
      m_output(model.output_standardizer()),
      m_threads(std::move(threads)) {
  detail::require_threads("threads", m_threads);
  m_feature_counts.push_back(model.feature_count(0));
  Index hidden_stride = 0;
  Index output_stride = 0;
  for (Index k = 1; k <= model.grades(); ++k) {
    m_grades.emplace_back(model.grade(k).network.layers());
    m_feature_counts.push_back(model.feature_count(k));
    hidden_stride = std::max({hidden_stride, m_grades.back().hidden_stride(),
                              detail::padded<Scalar>(model.feature_count(k))});
    output_stride = std::max(output_stride, m_grades.back().output_stride());
  }
  m_scratch.resize(static_cast<std::size_t>(m_threads.pool().size()));
  for (auto& s : m_scratch) {
    s.forward.reserve(detail::kForwardRows, hidden_stride, output_stride);
    s.input.setZero(detail::kForwardRows * inputs());
    s.sum.setZero(detail::kForwardRows * outputs());
  }
}

template <class Scalar>
void Predictor<Scalar>::run(const ConstMatrixRef<Scalar>& X, Index k, Done done) {
  constexpr Index kRows = detail::kForwardRows;
  const Index n = X.rows();
  m_threads.pool().parallel_for((n + kRows - 1) / kRows, [&](Index block, int thread) {
    Scratch& s = m_scratch[static_cast<std::size_t>(thread)];
    const Index first = block * kRows;
    const Index rows = std::min(kRows, n - first);
    const Index d = inputs();
    for (Index j = 0; j < d; ++j) {
      const Scalar mean = m_input.mean()[j];
      const Scalar scale = m_input.scale()[j];
      const Scalar* from = X.data() + j * X.outerStride() + first;
      Scalar* to = s.input.data() + j * kRows;
      for (Index i = 0; i < rows; ++i) to[i] = (from[i] - mean) / scale;
    }
    s.sum.setZero();
    detail::Strided<Scalar> features{s.input.data(), 1, kRows};
    int buffer = 1;
    for (Index g = 0; g < k; ++g) {
      const auto& network = m_grades[static_cast<std::size_t>(g)];
      const Index output_stride = network.output_stride();
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

template <class Scalar>
void Predictor<Scalar>::predict_into(const ConstMatrixRef<Scalar>& X,
                                     Eigen::Ref<Matrix<Scalar>> result, Index k) {
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

template <class Scalar>
void Predictor<Scalar>::features_into(const ConstMatrixRef<Scalar>& X,
                                      Eigen::Ref<Matrix<Scalar>> result, Index k) {
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

template <class Scalar>
Predictor<Scalar> MultigradeModel<Scalar>::predictor(Executor threads) const {
  return Predictor<Scalar>(*this, std::move(threads));
}

template <class Scalar>
Matrix<Scalar> MultigradeModel<Scalar>::predict(const ConstMatrixRef<Scalar>& X, Index k) const {
  Matrix<Scalar> result(X.rows(), outputs());
  predictor().predict_into(X, result, k);
  return result;
}

template <class Scalar>
Matrix<Scalar> MultigradeModel<Scalar>::features(const ConstMatrixRef<Scalar>& X, Index k) const {
  Matrix<Scalar> result(X.rows(), feature_count(k));
  predictor().features_into(X, result, k);
  return result;
}

template <class Scalar>
Matrix<Scalar> MultigradeModel<Scalar>::jacobian(const ConstVectorRef<Scalar>& x, Index k) const {
  detail::require_rows("x", inputs(), x.rows());
  detail::require_finite("x", x);
  return jacobians(x.transpose(), k, 1);
}

template <class Scalar>
RowMatrix<Scalar> MultigradeModel<Scalar>::jacobians(const ConstMatrixRef<Scalar>& X, Index k,
                                                     const Executor& threads) const {
  feature_count(k);  // throws for k out of range, and without inputs
  detail::require_cols("X", inputs(), X.cols());
  detail::require_finite("X", X);
  detail::require_threads("threads", threads);
  constexpr Index kRows = detail::kForwardRows;
  const Index n = X.rows();
  const Index c = outputs();
  RowMatrix<Scalar> result(n * c, inputs());
  threads.pool().parallel_for((n + kRows - 1) / kRows, [&](Index block, int) {
    const Index first = block * kRows;
    const Index rows = std::min(kRows, n - first);
    RowMatrix<Scalar> z = X.middleRows(first, rows);
    m_input.apply(z, z);
    result.middleRows(first * c, rows * c) = standardised_jacobians(z, k);
  });
  for (Index i = 0; i < result.rows(); ++i) {
    for (Index j = 0; j < result.cols(); ++j) {
      result(i, j) *= m_output.scale()[i % c] / m_input.scale()[j];
    }
  }
  return result;
}

template <class Scalar>
RowMatrix<Scalar> MultigradeModel<Scalar>::standardised_jacobians(const RowMatrix<Scalar>& z,
                                                                  Index k) const {
  const Index rows = z.rows();
  const Index d = inputs();
  const Index c = outputs();
  const bool linked = m_link == FeatureLink::LastHiddenAndInput;
  std::vector<std::vector<RowMatrix<Scalar>>> hidden;  // values of all hidden layers, by grade
  RowMatrix<Scalar> features = z;
  for (std::size_t g = 0; g < static_cast<std::size_t>(k); ++g) {
    auto& values = hidden.emplace_back();
    const auto& layers = m_grades[g].network.layers();
    for (std::size_t l = 0; l + 1 < layers.size(); ++l) {
      RowMatrix<Scalar> sums =
          detail::times_weights(values.empty() ? features : values.back(), layers[l]);
      sums.rowwise() += layers[l].bias();
      values.push_back(sums.cwiseMax(Scalar(0)));
    }
    features.resize(rows, feature_count(static_cast<Index>(g) + 1));
    features.leftCols(values.back().cols()) = values.back();
    if (linked) features.rightCols(d) = z;
  }

  RowMatrix<Scalar> result = RowMatrix<Scalar>::Zero(rows * c, d);
  RowMatrix<Scalar> later;  // derivatives of the later grades by the features of this one
  for (auto g = static_cast<std::size_t>(k); g-- > 0;) {
    const auto& layers = m_grades[g].network.layers();
    RowMatrix<Scalar> slopes = layers.back().dense_weights().transpose().replicate(rows, 1);
    if (later.size() > 0) slopes += later.leftCols(slopes.cols());
    for (std::size_t l = layers.size() - 1; l-- > 0;) {
      for (Index i = 0; i < slopes.rows(); ++i) {
        const auto active = hidden[g][l].row(i / c).array() > 0;
        slopes.row(i) = active.select(slopes.row(i).array(), Scalar(0)).matrix();
      }
      slopes = detail::times_transposed_weights(slopes, layers[l]);
    }
    if (g == 0) {
      result += slopes;
    } else if (linked) {
      result += slopes.rightCols(d);
    }
    later = std::move(slopes);
  }
  return result;
}

}  // namespace mgdl
