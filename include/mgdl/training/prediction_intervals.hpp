#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

/// \file
/// Limits between which a target lies with a given probability, from the residuals of samples that
/// were held out. What is proven of them, and what is measured: docs/intervals.md.

namespace mgdl {

/// How wide a prediction interval is.
enum class IntervalWidth {
  Constant,  ///< alike everywhere, but for how far the members of folds are apart
  Scaled     ///< in proportion to a model of the size of the residual
};

/// The enumerator's name.
constexpr const char* to_string(IntervalWidth width) noexcept {
  return width == IntervalWidth::Constant ? "Constant" : "Scaled";
}

/// Options of calibrate().
struct IntervalOptions {
  /// Whether there are intervals of IntervalWidth::Scaled, too.
  bool scaled = true;
  /// The model of the size of the residual; a unit for every 8 samples at most.
  SampledOptions scale = {.width = 64};
  /// Without folds: parts of the held out samples, of which the scale of each is fitted to the
  /// others, >= 2.
  Index parts = 5;
  /// Fixes all random choices.
  std::uint64_t seed = 0;
  /// Threads to use. Never changes the result.
  Executor threads = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    scale.validate();
    detail::require_option(parts >= 2, "IntervalOptions.parts", "a value >= 2", parts);
    detail::require_threads("IntervalOptions.threads", threads);
  }
};

/// Limits of the c outputs at n inputs, in the unit of the targets.
template <class Scalar_ = double>
struct IntervalLimits {
  using Scalar = Scalar_;  ///< float or double

  Matrix<Scalar> lower;  ///< n x c
  Matrix<Scalar> upper;  ///< n x c
};

/// The size of the residual as a function of the inputs,
///
///     sigma(x) = exp(min(max(g(z), lower), upper)),   z = standardised x,
///
/// with limits that g keeps at the samples that it was fitted to: sigma is never near zero, and
/// grows nowhere beyond what was seen.
template <class Scalar_ = double>
struct ResidualScale {
  using Scalar = Scalar_;  ///< float or double

  ReluNetwork<Scalar> network;  ///< g, d inputs and c outputs
  RowVector<Scalar> lower;      ///< c
  RowVector<Scalar> upper;      ///< c
};

/// Held out samples of one fold: of each output the absolute residuals of the model that has not
/// seen them, in ascending order.
template <class Scalar_ = double>
struct CalibrationPart {
  using Scalar = Scalar_;  ///< float or double

  RowMatrix<Scalar> residuals;                      ///< m x c, in the unit of the targets
  std::optional<ResidualScale<Scalar>> scale = {};  ///< fitted to the residuals of other parts
  RowMatrix<Scalar> scaled_residuals = {};          ///< m x c, divided by it; 0 x 0 without scale
};

/// Prediction intervals of a model, calibrated on held out samples; made by calibrate().
///
/// The n held out samples are in K parts. Let mu_k be the model that has not seen part k (with
/// folds, member k; without, the model itself for all k), k(i) the part of sample i, sigma_k = 1
/// or, for IntervalWidth::Scaled, a scale fitted to the residuals of the other parts, and
///
///     S_i = |y_i - mu_k(i)(x_i)| / sigma_k(i)(x_i).
///
/// At the level 1 - alpha, with r = ceil((1 - alpha) (n + 1)), the interval at x goes from the
/// (n + 1 - r)-th smallest of mu_k(i)(x) - S_i sigma_k(i)(x) to the r-th smallest of
/// mu_k(i)(x) + S_i sigma_k(i)(x). Each output has intervals of its own; sample weights play no
/// part.
///
/// If all samples and the new one are exchangeable, and no mu_k or sigma_k depends on part k, the
/// new target is within the limits with a probability of at least
/// - 1 - alpha for a single mu and sigma: split conformal prediction;
/// - 1 - 2 alpha - sqrt(2 / n) for K parts of equal size: CV+. Nearly always it is about 1 - alpha.
///
/// Not to the letter here: the held out samples have also chosen settings, readouts and the number
/// of grades of mu_k, the standardisation of a model of folds is that of all samples, and sigma_k
/// of a model of folds is fitted to residuals of members that have seen part k (never to those of
/// part k itself). docs/intervals.md has the coverage that was measured.
///
/// Sources: Lei, G'Sell, Rinaldo, Tibshirani & Wasserman, arXiv 1604.04173 (split conformal, scaled
/// residuals); Barber, Candes, Ramdas & Tibshirani, arXiv 1905.02928 (CV+, section 3).
///
/// Several threads may use const ones at a time. Those that were moved from have no members, and
/// throw InvalidArgument when they are used.
template <class Scalar_ = double>
class PredictionIntervals {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param members  mu_k of each part; or one for all parts
  /// \param parts    at least one, all with a scale or none
  /// \throws InvalidArgument if sizes do not fit together, or for residuals that are not finite,
  ///         negative or not in ascending order
  PredictionIntervals(std::vector<MultigradeModel<Scalar>> members,
                      std::vector<CalibrationPart<Scalar>> parts);

  /// The models mu_k; of a temporary by value, as all that is returned by reference.
  /// \{
  const std::vector<MultigradeModel<Scalar>>& members() const& noexcept { return m_members; }
  std::vector<MultigradeModel<Scalar>> members() && { return std::move(m_members); }
  /// \}
  /// What they are calibrated on.
  /// \{
  const std::vector<CalibrationPart<Scalar>>& parts() const& noexcept { return m_parts; }
  std::vector<CalibrationPart<Scalar>> parts() && { return std::move(m_parts); }
  /// \}

  /// Number d of inputs.
  Index inputs() const { return any_member().inputs(); }
  /// Number c of outputs.
  Index outputs() const { return any_member().outputs(); }
  /// Number of grades of the model that they are about.
  Index grades() const { return any_member().grades(); }
  /// Number n of held out samples.
  Index samples() const noexcept { return m_samples; }
  /// Whether there are intervals of IntervalWidth::Scaled.
  bool has_scale() const { return !m_parts.empty() && m_parts.front().scale.has_value(); }
  /// The highest level that so many samples allow, n / (n + 1).
  double largest_level() const noexcept {
    return static_cast<double>(m_samples) / static_cast<double>(m_samples + 1);
  }

  /// Limits at each row of X (n x d).
  /// \param level  1 - alpha
  /// \throws InvalidArgument unless 0 < level < 1 and level <= largest_level(), for
  ///         IntervalWidth::Scaled without scale, and for X as MultigradeModel::predict()
  IntervalLimits<Scalar> predict(const ConstMatrixRef<Scalar>& X, double level,
                                 IntervalWidth width = IntervalWidth::Constant,
                                 const Executor& threads = {}) const;

  /// The r-th smallest S_i of each output (c): what is added and subtracted, Scaled: in units of
  /// sigma. In the unit of the targets, or dimensionless.
  /// \throws InvalidArgument as predict()
  RowVector<Scalar> half_width(double level, IntervalWidth width = IntervalWidth::Constant) const;

  /// sigma of one part at each row of X (n x d): n x c.
  Matrix<Scalar> scale(const ConstMatrixRef<Scalar>& X, Index part,
                       const Executor& threads = {}) const;

  /// Equal members and parts.
  bool operator==(const PredictionIntervals& other) const;

 private:
  const MultigradeModel<Scalar>& any_member() const {
    if (m_members.empty()) throw InvalidArgument("intervals", "members", "none: moved from");
    return m_members.front();
  }

  Index rank(double level, IntervalWidth width) const;
  const RowMatrix<Scalar>& scores(std::size_t part, IntervalWidth width) const {
    return width == IntervalWidth::Scaled ? m_parts[part].scaled_residuals
                                          : m_parts[part].residuals;
  }
  /// The rank-th smallest of values(part, i) over all parts, where values ascend with i.
  template <class Values>
  Scalar select(Index rank, const Values& values) const;

  std::vector<MultigradeModel<Scalar>> m_members;
  std::vector<CalibrationPart<Scalar>> m_parts;
  Index m_samples = 0;
};

/// Prediction intervals of a model, from its validation part.
/// \param data  what it was trained on
/// \throws InvalidArgument if an option breaks its rule, without validation part, for columns that
///         are not the model's, and for a model of folds
template <class Scalar>
PredictionIntervals<Scalar> calibrate(const MultigradeFit<Scalar>& fit,
                                      const DataSplit<Scalar>& data,
                                      const IntervalOptions& options = {});

/// The same of a model of folds, as many as `data` has.
template <class Scalar>
PredictionIntervals<Scalar> calibrate(const MultigradeFit<Scalar>& fit,
                                      const DataFolds<Scalar>& data,
                                      const IntervalOptions& options = {});

/// What verify_intervals() has found.
struct IntervalVerification {
  bool valid = false;   ///< all scores are those recomputed
  std::string message;  ///< the first that is not, or that all are
  double level = 0;     ///< of the coverages
  /// Of each output, the part of the held out samples whose recomputed residual is at most the half
  /// width; NaN if they are too few for the level.
  RowVector<double> coverage = {};
  RowVector<double> scaled_coverage = {};  ///< the same of the scaled ones; empty without
};

/// Recomputes the scores of prediction intervals from the samples: residuals of every part by the
/// member that has not seen it, divided by the scale, and the limits of the scale, those of its
/// network at the samples of the other parts. They may differ by rounding, as the errors of
/// verify_model(). How members and scales came about is not looked at.
///
/// \param data  the samples that the model was trained with, split in the same way
/// \throws InvalidArgument for samples whose columns are not the model's
template <class Scalar>
IntervalVerification verify_intervals(const PredictionIntervals<Scalar>& intervals,
                                      const DataSplit<Scalar>& data, double level = 0.9,
                                      const Executor& threads = {});

/// The same for a model of folds.
template <class Scalar>
IntervalVerification verify_intervals(const PredictionIntervals<Scalar>& intervals,
                                      const DataFolds<Scalar>& data, double level = 0.9,
                                      const Executor& threads = {});

namespace detail {

/// Place of the quantile among n ordered scores, from 1: ceil(level (n + 1)), where a product that
/// is a whole number but for rounding is that number.
/// \throws InvalidArgument unless 0 < level < 1 and the place is one of n
Index quantile_rank(double level, Index samples);

}  // namespace detail
}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class PredictionIntervals<float>;
extern template class PredictionIntervals<double>;
extern template PredictionIntervals<float> calibrate(const MultigradeFit<float>&,
                                                     const DataSplit<float>&,
                                                     const IntervalOptions&);
extern template PredictionIntervals<double> calibrate(const MultigradeFit<double>&,
                                                      const DataSplit<double>&,
                                                      const IntervalOptions&);
extern template PredictionIntervals<float> calibrate(const MultigradeFit<float>&,
                                                     const DataFolds<float>&,
                                                     const IntervalOptions&);
extern template PredictionIntervals<double> calibrate(const MultigradeFit<double>&,
                                                      const DataFolds<double>&,
                                                      const IntervalOptions&);
extern template IntervalVerification verify_intervals(const PredictionIntervals<float>&,
                                                      const DataSplit<float>&, double,
                                                      const Executor&);
extern template IntervalVerification verify_intervals(const PredictionIntervals<double>&,
                                                      const DataSplit<double>&, double,
                                                      const Executor&);
extern template IntervalVerification verify_intervals(const PredictionIntervals<float>&,
                                                      const DataFolds<float>&, double,
                                                      const Executor&);
extern template IntervalVerification verify_intervals(const PredictionIntervals<double>&,
                                                      const DataFolds<double>&, double,
                                                      const Executor&);
}  // namespace mgdl
#else
#include "mgdl/training/prediction_intervals_impl.hpp"  // IWYU pragma: export
#endif
