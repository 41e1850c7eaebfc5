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
    const auto require = [](bool fits, const char* expected) {
      if (fits) return;
      throw InvalidArgument("CHeaderOptions.intervals", expected, "those of another one");
    };
    const auto& members = intervals.members();
    require(intervals.inputs() == model.inputs() && intervals.outputs() == model.outputs() &&
                intervals.grades() == model.grades(),
            "intervals of the model");
    require(members.size() > 1 || members.front() == model, "intervals of the model");
    const RowVector<Scalar> half = intervals.half_width(level, width);  // checks both
    const Index n = intervals.samples();
    const bool known = members.size() == 1 && !m_scaled;  // the model, plus and minus a constant
    m_dropped = known ? 0 : n - quantile_rank(level, n);
    if (members.size() > 1) m_members = members;
    const std::size_t parts = known ? 1 : intervals.parts().size();
    m_first.push_back(0);
    for (std::size_t k = 0; k < parts; ++k) {
      const auto& part = intervals.parts()[k];
      const RowMatrix<Scalar>& scores = m_scaled ? part.scaled_residuals : part.residuals;
      const RowMatrix<Scalar> kept =
          known ? RowMatrix<Scalar>(half)
                : RowMatrix<Scalar>(scores.bottomRows(std::min(scores.rows(), m_dropped + 1)));
      for (Index i = 0; i < kept.rows(); ++i) {
        for (Index j = 0; j < m_outputs; ++j) m_scores.push_back(kept(i, j));
      }
      m_first.push_back(m_first.back() + kept.rows());
      if (!m_scaled) continue;
      auto& scale = m_scales.emplace_back(model.input_standardizer(),
                                          Standardizer<Scalar>::identity(m_outputs));
      scale.add_grade(Grade<Scalar>{part.scale->network});
      for (Index j = 0; j < m_outputs; ++j) {
        m_lowest.push_back(part.scale->lower[j]);
        m_highest.push_back(part.scale->upper[j]);
      }
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
    code.add_interval({.members = std::ssize(m_members),
                       .parts = std::ssize(m_first) - 1,
                       .dropped = m_dropped,
                       .first = m_first,
                       .scores = as_doubles(m_scores),
                       .lowest = as_doubles(m_lowest),
                       .highest = as_doubles(m_highest)});
  }

  /// What the code computes, each operation rounded to Number.
  template <class Number>
  IntervalLimits<double> predict(const MultigradeModel<Scalar>& model,
                                 const Matrix<Scalar>& X) const {
    std::vector<Matrix<Number>> mu;
    if (m_members.empty()) mu.push_back(CCode::predict<Number>(model, X));
    for (const auto& member : m_members) mu.push_back(CCode::predict<Number>(member, X));
    std::vector<Matrix<Number>> sigma;
    for (std::size_t k = 0; k < m_scales.size(); ++k) {
      Matrix<Number>& size = sigma.emplace_back(CCode::predict<Number>(m_scales[k], X));
      for (Index j = 0; j < m_outputs; ++j) {
        const std::size_t at =
            k * static_cast<std::size_t>(m_outputs) + static_cast<std::size_t>(j);
        const auto lowest = static_cast<Number>(m_lowest[at]);
        const auto highest = static_cast<Number>(m_highest[at]);
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
    const std::size_t parts = m_first.size() - 1;
    std::vector<Index> next(m_first.begin() + 1, m_first.end());
    Number value = 0;
    for (Index t = 0; t <= m_dropped; ++t) {
      std::size_t best = parts;
      for (std::size_t k = 0; k < parts; ++k) {
        if (next[k] == m_first[k]) continue;
        auto score =
            static_cast<Number>(m_scores[static_cast<std::size_t>((next[k] - 1) * m_outputs + j)]);
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

  static std::vector<double> as_doubles(const std::vector<Scalar>& values) {
    return {values.begin(), values.end()};
  }

  Index m_outputs;
  bool m_scaled;
  Index m_dropped = 0;                             // n - r
  std::vector<MultigradeModel<Scalar>> m_members;  // none: the model itself
  std::vector<MultigradeModel<Scalar>> m_scales;   // g of each part
  std::vector<Index> m_first;                      // scores of each part, and their number
  std::vector<Scalar> m_scores;                    // c each
  std::vector<Scalar> m_lowest, m_highest;         // of g, c for each part
};

}  // namespace mgdl::detail
