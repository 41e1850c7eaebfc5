#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/compiled.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"

namespace mgdl::detail {

/// Held out samples of one part.
template <class Scalar>
struct HeldOutPart {
  Matrix<Scalar> inputs;   // m x d
  Matrix<Scalar> targets;  // m x c
};

/// Sample i of the validation part belongs to part i mod `count`; without one there are no parts.
template <class Scalar>
std::vector<HeldOutPart<Scalar>> held_out_parts(const DataSplit<Scalar>& data, Index count) {
  if (!data.validation) return {};
  const auto& held_out = *data.validation;
  std::vector<HeldOutPart<Scalar>> parts;
  for (Index k = 0; k < std::min(count, held_out.size()); ++k) {
    const auto rows = Eigen::seq(k, held_out.size() - 1, count);
    parts.push_back({held_out.inputs()(rows, kAll), held_out.targets()(rows, kAll)});
  }
  return parts;
}

/// Every fold is a part.
template <class Scalar>
std::vector<HeldOutPart<Scalar>> held_out_parts(const DataFolds<Scalar>& data, Index) {
  std::vector<HeldOutPart<Scalar>> parts;
  for (const auto& fold : data.folds) {
    parts.push_back({fold.validation->inputs(), fold.validation->targets()});
  }
  return parts;
}

template <class Scalar>
RowMatrix<Scalar> standardised(const MultigradeModel<Scalar>& model,
                               const ConstMatrixRef<Scalar>& X) {
  RowMatrix<Scalar> Z(X.rows(), X.cols());
  model.input_standardizer().apply(X, Z);
  return Z;
}

/// sigma at standardised inputs.
template <class Scalar>
Matrix<Scalar> scale_at(const ResidualScale<Scalar>& scale, const RowMatrix<Scalar>& inputs,
                        const Executor& threads) {
  Matrix<Scalar> sigma = scale.network.predict(inputs, threads);
  constexpr Scalar least = std::numeric_limits<Scalar>::min();
  constexpr Scalar most = std::numeric_limits<Scalar>::max();
  for (Index j = 0; j < sigma.cols(); ++j) {
    for (Scalar& value : sigma.col(j)) {
      value = std::clamp(std::exp(std::clamp(value, scale.lower[j], scale.upper[j])), least, most);
    }
  }
  return sigma;
}

/// A network g with exp(g(inputs)) close to the conditional mean of the residuals, column by
/// column: the Gamma regression with logarithmic link, min sum_i r_i exp(-g_i) + g_i, by Fisher
/// scoring, whose steps are least squares fits to g_i + r_i exp(-g_i) - 1. They start from a fit to
/// log(r_i + mean r / 20), and a residual counts as at most five times what is expected of it.
///
/// \param inputs     standardised, n x d
/// \param residuals  absolute, n x c
template <class Scalar>
ResidualScale<Scalar> fit_scale(const RowMatrix<Scalar>& inputs, const Matrix<Scalar>& residuals,
                                const IntervalOptions& options) {
  constexpr double kFloor = 0.05;
  constexpr double kMost = 5;
  constexpr int kSteps = 4;
  constexpr Index kSamplesPerUnit = 8;
  const Index n = residuals.rows();
  const Index c = residuals.cols();
  const auto constant = [&](const RowVector<double>& values) {
    const RowVector<Scalar> bias = values.template cast<Scalar>();
    return ResidualScale<Scalar>{ReluNetwork<Scalar>({{RowMatrix<Scalar>::Zero(inputs.cols(), 1),
                                                       RowVector<Scalar>::Zero(1)},
                                                      {RowMatrix<Scalar>::Zero(1, c), bias}}),
                                 bias, bias};
  };
  if (n == 0) return constant(RowVector<double>::Zero(c));
  // Relative to their mean; a column of zeros stays one.
  Matrix<double> sizes = residuals.template cast<double>();
  RowVector<double> unit = sizes.colwise().mean();
  for (Index j = 0; j < c; ++j) {
    if (!(unit[j] > 0 && std::isfinite(unit[j]))) unit[j] = 1;
    sizes.col(j) /= unit[j];
  }
  ResidualScale<Scalar> best = constant(unit.array().log());
  const Vector<Scalar> weights = Vector<Scalar>::Constant(n, Scalar(1.0 / static_cast<double>(n)));
  SampledOptions sampled = options.scale;
  sampled.width = std::clamp<Index>(n / kSamplesPerUnit, 1, sampled.width);
  Matrix<double> response = (sizes.array() + kFloor).log();
  for (int step = 0; step < kSteps; ++step) {
    const RowVector<double> mean = response.colwise().mean();
    const Matrix<double> centred = response.rowwise() - mean;
    const double spread = std::sqrt(centred.squaredNorm() / static_cast<double>(n));
    if (!(spread > 0 && std::isfinite(spread))) return best;
    const RowMatrix<Scalar> targets = (centred / spread).template cast<Scalar>();
    GradeProblem<Scalar> problem{SampleView<Scalar>{inputs, targets, weights}};
    problem.seed = options.seed;
    problem.threads = options.threads;
    const auto network =
        SampledTrainer<Scalar>(sampled).fit(problem).network.scaled(static_cast<Scalar>(spread));
    const auto& readout = network.readout();
    const RowVector<Scalar> shift =
        (mean.array() + unit.array().log()).matrix().template cast<Scalar>();
    auto shifted =
        network.with_readout({readout.weights(), readout.bias() + shift, readout.groups()});
    const RowMatrix<Scalar> values = shifted.predict(inputs, options.threads);
    if (!all_finite(values)) return best;
    best = {std::move(shifted), values.colwise().minCoeff(), values.colwise().maxCoeff()};
    for (Index j = 0; j < c; ++j) {
      const Vector<double> g = values.col(j).template cast<double>().array() - std::log(unit[j]);
      const Vector<double> ratio = sizes.col(j).array() * (-g.array()).exp();
      response.col(j) = g.array() + ratio.array().min(kMost) - 1;
    }
  }
  return best;
}

/// |y - mu(x)|, n x c; what is not finite is the largest number.
template <class Scalar>
Matrix<Scalar> absolute_residuals(const MultigradeModel<Scalar>& model,
                                  const HeldOutPart<Scalar>& part, const Executor& threads) {
  require_cols("X", model.inputs(), part.inputs.cols());
  require_cols("Y", model.outputs(), part.targets.cols());
  Matrix<Scalar> residuals(part.inputs.rows(), model.outputs());
  model.predictor(threads).predict_into(part.inputs, residuals);
  residuals = (part.targets - residuals).cwiseAbs();
  constexpr Scalar most = std::numeric_limits<Scalar>::max();
  for (Scalar& value : residuals.reshaped()) {
    if (!(value <= most)) value = most;
  }
  return residuals;
}

/// residuals / sigma, at most the largest number.
template <class Scalar>
Matrix<Scalar> scaled_by(const Matrix<Scalar>& residuals, const Matrix<Scalar>& sigma) {
  return residuals.cwiseQuotient(sigma).cwiseMin(std::numeric_limits<Scalar>::max());
}

/// Each column in ascending order.
template <class Scalar>
RowMatrix<Scalar> ascending(Matrix<Scalar> values) {
  for (Index j = 0; j < values.cols(); ++j) {
    std::sort(values.col(j).begin(), values.col(j).end());
  }
  return values;
}

template <class Scalar>
PredictionIntervals<Scalar> calibrated(std::vector<MultigradeModel<Scalar>> members,
                                       const std::vector<HeldOutPart<Scalar>>& samples,
                                       const IntervalOptions& options) {
  std::vector<Matrix<Scalar>> residuals;
  for (std::size_t k = 0; k < samples.size(); ++k) {
    const auto& member = members[std::min(k, members.size() - 1)];
    residuals.push_back(absolute_residuals(member, samples[k], options.threads));
  }
  std::vector<CalibrationPart<Scalar>> parts;
  for (std::size_t k = 0; k < samples.size(); ++k) {
    auto& part = parts.emplace_back(CalibrationPart<Scalar>{ascending(residuals[k])});
    if (!options.scaled) continue;
    // Of all other parts.
    Index count = 0;
    for (std::size_t l = 0; l < samples.size(); ++l) count += l == k ? 0 : residuals[l].rows();
    Matrix<Scalar> inputs(count, members.front().inputs());
    Matrix<Scalar> others(count, members.front().outputs());
    Index row = 0;
    for (std::size_t l = 0; l < samples.size(); ++l) {
      if (l == k) continue;
      inputs.middleRows(row, residuals[l].rows()) = samples[l].inputs;
      others.middleRows(row, residuals[l].rows()) = residuals[l];
      row += residuals[l].rows();
    }
    part.scale = fit_scale(standardised<Scalar>(members.front(), inputs), others, options);
    const Matrix<Scalar> sigma = scale_at(
        *part.scale, standardised<Scalar>(members.front(), samples[k].inputs), options.threads);
    part.scaled_residuals = ascending(scaled_by(residuals[k], sigma));
  }
  return {std::move(members), std::move(parts)};
}

template <class Scalar>
std::vector<GradeReport> kept_grades(const MultigradeFit<Scalar>& fit) {
  std::vector<GradeReport> kept;
  for (const auto& grade : fit.report.grades) {
    if (grade.kept) kept.push_back(grade);
  }
  return kept;
}

MGDL_INLINE Index quantile_rank(double level, Index samples) {
  require_option(level > 0 && level < 1, "level", "a value in (0, 1)", level);
  const double place = level * static_cast<double>(samples + 1);
  const auto rank =
      static_cast<Index>(std::ceil(place * (1 - 4 * std::numeric_limits<double>::epsilon())));
  if (rank > samples) {
    const double most = static_cast<double>(samples) / static_cast<double>(samples + 1);
    throw InvalidArgument(
        "level",
        "at most " + to_text(most) + " with " + std::to_string(samples) + " held out samples",
        to_text(level));
  }
  return rank;
}

/// The first score that is not the recomputed one, both in ascending order.
template <class Scalar>
std::string difference(const RowMatrix<Scalar>& stated, const RowMatrix<Scalar>& found,
                       const RowVector<double>& absolute, double relative, const char* what) {
  if (stated.rows() != found.rows()) {
    return std::string(what) + ": stated " + std::to_string(stated.rows()) + " samples, found " +
           std::to_string(found.rows());
  }
  for (Index i = 0; i < found.rows(); ++i) {
    for (Index j = 0; j < found.cols(); ++j) {
      const auto a = static_cast<double>(stated(i, j));
      const auto b = static_cast<double>(found(i, j));
      if (a == b || std::abs(a - b) <= absolute[j] + relative * std::abs(b)) continue;
      std::string text(what);
      text += ": stated " + to_text(a) + ", recomputed " + to_text(b);
      return text;
    }
  }
  return {};
}

/// The first limit of a scale that is not what g has at the samples that it was fitted to, those of
/// all parts but part k.
template <class Scalar>
std::string wrong_limits(const ResidualScale<Scalar>& scale, const MultigradeModel<Scalar>& model,
                         const std::vector<HeldOutPart<Scalar>>& samples, std::size_t k,
                         const Executor& threads) {
  RowMatrix<Scalar> lower, upper;  // 1 x c; none without such samples
  for (std::size_t l = 0; l < samples.size(); ++l) {
    if (l == k || samples[l].inputs.rows() == 0) continue;
    const RowMatrix<Scalar> values =
        scale.network.predict(standardised<Scalar>(model, samples[l].inputs), threads);
    const RowMatrix<Scalar> least = values.colwise().minCoeff();
    const RowMatrix<Scalar> most = values.colwise().maxCoeff();
    lower = lower.size() == 0 ? least : RowMatrix<Scalar>(lower.cwiseMin(least));
    upper = upper.size() == 0 ? most : RowMatrix<Scalar>(upper.cwiseMax(most));
  }
  if (lower.size() == 0) return {};
  // Logarithms: rounding of the scale relative to itself.
  const RowVector<double> rounding = RowVector<double>::Constant(
      lower.cols(), 1024 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()));
  const std::string wrong =
      difference<Scalar>(scale.lower, lower, rounding, 0, "lower limit of the scale");
  return wrong.empty()
             ? difference<Scalar>(scale.upper, upper, rounding, 0, "upper limit of the scale")
             : wrong;
}

template <class Scalar>
IntervalVerification verify_scores(const PredictionIntervals<Scalar>& intervals,
                                   const std::vector<HeldOutPart<Scalar>>& samples, double level,
                                   const Executor& threads) {
  require_option(level > 0 && level < 1, "level", "a value in (0, 1)", level);
  require_threads("threads", threads);
  IntervalVerification result{.valid = true, .message = "all scores hold", .level = level};
  const auto refute = [&](std::string message) {
    if (result.valid && !message.empty()) {
      result.valid = false;
      result.message = std::move(message);
    }
  };
  const auto& members = intervals.members();
  if (samples.size() != intervals.parts().size()) {
    refute("stated " + std::to_string(intervals.parts().size()) + " parts, found " +
           std::to_string(samples.size()));
    return result;
  }
  // Predictions are rounded in proportion to the targets, the sums that they are made of in
  // proportion to what is left of these without their mean, and a scale in proportion to itself.
  const double epsilon = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  const RowVector<Scalar>& mean = members.front().output_standardizer().mean();
  RowVector<double> largest = RowVector<double>::Zero(intervals.outputs());
  RowVector<double> centred = largest;
  for (const auto& part : samples) {
    require_cols("X", intervals.inputs(), part.inputs.cols());
    require_cols("Y", intervals.outputs(), part.targets.cols());
    largest =
        largest.cwiseMax(part.targets.cwiseAbs().colwise().maxCoeff().template cast<double>());
    centred = centred.cwiseMax(
        (part.targets.rowwise() - mean).cwiseAbs().colwise().maxCoeff().template cast<double>());
  }
  const RowVector<double> rounding = 256 * epsilon * centred + epsilon * largest;

  const bool known = level <= intervals.largest_level();
  const auto inside = [&](IntervalWidth width, const auto& scores_of) {
    RowVector<double> coverage =
        RowVector<double>::Constant(intervals.outputs(), known ? 0 : std::nan(""));
    if (!known) return coverage;
    const auto half = intervals.half_width(level, width);
    for (const auto& scores : scores_of) {
      for (Index j = 0; j < scores.cols(); ++j) {
        coverage[j] += static_cast<double>((scores.col(j).array() <= half[j]).count());
      }
    }
    return RowVector<double>(coverage / static_cast<double>(intervals.samples()));
  };
  std::vector<RowMatrix<Scalar>> residuals;
  std::vector<RowMatrix<Scalar>> scaled;
  for (std::size_t k = 0; k < samples.size(); ++k) {
    const auto& part = intervals.parts()[k];
    const auto found =
        absolute_residuals(members[std::min(k, members.size() - 1)], samples[k], threads);
    residuals.push_back(ascending(found));
    refute(difference(part.residuals, residuals.back(), rounding, 0, "residual"));
    if (!part.scale) continue;
    const Matrix<Scalar> sigma =
        scale_at(*part.scale, standardised<Scalar>(members.front(), samples[k].inputs), threads);
    scaled.push_back(ascending(scaled_by(found, sigma)));
    const RowVector<double> least = sigma.colwise().minCoeff().template cast<double>();
    refute(difference(part.scaled_residuals, scaled.back(),
                      RowVector<double>(rounding.cwiseQuotient(least)), 1024 * epsilon,
                      "scaled residual"));
    refute(wrong_limits(*part.scale, members.front(), samples, k, threads));
  }
  result.coverage = inside(IntervalWidth::Constant, residuals);
  if (intervals.has_scale()) result.scaled_coverage = inside(IntervalWidth::Scaled, scaled);
  return result;
}

/// Equal shapes and values.
template <class Derived>
bool same_values(const Eigen::MatrixBase<Derived>& a, const Eigen::MatrixBase<Derived>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && a == b;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
PredictionIntervals<Scalar>::PredictionIntervals(std::vector<MultigradeModel<Scalar>> members,
                                                 std::vector<CalibrationPart<Scalar>> parts)
    : m_members(std::move(members)), m_parts(std::move(parts)) {
  if (m_parts.empty()) throw InvalidArgument("parts", "at least one", "none");
  if (m_members.size() != 1 && m_members.size() != m_parts.size()) {
    throw InvalidArgument("members", "1 or " + std::to_string(m_parts.size()) + ", one each part",
                          std::to_string(m_members.size()));
  }
  for (const auto& member : m_members) {
    detail::require_cols("members", inputs(), member.inputs());
    detail::require_cols("members", outputs(), member.outputs());
  }
  for (std::size_t k = 0; k < m_parts.size(); ++k) {
    const auto& part = m_parts[k];
    const std::string where = "part " + std::to_string(k + 1);
    const auto require = [&](bool ok, const char* field, const std::string& rule) {
      if (!ok) throw InvalidArgument(field, rule, "others", where);
    };
    const auto require_scores = [&](const RowMatrix<Scalar>& scores, const char* field) {
      require(scores.cols() == outputs(), field, std::to_string(outputs()) + " columns");
      detail::require_finite(field, scores);
      for (Index j = 0; j < scores.cols(); ++j) {
        bool ordered = scores(0, j) >= 0;
        for (Index i = 1; i < scores.rows(); ++i) {
          ordered = ordered && scores(i - 1, j) <= scores(i, j);
        }
        require(ordered, field, "values >= 0 in ascending order");
      }
    };
    require(part.residuals.rows() > 0, "residuals", "at least one row");
    require_scores(part.residuals, "residuals");
    require(part.scale.has_value() == has_scale(), "scale", "one in all parts or none");
    m_samples += part.residuals.rows();
    if (!part.scale) {
      require(part.scaled_residuals.size() == 0, "scaled_residuals", "none without scale");
      continue;
    }
    const auto& scale = *part.scale;
    require(part.scaled_residuals.rows() == part.residuals.rows(), "scaled_residuals",
            std::to_string(part.residuals.rows()) + " rows");
    require_scores(part.scaled_residuals, "scaled_residuals");
    require(scale.network.inputs() == inputs(), "scale", std::to_string(inputs()) + " inputs");
    require(scale.network.outputs() == outputs(), "scale", std::to_string(outputs()) + " outputs");
    require(scale.lower.size() == outputs() && scale.upper.size() == outputs(), "scale",
            "limits of " + std::to_string(outputs()) + " outputs");
    for (const auto& layer : scale.network.layers()) {
      require(layer.groups() == 1, "scale", "layers without groups");
    }
    require((scale.lower.array() <= scale.upper.array()).all(), "scale",
            "lower limits that are at most the upper ones");
  }
}

template <class Scalar>
Index PredictionIntervals<Scalar>::rank(double level, IntervalWidth width) const {
  const Index rank = detail::quantile_rank(level, m_samples);
  if (width == IntervalWidth::Scaled && !has_scale()) {
    throw InvalidArgument("width", "Constant, without scale", to_string(width));
  }
  return rank;
}

template <class Scalar>
template <class Values>
Scalar PredictionIntervals<Scalar>::select(Index rank, const Values& values) const {
  // Values of part k that are at most `bound`.
  const auto up_to = [&](std::size_t k, Scalar bound) {
    Index first = 0;
    Index last = m_parts[k].residuals.rows();
    while (first < last) {
      const Index middle = first + (last - first) / 2;
      if (values(k, middle) <= bound) {
        first = middle + 1;
      } else {
        last = middle;
      }
    }
    return first;
  };
  // It is the smallest of all values that `rank` of them do not exceed.
  bool any = false;
  Scalar best = 0;
  for (std::size_t k = 0; k < m_parts.size(); ++k) {
    Index first = 0;
    const Index size = m_parts[k].residuals.rows();
    Index last = size;
    while (first < last) {
      const Index middle = first + (last - first) / 2;
      const Scalar value = values(k, middle);
      Index count = 0;
      if (!(any && value >= best)) {
        for (std::size_t l = 0; l < m_parts.size(); ++l) count += up_to(l, value);
      } else {
        count = rank;  // as `best` is
      }
      if (count >= rank) {
        last = middle;
      } else {
        first = middle + 1;
      }
    }
    if (first == size) continue;
    const Scalar value = values(k, first);
    if (!any || value < best) best = value;
    any = true;
  }
  return best;
}

template <class Scalar>
IntervalLimits<Scalar> PredictionIntervals<Scalar>::predict(const ConstMatrixRef<Scalar>& X,
                                                            double level, IntervalWidth width,
                                                            const Executor& threads) const {
  const Index r = rank(level, width);
  detail::require_threads("threads", threads);
  std::vector<Matrix<Scalar>> centres;  // n x c, of each member
  for (const auto& member : m_members) {
    centres.emplace_back(X.rows(), outputs());
    member.predictor(threads).predict_into(X, centres.back());
  }
  std::vector<Matrix<Scalar>> scales;  // n x c, of each part
  if (width == IntervalWidth::Scaled) {
    for (std::size_t k = 0; k < m_parts.size(); ++k) {
      scales.push_back(scale(X, static_cast<Index>(k), threads));
    }
  }
  IntervalLimits<Scalar> limits{Matrix<Scalar>(X.rows(), outputs()),
                                Matrix<Scalar>(X.rows(), outputs())};
  for (Index j = 0; j < outputs(); ++j) {
    for (Index i = 0; i < X.rows(); ++i) {
      // Exactly rounded, so that a value is the same wherever it is computed.
      const auto reach = [&](std::size_t k, Index place, Scalar from) {
        const Scalar score = scores(k, width)(place, j);
        return scales.empty() ? score + from : std::fma(scales[k](i, j), score, from);
      };
      const auto centre = [&](std::size_t k) {
        return centres[std::min(k, centres.size() - 1)](i, j);
      };
      limits.lower(i, j) =
          -select(r, [&](std::size_t k, Index place) { return reach(k, place, -centre(k)); });
      limits.upper(i, j) =
          select(r, [&](std::size_t k, Index place) { return reach(k, place, centre(k)); });
    }
  }
  return limits;
}

template <class Scalar>
RowVector<Scalar> PredictionIntervals<Scalar>::half_width(double level, IntervalWidth width) const {
  const Index r = rank(level, width);
  RowVector<Scalar> result(outputs());
  for (Index j = 0; j < outputs(); ++j) {
    result[j] = select(r, [&](std::size_t k, Index place) { return scores(k, width)(place, j); });
  }
  return result;
}

template <class Scalar>
Matrix<Scalar> PredictionIntervals<Scalar>::scale(const ConstMatrixRef<Scalar>& X, Index part,
                                                  const Executor& threads) const {
  detail::require_option(part >= 0 && part < std::ssize(m_parts), "part", "the number of a part",
                         part);
  if (!has_scale()) throw InvalidArgument("scale", "one", "none");
  detail::require_cols("X", inputs(), X.cols());
  detail::require_finite("X", X);
  return detail::scale_at(*m_parts[static_cast<std::size_t>(part)].scale,
                          detail::standardised<Scalar>(m_members.front(), X), threads);
}

template <class Scalar>
bool PredictionIntervals<Scalar>::operator==(const PredictionIntervals& other) const {
  const auto same_scale = [](const auto& a, const auto& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return a->network == b->network && detail::same_values(a->lower, b->lower) &&
           detail::same_values(a->upper, b->upper);
  };
  return m_members == other.m_members &&
         std::ranges::equal(m_parts, other.m_parts, [&](const auto& a, const auto& b) {
           return detail::same_values(a.residuals, b.residuals) &&
                  detail::same_values(a.scaled_residuals, b.scaled_residuals) &&
                  same_scale(a.scale, b.scale);
         });
}

template <class Scalar>
PredictionIntervals<Scalar> calibrate(const MultigradeFit<Scalar>& fit,
                                      const DataSplit<Scalar>& data,
                                      const IntervalOptions& options) {
  options.validate();
  if (fit.report.folds > 0) {
    throw InvalidArgument("data", "the folds of the fit", "a DataSplit");
  }
  if (!data.validation) throw InvalidArgument("data", "a validation part", "none");
  return detail::calibrated<Scalar>({fit.model}, detail::held_out_parts(data, options.parts),
                                    options);
}

template <class Scalar>
PredictionIntervals<Scalar> calibrate(const MultigradeFit<Scalar>& fit,
                                      const DataFolds<Scalar>& data,
                                      const IntervalOptions& options) {
  options.validate();
  if (fit.report.folds != data.size()) {
    throw InvalidArgument("data", std::to_string(fit.report.folds) + " folds, as the fit has",
                          std::to_string(data.size()));
  }
  // Folds without a member have residuals of nobody.
  const Index members = data.size() - fit.report.idle_folds;
  auto parts = detail::held_out_parts(data, options.parts);
  parts.resize(static_cast<std::size_t>(members));
  return detail::calibrated<Scalar>(
      detail::fold_members(fit.model, members, detail::kept_grades(fit)), parts, options);
}

template <class Scalar>
IntervalVerification verify_intervals(const PredictionIntervals<Scalar>& intervals,
                                      const DataSplit<Scalar>& data, double level,
                                      const Executor& threads) {
  return detail::verify_scores(
      intervals, detail::held_out_parts(data, std::ssize(intervals.parts())), level, threads);
}

template <class Scalar>
IntervalVerification verify_intervals(const PredictionIntervals<Scalar>& intervals,
                                      const DataFolds<Scalar>& data, double level,
                                      const Executor& threads) {
  return detail::verify_scores(
      intervals, detail::held_out_parts(data, std::ssize(intervals.parts())), level, threads);
}

}  // namespace mgdl
