#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/sample_source.hpp"
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
/// the residual that they leave. Kept for all samples (of this rank, where ranks share them), or,
/// where that takes more memory than allowed or the samples themselves are not in memory, computed
/// anew for each block of them from the frozen grades: the bits are the same.
template <class Scalar>
class ResidualChain : private SampleSource<Scalar> {
 public:
  /// Borrows the samples, whose weights have the sum 1.
  ///
  /// \param memory_limit  bytes that may be kept, beside samples that are in memory
  ResidualChain(const Samples<Scalar>& source, const MultigradeModel<Scalar>& model,
                const Executor& threads = {},
                double memory_limit = std::numeric_limits<double>::infinity())
      : m_source(source),
        m_threads(threads),
        m_memory_left(memory_limit),
        m_input(model.input_standardizer()),
        m_output(model.output_standardizer()),
        m_linked(model.link() == FeatureLink::LastHiddenAndInput),
        m_feature_count(source.input_count()) {
    const Index c = outputs();
    const double raw = bytes(m_feature_count + c + 1);
    if (!samples().in_memory() && 2 * raw <= memory_limit) {
      read_all();
      m_memory_left -= raw;
    }
    if (samples().in_memory() && may_keep(0)) {
      m_kept = true;
      m_rows = start(samples());
      m_rows.grade.setZero(share().count(), c);
    }
    ErrorSums& sums = m_now.sums;
    sums.scale = m_output.scale().template cast<double>();
    const RowVector<double> totals =
        sum_blocks(nullptr, 1 + 2 * c, [&](const Block& block, RowVector<double>& part) {
          part[0] = weighted_square(block, [&](Index i, Index j) {
            return static_cast<double>(block.targets(i, j)) / sums.scale[j];
          });
          for (Index i = 0; i < block.size(); ++i) {
            const auto weight = static_cast<double>(block.weights[i]);
            if (!(weight > 0)) continue;
            const RowVector<double> row = block.residual.row(i).template cast<double>();
            m_largest = std::max(m_largest, row.cwiseAbs().maxCoeff());
            part.segment(1, c) += weight * row;
            part.tail(c) += weight * row.cwiseAbs2();
          }
        });
    m_largest = largest_of(samples().ranks(), m_largest);
    sums.target_square = totals[0];
    sums.target_means = totals.segment(1, c);
    sums.target_squares = totals.tail(c);
    tally(nullptr, m_now);
  }

  ResidualChain(const ResidualChain&) = delete;
  ResidualChain& operator=(const ResidualChain&) = delete;

  Index size() const override { return samples().size(); }

  /// Whether features and residual are kept for all samples.
  bool kept() const noexcept { return m_kept; }

  /// Weighted sum of squares of the standardised residual: what training lowers. Predictions are
  /// rounded after it, so that it can be far below their errors.
  double square() const noexcept { return m_now.square; }

  /// Errors of the predictions of the model so far.
  const ErrorSums& sums() const noexcept { return m_now.sums; }
  double rse() const noexcept { return sums().rse(); }

  /// Which samples this rank has.
  const RowShare& share() const noexcept { return samples().share(); }

  /// Error of every sample of this rank, over all outputs, in the standardised unit.
  Vector<double> errors() const {
    Vector<double> result(share().count());
    for_each_block(nullptr, [&](const Block& block) {
      result.segment(block.first - share().first(), block.size()) =
          block.residual.template cast<double>().rowwise().norm();
    });
    return result;
  }

  /// How far the residual of any one sample and output has grown by the last grade that was
  /// accepted, relative to the largest residual before it; at most 0 if none has.
  double pointwise_growth() const noexcept { return m_growth; }

  /// How far the residual of some sample and output has fallen at most, relative to the same.
  double pointwise_fall() const noexcept { return m_fall; }

  /// Largest standardised residual of any sample and output.
  double largest() const noexcept { return m_largest; }

  /// The problem of the next grade: features, and the residual times `factor`, a power of two, so
  /// that scaling loses nothing.
  Samples<Scalar> problem(Scalar factor) {
    m_problem_factor = factor;
    if (!m_kept) {
      return Samples<Scalar>(static_cast<const SampleSource<Scalar>&>(*this), share().ranks());
    }
    m_scaled = m_rows.residual * factor;
    return {SampleView<Scalar>{m_rows.features, m_scaled, samples().weights}, share()};
  }

  /// Computes what a grade would leave, and returns it as square(); nothing changes until `accept`.
  /// Without `features`, no other grade can follow: that saves the memory of n x width numbers.
  double try_grade(const ReluNetwork<Scalar>& network, bool features = true) {
    m_scaled.resize(0, 0);
    if (m_kept && !may_keep(features ? network.width() : 0)) {
      m_kept = false;
      m_rows = {};
    }
    m_grade = network;
    if (m_kept) m_rows.evaluate(network, m_linked, features, m_threads.pool());
    m_tried = m_now;
    tally(&*m_grade, m_tried);
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
    // square, cross
    const RowVector<double> total =
        sum_blocks(&*m_grade, 2, [&](const Block& block, RowVector<double>& part) {
          for (Index i = 0; i < block.size(); ++i) {
            for (Index j = 0; j < outputs(); ++j) {
              const auto residual = static_cast<double>(block.residual(i, j));
              const double value = residual - static_cast<double>(block.left(i, j));
              part[0] += static_cast<double>(block.weights[i]) * value * value;
              part[1] += static_cast<double>(block.weights[i]) * value * residual;
            }
          }
        });
    return total[0] > 0 ? total[1] / total[0] : 0;
  }

  void accept() {
    m_growth = m_largest > 0 ? m_tried.growth / m_largest : 0;
    m_fall = m_largest > 0 ? m_tried.fall / m_largest : 0;
    m_largest = m_tried.largest;
    m_now = m_tried;
    if (m_kept) m_rows.accept();
    m_feature_count = m_grade->width() + (m_linked ? samples().input_count() : 0);
    m_grades.push_back(std::move(*m_grade));
    m_grade.reset();
  }

 private:
  struct Tally {
    double square = 0;  // of the standardised residual
    ErrorSums sums;
    double growth = 0;  // of |residual| of any sample and output, by the grade
    double fall = 0;
    double largest = 0;  // |residual| after it
  };

  /// Some samples with what the grades have made of them.
  struct Rows {
    RowMatrix<Scalar> features;
    RowMatrix<Scalar> residual;  // standardised
    RowMatrix<Scalar> sum;       // of the grades that were accepted, as a prediction adds them
    RowMatrix<Scalar> inputs;    // standardised; empty unless the link needs them
    RowMatrix<Scalar> next;      // features and values of the grade tried last
    RowMatrix<Scalar> grade;

    void evaluate(const ReluNetwork<Scalar>& network, bool linked, bool wanted, ThreadPool& pool) {
      const Index n = features.rows();
      const Index extra = linked ? inputs.cols() : 0;
      grade.resize(n, network.outputs());
      next.resize(wanted ? n : 0, network.width() + extra);
      network.evaluate(features, pool, &grade, wanted ? &next : nullptr);
      if (wanted && extra > 0) next.rightCols(extra) = inputs;
    }

    void accept() {
      residual -= grade;
      sum += grade;
      features.swap(next);
      next.resize(0, 0);
    }
  };

  /// A block of samples to look at.
  struct Block {
    Index first;
    ConstRowMatrixRef<Scalar> targets;
    ConstVectorRef<Scalar> weights;
    ConstRowMatrixRef<Scalar> residual;
    ConstRowMatrixRef<Scalar> sum;
    ConstRowMatrixRef<Scalar> grade;

    Index size() const noexcept { return residual.rows(); }
    /// What the grade leaves of the standardised residual.
    Scalar left(Index i, Index j) const { return residual(i, j) - grade(i, j); }
  };

  const Samples<Scalar>& samples() const noexcept { return m_memory ? *m_memory : m_source; }

  Index inputs() const override { return m_feature_count; }
  Index outputs() const override { return samples().output_count(); }

  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    SampleBuffer<Scalar> raw;
    fill(samples().rows(first, count, raw), buffer);
    return buffer.view();
  }

  void gather(const std::vector<Index>& rows, SampleBuffer<Scalar>& result) const override {
    const SampleBuffer<Scalar> raw = gather_own(samples(), rows);
    fill(raw.view(), result);
  }

  /// The problem of these samples.
  void fill(const SampleView<Scalar>& samples, SampleBuffer<Scalar>& result) const {
    Rows rows = after_grades(samples);
    result.weights = samples.weights;
    result.inputs = std::move(rows.features);
    result.targets = rows.residual * m_problem_factor;
  }

  Rows start(const SampleView<Scalar>& samples) const {
    Rows rows;
    rows.features = samples.inputs;
    rows.residual = samples.targets;
    m_input.apply(rows.features, rows.features);
    m_output.apply(rows.residual, rows.residual);
    rows.sum = RowMatrix<Scalar>::Zero(samples.size(), outputs());
    if (m_linked) rows.inputs = rows.features;
    return rows;
  }

  Rows after_grades(const SampleView<Scalar>& samples) const {
    Rows rows = start(samples);
    for (const auto& grade : m_grades) {
      rows.evaluate(grade, m_linked, true, m_threads.pool());
      rows.accept();
    }
    return rows;
  }

  /// \param grade  whose values are asked for; null: none, zeros
  template <class Visit>
  void for_each_block(const ReluNetwork<Scalar>* grade, const Visit& visit) const {
    if (m_kept) {
      share().for_each_block([&](Index first, Index count) {
        const Index row = first - share().first();
        const auto part = [&](const auto& values) { return values.middleRows(row, count); };
        visit(Block{first, part(samples().targets), samples().weights.segment(row, count),
                    part(m_rows.residual), part(m_rows.sum), part(m_rows.grade)});
      });
      return;
    }
    samples().for_each_block([&](const SampleView<Scalar>& samples, Index first) {
      Rows rows = after_grades(samples);
      if (grade != nullptr) {
        rows.evaluate(*grade, m_linked, false, m_threads.pool());
      } else {
        rows.grade.setZero(samples.size(), outputs());
      }
      visit(Block{first, samples.targets, samples.weights, rows.residual, rows.sum, rows.grade});
    });
  }

  /// Sum of `numbers` numbers over all blocks; add(block, numbers) adds those of a block to zeros.
  template <class Add>
  RowVector<double> sum_blocks(const ReluNetwork<Scalar>* grade, Index numbers,
                               const Add& add) const {
    const RowVector<double> zero = RowVector<double>::Zero(numbers);
    auto own = share().template start<RowVector<double>>();
    for_each_block(grade, [&](const Block& block) {
      RowVector<double> part = zero;
      add(block, part);
      own.add(std::move(part));
    });
    return share().total(own, zero);
  }

  /// With this grade as the last one.
  void tally(const ReluNetwork<Scalar>* grade, Tally& result) const {
    const Index c = outputs();
    ErrorSums& sums = result.sums;
    sums.largest = RowVector<double>::Zero(c);
    result.growth = -std::numeric_limits<double>::infinity();
    result.fall = result.largest = 0;
    const RowVector<double> totals =
        sum_blocks(grade, 2 + c, [&](const Block& block, RowVector<double>& part) {
          part[0] = weighted_square(
              block, [&](Index i, Index j) { return static_cast<double>(block.left(i, j)); });
          part[1] = weighted_square(block, [&](Index i, Index j) {
            // As in Predictor, to the bit.
            const Scalar sum = block.sum(i, j) + block.grade(i, j);
            const Scalar prediction = sum * m_output.scale()[j] + m_output.mean()[j];
            const double error =
                (static_cast<double>(block.targets(i, j)) - static_cast<double>(prediction)) /
                sums.scale[j];
            const auto weight = static_cast<double>(block.weights[i]);
            part[2 + j] += weight * (error * error);
            if (weight > 0) {
              sums.largest[j] = std::max(sums.largest[j], std::abs(error));
              const auto now = static_cast<double>(std::abs(block.left(i, j)));
              const double change = now - static_cast<double>(std::abs(block.residual(i, j)));
              result.growth = std::max(result.growth, change);
              result.fall = std::max(result.fall, -change);
              result.largest = std::max(result.largest, now);
            }
            return error;
          });
        });
    RowVector<double> largest(c + 3);
    largest << sums.largest, result.growth, result.fall, result.largest;
    take_largest(samples().ranks(), largest);
    sums.largest = largest.head(c);
    result.growth = largest[c];
    result.fall = largest[c + 1];
    result.largest = largest[c + 2];
    result.square = totals[0];
    sums.square = totals[1];
    sums.squares = totals.tail(c);
  }

  template <class Value>
  double weighted_square(const Block& block, const Value& value_of) const {
    double sum = 0;
    for (Index i = 0; i < block.size(); ++i) {
      double row = 0;
      for (Index j = 0; j < outputs(); ++j) {
        const double value = value_of(i, j);
        row += value * value;
      }
      sum += static_cast<double>(block.weights[i]) * row;
    }
    return sum;
  }

  /// Whether there is room for so many more numbers of each sample, beside the features (with a
  /// copy in the hands of the trainer), residual, sum and values of a grade.
  bool may_keep(Index more) const {
    return bytes(2 * m_feature_count + 4 * outputs() + more) <= m_memory_left;
  }

  /// Of so many numbers for each sample.
  double bytes(Index numbers) const {
    return static_cast<double>(share().count()) * static_cast<double>(numbers) * sizeof(Scalar);
  }

  void read_all() {
    m_read.resize(share().count(), samples().input_count(), outputs());
    samples().for_each_block([&](const SampleView<Scalar>& block, Index first) {
      const Index row = first - share().first();
      m_read.inputs.middleRows(row, block.size()) = block.inputs;
      m_read.targets.middleRows(row, block.size()) = block.targets;
      m_read.weights.segment(row, block.size()) = block.weights;
    });
    m_memory.emplace(m_read.view(), share());
  }

  Samples<Scalar> m_source;
  std::optional<Samples<Scalar>> m_memory;  // what was read of it
  Executor m_threads;
  double m_memory_left;
  Standardizer<Scalar> m_input;
  Standardizer<Scalar> m_output;
  bool m_linked;
  Index m_feature_count = 0;
  bool m_kept = false;
  SampleBuffer<Scalar> m_read;  // of a source that fits into memory
  Rows m_rows;                  // if kept: of all samples
  RowMatrix<Scalar> m_scaled;   // residual of a grade's problem
  Scalar m_problem_factor = 1;
  std::vector<ReluNetwork<Scalar>> m_grades;   // that were accepted
  std::optional<ReluNetwork<Scalar>> m_grade;  // tried last
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
