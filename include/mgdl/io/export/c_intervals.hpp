#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/export/c_code.hpp"
#include "mgdl/io/export/floating_point.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/prediction_intervals.hpp"

namespace mgdl::detail {

/// Prediction intervals of one level as C code.
///
/// The r-th smallest of n values m_k(i) + S_i sigma_k(i) is found from above: n - r values are
/// taken off the ends of the K ascending lists, and the largest of the others is it. So a list
/// needs its largest n - r + 1 scores only.
template <class Scalar>
class CIntervals {
 public:
  /// \throws InvalidArgument for intervals of another model, a level that they do not have, and a
  ///         scale where there is none
  CIntervals(const MultigradeModel<Scalar>& model, const PredictionIntervals<Scalar>& intervals,
             double level, IntervalWidth width)
      : m_outputs(model.outputs()), m_scaled(width == IntervalWidth::Scaled) {
    const auto require = [](bool fits) {
      if (fits) return;
      throw InvalidArgument("CHeaderOptions.intervals", "intervals of the model",
                            "those of another one");
    };
    const auto& members = intervals.members();
    require(intervals.inputs() == model.inputs() && intervals.outputs() == model.outputs() &&
            intervals.grades() == model.grades());
    require(members.size() > 1 || members.front() == model);
    const RowVector<Scalar> half = intervals.half_width(level, width);  // checks both
    const Index n = intervals.samples();
    const bool known = members.size() == 1 && !m_scaled;  // the model, plus and minus a constant
    if (members.size() > 1) m_members = members;
    m_code.members = std::ssize(m_members);
    m_code.parts = known ? 1 : std::ssize(intervals.parts());
    m_code.dropped = known ? 0 : n - quantile_rank(level, n);
    m_code.first.push_back(0);
    for (Index k = 0; k < m_code.parts; ++k) {
      const auto& part = intervals.parts()[static_cast<std::size_t>(k)];
      const RowMatrix<Scalar>& scores = m_scaled ? part.scaled_residuals : part.residuals;
      const RowMatrix<Scalar> kept =
          known ? RowMatrix<Scalar>(half)
                : RowMatrix<Scalar>(scores.bottomRows(std::min(scores.rows(), m_code.dropped + 1)));
      m_code.scores.insert(m_code.scores.end(), kept.data(), kept.data() + kept.size());
      m_code.first.push_back(m_code.first.back() + kept.rows());
      if (!m_scaled) continue;
      auto& scale = m_scales.emplace_back(model.input_standardizer(),
                                          Standardizer<Scalar>::identity(m_outputs));
      scale.add_grade(Grade<Scalar>{part.scale->network});
      const auto append = [](std::vector<double>& to, const RowVector<Scalar>& values) {
        to.insert(to.end(), values.begin(), values.end());
      };
      append(m_code.lowest, part.scale->lower);
      append(m_code.highest, part.scale->upper);
    }
  }

  /// Behind the code of the model.
  void add_to(CCode& code) const {
    for (std::size_t k = 0; k < m_members.size(); ++k) {
      code.add_part("m" + std::to_string(k + 1), m_members[k]);
    }
    for (std::size_t k = 0; k < m_scales.size(); ++k) {
      code.add_part("s" + std::to_string(k + 1), m_scales[k]);
    }
    code.add_interval(m_code);
  }

  /// What the code computes, each operation rounded to Number.
  template <class Number>
  IntervalLimits<double> predict(const MultigradeModel<Scalar>& model,
                                 const Matrix<Scalar>& X) const {
    std::vector<Matrix<Number>> mu;
    if (m_members.empty()) mu.push_back(predict_rounded<Number>(model, X));
    for (const auto& member : m_members) mu.push_back(predict_rounded<Number>(member, X));
    std::vector<Matrix<Number>> sigma;
    for (const auto& scale : m_scales) {
      const std::size_t first = sigma.size() * static_cast<std::size_t>(m_outputs);
      Matrix<Number>& size = sigma.emplace_back(predict_rounded<Number>(scale, X));
      for (Index j = 0; j < m_outputs; ++j) {
        const auto lowest = static_cast<Number>(m_code.lowest[first + static_cast<std::size_t>(j)]);
        const auto highest =
            static_cast<Number>(m_code.highest[first + static_cast<std::size_t>(j)]);
        for (Number& value : size.col(j)) {
          value = std::max(std::exp(std::min(std::max(value, lowest), highest)),
                           std::numeric_limits<Number>::min());
        }
      }
    }
    IntervalLimits<double> limits{Matrix<double>(X.rows(), m_outputs),
                                  Matrix<double>(X.rows(), m_outputs)};
    for (Index i = 0; i < X.rows(); ++i) {
      for (Index j = 0; j < m_outputs; ++j) {
        limits.lower(i, j) = -static_cast<double>(limit<Number>(mu, sigma, i, j, -1));
        limits.upper(i, j) = static_cast<double>(limit<Number>(mu, sigma, i, j, 1));
      }
    }
    return limits;
  }

 private:
  template <class Number>
  Number limit(const std::vector<Matrix<Number>>& mu, const std::vector<Matrix<Number>>& sigma,
               Index i, Index j, Number sign) const {
    const auto& first = m_code.first;
    const std::size_t parts = first.size() - 1;
    std::vector<Index> next(first.begin() + 1, first.end());
    Number value = 0;
    for (Index t = 0; t <= m_code.dropped; ++t) {
      std::size_t best = parts;
      for (std::size_t k = 0; k < parts; ++k) {
        if (next[k] == first[k]) continue;
        auto score = static_cast<Number>(
            m_code.scores[static_cast<std::size_t>((next[k] - 1) * m_outputs + j)]);
        if (m_scaled) score *= sigma[k](i, j);
        const Number end = sign * mu[std::min(k, mu.size() - 1)](i, j) + score;
        if (best < parts && end <= value) continue;
        value = end;
        best = k;
      }
      --next[best];
    }
    return value;
  }

  Index m_outputs;
  bool m_scaled;
  std::vector<MultigradeModel<Scalar>> m_members;  // none: the model itself
  std::vector<MultigradeModel<Scalar>> m_scales;   // g of each part
  CCode::Interval m_code;
};

}  // namespace mgdl::detail
