#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl::detail {

/// Errors of a model's predictions, as predict() computes and rounds them, on samples: every
/// measure of them follows from these. Each output is in the unit of its `scale`, in which squares
/// neither overflow nor vanish.
struct ErrorSums {
  double square = 0;                 // weighted sum of squared errors, over all outputs
  double target_square = 0;          // of the targets
  RowVector<double> squares;         // c, weighted sums of squared errors
  RowVector<double> largest;         // c, |error| of any sample
  RowVector<double> target_means;    // c, weighted mean of the targets less the model's mean
  RowVector<double> target_squares;  // c, weighted mean square of the same
  RowVector<double> scale;           // c

  /// Error relative to the targets.
  double rse() const noexcept { return relative_squared_error(square, target_square); }

  /// Root mean squared error of each output, in its own unit.
  std::vector<double> output_rmse() const {
    const RowVector<double> roots = squares.cwiseSqrt().cwiseProduct(scale);
    return {roots.begin(), roots.end()};
  }

  /// See Metrics::r2.
  double r2() const { return mean_r2(squares, target_squares - target_means.cwiseAbs2()); }

  /// Error in the unit of `measure`; 0 of no samples.
  double error(ErrorMeasure measure) const {
    if (scale.size() == 0) return 0;
    switch (measure) {
      case ErrorMeasure::Rse: return rse();
      case ErrorMeasure::Rmse: {
        const RowVector<double> roots = squares.cwiseSqrt().cwiseProduct(scale);
        return stable_norm(roots) / std::sqrt(static_cast<double>(squares.size()));
      }
      case ErrorMeasure::MaxError: break;
    }
    return largest.cwiseProduct(scale).maxCoeff();
  }

  /// Adds those on other samples, which have the part `share` of all weight.
  void add(const ErrorSums& other, double share) {
    if (scale.size() == 0) {
      const RowVector<double> zero = RowVector<double>::Zero(other.scale.size());
      squares = target_means = target_squares = largest = zero;
      scale = other.scale;
    }
    square += share * other.square;
    target_square += share * other.target_square;
    squares += share * other.squares;
    target_means += share * other.target_means;
    target_squares += share * other.target_squares;
    largest = largest.cwiseMax(other.largest);
  }
};

/// Samples on their way through the grades: the features that the grades so far make of them and
/// the residual that they leave.
template <class Scalar>
class ResidualChain {
 public:
  /// Borrows the samples.
  ResidualChain(const Dataset<Scalar>& data, const MultigradeModel<Scalar>& model)
      : m_targets(data.targets()),
        m_weights(data.weights()),
        m_output(model.output_standardizer()),
        m_features(data.inputs()),
        m_residual(data.targets()),
        m_sum(RowMatrix<Scalar>::Zero(data.size(), model.outputs())) {
    model.input_standardizer().apply(m_features, m_features);
    m_output.apply(m_residual, m_residual);
    if (model.link() == FeatureLink::LastHiddenAndInput) m_inputs = m_features;
    ErrorSums& sums = m_now.sums;
    sums.scale = m_output.scale().template cast<double>();
    sums.target_square = weighted_square(
        [&](Index i, Index j) { return static_cast<double>(m_targets(i, j)) / sums.scale[j]; });
    m_grade.setZero(size(), m_residual.cols());
    tally(m_now);
    sums.target_means = sums.target_squares = RowVector<double>::Zero(m_residual.cols());
    for (Index i = 0; i < size(); ++i) {
      if (!(m_weights[i] > 0)) continue;
      const RowVector<double> row = m_residual.row(i).template cast<double>();
      m_largest = std::max(m_largest, row.cwiseAbs().maxCoeff());
      sums.target_means += static_cast<double>(m_weights[i]) * row;
      sums.target_squares += static_cast<double>(m_weights[i]) * row.cwiseAbs2();
    }
  }

  Index size() const noexcept { return m_residual.rows(); }

  /// Weighted sum of squares of the standardised residual: what training lowers. Predictions are
  /// rounded after it, so that it can be far below their errors.
  double square() const noexcept { return m_now.square; }

  /// Errors of the predictions of the model so far.
  const ErrorSums& sums() const noexcept { return m_now.sums; }
  double rse() const noexcept { return sums().rse(); }

  /// Error of every sample, over all outputs, in the standardised unit.
  Vector<double> errors() const { return m_residual.template cast<double>().rowwise().norm(); }

  /// How far the residual of any one sample and output has grown by the last grade that was
  /// accepted, relative to the largest residual before it; at most 0 if none has.
  double pointwise_growth() const noexcept { return m_growth; }

  /// How far the residual of some sample and output has fallen at most, relative to the same.
  double pointwise_fall() const noexcept { return m_fall; }

  /// Largest standardised residual of any sample and output.
  double largest() const noexcept { return m_largest; }

  /// The residual times `factor`, a power of two, so that scaling loses nothing.
  void scale_residual(Scalar factor) { m_residual *= factor; }

  SampleView<Scalar> view() const { return {m_features, m_residual, m_weights}; }

  /// Computes what a grade would leave, and returns it as square(); nothing changes until `accept`.
  /// Without `features`, no other grade can follow: that saves the memory of n x width numbers.
  double try_grade(const ReluNetwork<Scalar>& network, ThreadPool& pool, bool features = true) {
    const Index width = network.width();
    const Index extra = m_inputs.cols();
    m_grade.resize(size(), network.outputs());
    m_next.resize(features ? size() : 0, width + extra);
    network.evaluate(m_features, pool, &m_grade, features ? &m_next : nullptr);
    if (features && extra > 0) m_next.rightCols(extra) = m_inputs;
    m_tried = m_now;
    tally(m_tried);
    return m_tried.square;
  }

  /// Whether the grade tried last lowers residual and errors of predictions by at least this part
  /// of them.
  bool lowers(double progress) const noexcept {
    // Written so that a NaN counts as no progress.
    const auto lower = [progress](double after, double before) {
      return after < before && after <= before * (1 - progress);
    };
    return lower(m_tried.square, m_now.square) && lower(m_tried.sums.square, m_now.sums.square);
  }

  /// Factor of the grade tried last that would leave the least; 0 if the grade is zero.
  double best_step() const {
    double square = 0;
    double cross = 0;
    for (Index i = 0; i < size(); ++i) {
      for (Index j = 0; j < m_grade.cols(); ++j) {
        const auto residual = static_cast<double>(m_residual(i, j));
        const double value = residual - static_cast<double>(left(i, j));
        square += static_cast<double>(m_weights[i]) * value * value;
        cross += static_cast<double>(m_weights[i]) * value * residual;
      }
    }
    return square > 0 ? cross / square : 0;
  }

  void accept() {
    const double before = m_largest;
    double growth = -std::numeric_limits<double>::infinity();
    double fall = 0;
    m_largest = 0;
    for (Index i = 0; i < size(); ++i) {
      for (Index j = 0; j < m_grade.cols(); ++j) {
        const Scalar next = left(i, j);
        if (m_weights[i] > 0) {
          const auto now = static_cast<double>(std::abs(next));
          const double change = now - static_cast<double>(std::abs(m_residual(i, j)));
          growth = std::max(growth, change);
          fall = std::max(fall, -change);
          m_largest = std::max(m_largest, now);
        }
        m_residual(i, j) = next;
      }
    }
    m_growth = before > 0 ? growth / before : 0;
    m_fall = before > 0 ? fall / before : 0;
    m_sum += m_grade;
    m_features.swap(m_next);
    m_now = m_tried;
    m_next.resize(0, 0);
  }

 private:
  struct Tally {
    double square = 0;  // of the standardised residual
    ErrorSums sums;
  };

  /// What m_grade leaves of the standardised residual.
  Scalar left(Index i, Index j) const { return m_residual(i, j) - m_grade(i, j); }

  /// With m_grade as the last grade.
  void tally(Tally& result) const {
    result.square =
        weighted_square([&](Index i, Index j) { return static_cast<double>(left(i, j)); });
    ErrorSums& sums = result.sums;
    sums.largest = sums.squares = RowVector<double>::Zero(m_residual.cols());
    sums.square = weighted_square([&](Index i, Index j) {
      // As in Predictor, to the bit.
      const Scalar sum = m_sum(i, j) + m_grade(i, j);
      const Scalar prediction = sum * m_output.scale()[j] + m_output.mean()[j];
      const double error =
          (static_cast<double>(m_targets(i, j)) - static_cast<double>(prediction)) / sums.scale[j];
      if (m_weights[i] > 0) sums.largest[j] = std::max(sums.largest[j], std::abs(error));
      sums.squares[j] += static_cast<double>(m_weights[i]) * (error * error);
      return error;
    });
  }

  template <class Value>
  double weighted_square(const Value& value_of) const {
    double sum = 0;
    for (Index i = 0; i < m_residual.rows(); ++i) {
      double row = 0;
      for (Index j = 0; j < m_residual.cols(); ++j) {
        const double value = value_of(i, j);
        row += value * value;
      }
      sum += static_cast<double>(m_weights[i]) * row;
    }
    return sum;
  }

  const RowMatrix<Scalar>& m_targets;
  const Vector<Scalar>& m_weights;
  Standardizer<Scalar> m_output;
  RowMatrix<Scalar> m_features;
  RowMatrix<Scalar> m_residual;  // standardised
  RowMatrix<Scalar> m_sum;       // of the grades that were accepted, as a prediction adds them
  RowMatrix<Scalar> m_inputs;    // standardised; empty unless the link needs them
  RowMatrix<Scalar> m_next;
  RowMatrix<Scalar> m_grade;  // values of the grade tried last
  Tally m_now;
  Tally m_tried;
  double m_largest = 0;  // |residual| of any sample and output
  double m_growth = 0;
  double m_fall = 0;
};

/// The power of two nearest to the root mean square; dividing by it is exact.
template <class Scalar>
Scalar residual_scale(double square) {
  const double exponent = std::round(std::log2(square) / 2);
  const double limit = std::numeric_limits<Scalar>::max_exponent - 2;
  return static_cast<Scalar>(std::exp2(std::clamp(exponent, -limit, limit)));
}

}  // namespace mgdl::detail
