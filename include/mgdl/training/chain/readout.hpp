#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"
#include "mgdl/linalg/outer_product.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl::detail {

/// Writes numbers of samples first..first + count of a block: fill(block, first, count, z, stride,
/// thread).
template <class Real, class Scalar>
using FillRows = FunctionRef<void(const SampleView<Scalar>&, Index, Index, Real*, Index, int)>;

/// sum_s z_s(1..rows)' z_s over all samples: rows x columns, in double, where z_s is a row of
/// `columns` numbers that `fill` makes of sample s, some rows at a time, so that they are never
/// held whole.
///
/// \param proceed  called now and then by the thread of the caller, by ranks once; false ends the
///                 work, and the result is empty
template <class Real, class Scalar>
Matrix<Real> sample_moments(const Samples<Scalar>& samples, Index rows, Index columns,
                            ThreadPool& pool, FillRows<Real, std::type_identity_t<Scalar>> fill,
                            FunctionRef<bool()> proceed = kGoOn);

/// How often sample_moments() asks whether to go on.
constexpr Index moment_steps(Index samples) noexcept;

/// Weighted second moments of [features, 1] (m + 1 columns) and of their products with the targets,
/// in double: all that a least squares readout needs to know of the samples.
struct ReadoutMoments {
  Eigen::MatrixXd gram;   // (m + 1) x (m + 1)
  Eigen::MatrixXd cross;  // (m + 1) x c
};

/// \param proceed  as for sample_moments()
template <class Scalar>
ReadoutMoments readout_moments(const PanelNetwork<Scalar>& network, const Samples<Scalar>& samples,
                               ThreadPool& pool, FunctionRef<bool()> proceed = kGoOn);

/// A ridge, what it solves to, and the trace of the map from targets to predictions (with the
/// weights' square roots on both sides), its degrees of freedom.
struct RidgeCandidate {
  double ridge = 0;
  Eigen::MatrixXd readout;
  double degrees = 0;

  /// Whether there is a readout.
  bool solved() const noexcept { return readout.size() > 0; }
};

/// Coefficients B ((m + 1) x c, the last row the bias) that minimise
///
///     sum_i w_i |[h_i, 1] B - y_i|^2 + ridge * t * |B without the bias|^2,
///
/// t the mean square of all features, which makes `ridge` dimensionless. All features share one t:
/// a feature that is nearly zero at the samples must not get a coefficient that makes it large
/// elsewhere. Any ridge > 0 makes the system positive definite, so dependent features share their
/// weight instead of breaking the solve. No readout if the factorisation fails.
///
/// \param degrees  whether to compute the degrees of freedom, too
template <class Real = double>
RidgeCandidate solve_ridge(const ReadoutMoments& moments, double ridge, bool degrees = false);

/// A network's readout and its bias as one (m + 1) x c matrix.
template <class Scalar>
Eigen::MatrixXd get_readout(const PanelNetwork<Scalar>& network);

template <class Scalar>
void set_readout(PanelNetwork<Scalar>& network, const Eigen::MatrixXd& readout);

/// sum_i w_i |y_i|^2, the loss of the zero function; 1 if that is zero, to divide by.
template <class Scalar>
double zero_loss(const Samples<Scalar>& samples);

/// The loss of networks over samples, block by block, with the memory that this takes.
template <class Scalar>
class SampleLoss {
 public:
  SampleLoss(const PanelNetwork<Scalar>& network, ThreadPool& pool);

  /// sum_i w_i |g(x_i) - y_i|^2 for a network of the same sizes.
  double operator()(const PanelNetwork<Scalar>& network, const Samples<Scalar>& samples) {
    return samples.sum(0.0, [&](const SampleView<Scalar>& block) {
      sum_parts(network, block, 1);
      double sum = 0;
      for (const double part : m_sums) sum += part;
      return sum;
    });
  }

  /// The same for `count` networks in one: outputs of network k are k c, ..., (k + 1) c - 1.
  RowVector<double> of_all(const PanelNetwork<Scalar>& network, const Samples<Scalar>& samples,
                           Index count) {
    const RowVector<double> zero = RowVector<double>::Zero(count);
    return samples.sum(zero, [&](const SampleView<Scalar>& block) {
      sum_parts(network, block, count);
      RowVector<double> sums = zero;
      for (std::size_t i = 0; i < m_sums.size(); ++i) {
        sums[static_cast<Index>(i) % count] += m_sums[i];
      }
      return sums;
    });
  }

 private:
  /// Sums of parts of the rows, parts x count.
  void sum_parts(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
                 Index count);

  ThreadPool& m_pool;
  std::vector<ForwardScratch<Scalar>> m_scratch;  // one for each thread
  std::vector<double> m_sums;
};

/// Objectives of a network, relative to the zero function.
struct RelativeLoss {
  double train = 1;
  double validation = std::numeric_limits<double>::quiet_NaN();
};

/// sum_i w_i |g(x_i) - y_i|^2 / sum_i w_i |y_i|^2 on both parts of a problem.
template <class Scalar>
RelativeLoss relative_loss(const PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                           ThreadPool& pool);

/// Scales the readout by the step in (0, 1] that is best on the validation part: what a grade has
/// learnt of the training samples only, noise above all, is left out of the model in proportion.
/// The training error still falls if the readout is no longer than the best step there. Changes
/// nothing without a validation part, or where every step makes the validation error worse (which
/// is for the driver to judge).
template <class Scalar>
void shrink_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                    RelativeLoss& loss, ThreadPool& pool);

/// Solves the readout anew for the final features.
///
/// The candidates are the trained readout, the same scaled by its optimal step, and least squares
/// solutions of increasing ridge. They are judged as they will be used, rounded to Scalar: a small
/// ridge may need coefficients too large for that. Only those that lower the training error count.
/// Of them, the one with the best validation error is taken, so that the result is never worse
/// there than the iterate it comes from, and shrunk; without a validation part, the most
/// regularised one whose training error is within kSlack of the best. If there is none, the readout
/// becomes zero, which the driver rejects.
template <class Scalar>
RelativeLoss finish_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                            double smallest_ridge, ThreadPool& pool);

/// Solves the readout by ridge regression, the ridge chosen by generalised cross-validation: the
/// one of least
///
///     sum_i w_i |g(x_i) - y_i|^2 / (1 - tr H / n)^2,   H the map from targets to predictions,
///
/// where the numerator is measured on the network as it will be used, rounded to Scalar. Only
/// readouts that lower the training error count; if none does, the readout becomes zero.
///
/// \param ridges  candidates, relative to the mean square of the features
/// \param chosen  the best one; 0 if there is none
/// \param basis   if not empty: the readouts are basis * B, whose B the ridge is for; (m + 1) x
/// any,
///                the last row and column of the bias alone
/// \param proceed called now and then by the thread of the caller; after false the best of what is
///                there is taken, ridges from the largest down, or the zero readout
///
/// Source: Golub, Heath & Wahba, "Generalized cross-validation as a method for choosing a good
/// ridge parameter" (Technometrics 21, 1979).
template <class Scalar>
RelativeLoss gcv_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                         const std::vector<double>& ridges, ThreadPool& pool, double& chosen,
                         const Matrix<double>& basis = {}, FunctionRef<bool()> proceed = kGoOn);

/// Samples between two sums.
inline constexpr Index kMomentRows = 16 * kForwardRows;

constexpr Index moment_steps(Index samples) noexcept {
  constexpr auto steps = [](Index rows) { return (rows + kMomentRows - 1) / kMomentRows; };
  return samples / kBlockRows * steps(kBlockRows) + steps(samples % kBlockRows);
}

template <class Real, class Scalar>
Matrix<Real> sample_moments(const Samples<Scalar>& samples, Index rows, Index columns,
                            ThreadPool& pool, FillRows<Real, std::type_identity_t<Scalar>> fill,
                            FunctionRef<bool()> proceed) {
  const Index stride = padded<Real>(columns);
  const Index rows_at_once = std::min(kMomentRows, samples.size());
  AlignedVector<Real> z = AlignedVector<Real>::Zero(rows_at_once * stride);
  const PanelShape<Real> shape{rows, columns};
  AlignedVector<Real> sums = AlignedVector<Real>::Zero(shape.size());
  std::vector<AlignedVector<Real>> buffers(static_cast<std::size_t>(pool.size()),
                                           AlignedVector<Real>::Zero(kOuterBuffer<Real>));
  const RowShare& share = samples.share();
  auto total = share.template start<AlignedVector<Real>>();
  // Ranks have to ask equally often: once, in the end.
  const bool asks = share.ranks() == nullptr;
  const bool all = samples.for_each_block([&](const SampleView<Scalar>& block, Index) {
    for (Index start = 0; start < block.size(); start += rows_at_once) {
      const Index count = std::min(rows_at_once, block.size() - start);
      pool.parallel_for((count + kForwardRows - 1) / kForwardRows, [&](Index part, int thread) {
        const Index first = part * kForwardRows;
        fill(block, start + first, std::min(kForwardRows, count - first), z.data() + first * stride,
             stride, thread);
      });
      pool.parallel_for(chunk_count(shape), [&](Index task, int thread) {
        add_outer_products(count, z.data(), stride, z.data(), stride, shape,
                           chunk_range(shape, task), sums.data(), start > 0,
                           buffers[static_cast<std::size_t>(thread)].data());
      });
      if (asks && !proceed()) return false;
    }
    total.add(sums);
    return true;
  });
  if (!all || (!asks && !proceed())) return {};
  sums = share.total(total, AlignedVector<Real>(AlignedVector<Real>::Zero(shape.size())));
  Matrix<Real> result(rows, columns);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) result(i, j) = sums[shape.at(i, j)];
  }
  return result;
}

template <class Scalar>
ReadoutMoments readout_moments(const PanelNetwork<Scalar>& network, const Samples<Scalar>& samples,
                               ThreadPool& pool, FunctionRef<bool()> proceed) {
  const Index m = network.width();
  const Index c = network.outputs();
  std::vector<ForwardScratch<Scalar>> scratch(static_cast<std::size_t>(pool.size()));
  for (auto& s : scratch) network.reserve(s, kForwardRows);
  const Eigen::MatrixXd moments = sample_moments<double>(
      samples, m + 1, m + 1 + c, pool,
      [&](const SampleView<Scalar>& block, Index first, Index count, double* z, Index stride,
          int thread) {
        auto& s = scratch[static_cast<std::size_t>(thread)];
        const Index in_stride = block.inputs.outerStride();
        const Scalar* h =
            network.forward(count, {block.inputs.data() + first * in_stride, in_stride, 1}, s);
        for (Index i = 0; i < count; ++i, z += stride) {
          const double root = std::sqrt(static_cast<double>(block.weights[first + i]));
          for (Index j = 0; j < m; ++j) z[j] = root * static_cast<double>(h[i * s.stride + j]);
          z[m] = root;
          for (Index j = 0; j < c; ++j) {
            z[m + 1 + j] = root * static_cast<double>(block.targets(first + i, j));
          }
        }
      },
      proceed);
  if (moments.size() == 0) return {};
  return {moments.leftCols(m + 1), moments.rightCols(c)};
}

template <class Real>
RidgeCandidate solve_ridge(const ReadoutMoments& moments, double ridge, bool degrees) {
  RidgeCandidate result;
  result.ridge = ridge;
  const Index m = moments.gram.rows() - 1;
  Matrix<Real> system = moments.gram;
  const Real unit = system.diagonal().head(m).mean();
  const Real shift = unit > 0 ? ridge * unit : 1.0;
  for (Index j = 0; j < m; ++j) system(j, j) += shift;
  const Cholesky<Real> factor(system);
  if (!factor.ok()) return result;
  Matrix<Real> readout = factor.solve(moments.cross);
  if (degrees) {
    // tr(A^-1 G) with A = G + shift I (without the bias): A^-1 = L^-T L^-1.
    Matrix<Real> inverse = Matrix<Real>::Identity(m + 1, m + 1);
    factor.solve_lower(inverse);
    result.degrees =
        static_cast<double>(m + 1) - shift * inverse.leftCols(m).colwise().squaredNorm().sum();
  }
  if (all_finite(readout) && std::isfinite(result.degrees)) result.readout = std::move(readout);
  return result;
}

/// Factor s that minimises sum_i w_i |s g(x_i) - y_i|^2 for the readout B; 0 if g is zero.
template <class Real = double>
double optimal_step(const ReadoutMoments& moments, const Matrix<Real>& readout) {
  const Real square = (readout.transpose() * moments.gram * readout).trace();
  const Real cross = (readout.array() * moments.cross.array()).sum();
  return square > 0 ? cross / square : 0;
}

/// Whether the readout fits into Scalar.
template <class Scalar>
bool is_representable(const Eigen::MatrixXd& readout) {
  for (Index i = 0; i < readout.size(); ++i) {
    if (!std::isfinite(static_cast<Scalar>(readout.data()[i]))) return false;
  }
  return true;
}

template <class Scalar>
Eigen::MatrixXd get_readout(const PanelNetwork<Scalar>& network) {
  const std::size_t last = network.layers().size() - 1;
  Eigen::MatrixXd readout(network.width() + 1, network.outputs());
  for (Index j = 0; j < network.outputs(); ++j) {
    for (Index i = 0; i < network.width(); ++i) {
      readout(i, j) = static_cast<double>(network.weight(last, i, j));
    }
    readout(network.width(), j) = static_cast<double>(network.bias(last)[j]);
  }
  return readout;
}

template <class Scalar>
void set_readout(PanelNetwork<Scalar>& network, const Eigen::MatrixXd& readout) {
  const std::size_t last = network.layers().size() - 1;
  for (Index j = 0; j < network.outputs(); ++j) {
    for (Index i = 0; i < network.width(); ++i) {
      network.weight(last, i, j) = static_cast<Scalar>(readout(i, j));
    }
    network.bias(last)[j] = static_cast<Scalar>(readout(network.width(), j));
  }
}

template <class Scalar>
double zero_loss(const Samples<Scalar>& samples) {
  const double loss = samples.sum(0.0, [](const SampleView<Scalar>& block) {
    double sum = 0;
    for (Index i = 0; i < block.size(); ++i) {
      sum += static_cast<double>(block.weights[i]) *
             block.targets.row(i).template cast<double>().squaredNorm();
    }
    return sum;
  });
  return loss > 0 ? loss : 1.0;
}

template <class Scalar>
SampleLoss<Scalar>::SampleLoss(const PanelNetwork<Scalar>& network, ThreadPool& pool)
    : m_pool(pool), m_scratch(static_cast<std::size_t>(pool.size())) {
  for (auto& s : m_scratch) network.reserve(s, kForwardRows);
}

template <class Scalar>
void SampleLoss<Scalar>::sum_parts(const PanelNetwork<Scalar>& network,
                                   const SampleView<Scalar>& samples, Index count) {
  const Index n = samples.size();
  const Index c = samples.targets.cols();
  const Index parts = (n + kForwardRows - 1) / kForwardRows;
  m_sums.resize(static_cast<std::size_t>(parts * count));
  const Index stride = network.layers().back().stride();
  m_pool.parallel_for(parts, [&](Index part, int thread) {
    auto& s = m_scratch[static_cast<std::size_t>(thread)];
    const Index first = part * kForwardRows;
    const Index rows = std::min(kForwardRows, n - first);
    const Index in_stride = samples.inputs.outerStride();
    network.forward(rows, {samples.inputs.data() + first * in_stride, in_stride, 1}, s);
    double* sums = m_sums.data() + part * count;
    std::fill_n(sums, count, 0.0);
    for (Index i = 0; i < rows; ++i) {
      const Scalar* y = samples.targets.data() + (first + i) * samples.targets.outerStride();
      const Scalar* g = s.output.data() + i * stride;
      const auto weight = static_cast<double>(samples.weights[first + i]);
      for (Index k = 0; k < count; ++k) {
        double squares = 0;
        for (Index j = 0; j < c; ++j) {
          const double error = static_cast<double>(g[k * c + j]) - static_cast<double>(y[j]);
          squares += error * error;
        }
        sums[k] += weight * squares;
      }
    }
  });
}

template <class Scalar>
RelativeLoss relative_loss(const PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                           ThreadPool& pool) {
  SampleLoss<Scalar> loss_of(network, pool);
  RelativeLoss loss{loss_of(network, problem.train) / zero_loss(problem.train)};
  if (problem.validation) {
    loss.validation = loss_of(network, *problem.validation) / zero_loss(*problem.validation);
  }
  return loss;
}

template <class Scalar>
void shrink_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                    RelativeLoss& loss, ThreadPool& pool) {
  if (!problem.validation) return;
  const Eigen::MatrixXd readout = get_readout(network);
  const double step = optimal_step(readout_moments(network, *problem.validation, pool), readout);
  if (!(step > 0 && step < 1)) return;
  set_readout(network, Eigen::MatrixXd(step * readout));
  const RelativeLoss shrunk = relative_loss(network, problem, pool);
  if (shrunk.train < 1 && shrunk.validation < loss.validation) {
    loss = shrunk;
  } else {
    set_readout(network, readout);
  }
}

/// Samples that weights w with sum 1 amount to, 1 / sum_i w_i^2: n for equal ones.
template <class Scalar>
double effective_samples(const Samples<Scalar>& samples) {
  return 1 / samples.sum(0.0, [](const SampleView<Scalar>& block) {
    return block.weights.template cast<double>().squaredNorm();
  });
}

/// sum_i w_i |g_k(x_i) - y_i|^2 of networks g_k that differ in their readouts only, in one pass.
template <class Scalar>
RowVector<double> losses_of(const PanelNetwork<Scalar>& network,
                            const std::vector<RidgeCandidate>& candidates,
                            const Samples<Scalar>& samples, ThreadPool& pool) {
  const Index c = network.outputs();
  const Index m = network.width();
  const Index count = std::ssize(candidates);
  RowMatrix<Scalar> weights(m, count * c);
  RowVector<Scalar> bias(count * c);
  for (Index k = 0; k < count; ++k) {
    const auto& readout = candidates[static_cast<std::size_t>(k)].readout;
    for (Index j = 0; j < c; ++j) {
      for (Index i = 0; i < m; ++i) weights(i, k * c + j) = static_cast<Scalar>(readout(i, j));
      bias[k * c + j] = static_cast<Scalar>(readout(m, j));
    }
  }
  auto layers = network.to_layers();
  layers.back() = DenseLayer<Scalar>(std::move(weights), std::move(bias));
  const PanelNetwork<Scalar> all(layers);
  return SampleLoss<Scalar>(all, pool).of_all(all, samples, count);
}

template <class Scalar>
RelativeLoss finish_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                            double smallest_ridge, ThreadPool& pool) {
  const ReadoutMoments moments = readout_moments(network, problem.train, pool);
  const Eigen::MatrixXd trained = get_readout(network);
  std::vector<RidgeCandidate> candidates{{0, trained},
                                         {0, trained * optimal_step(moments, trained)}};
  for (double ridge = smallest_ridge; ridge < 1e2; ridge *= 100) {
    candidates.push_back(solve_ridge(moments, ridge));
  }
  std::erase_if(candidates, [](const RidgeCandidate& candidate) {
    return !candidate.solved() || !is_representable<Scalar>(candidate.readout);
  });
  RowVector<double> losses, validation;
  if (!candidates.empty()) {
    losses = losses_of(network, candidates, problem.train, pool) / zero_loss(problem.train);
  }
  if (problem.validation && !candidates.empty()) {
    validation =
        losses_of(network, candidates, *problem.validation, pool) / zero_loss(*problem.validation);
  }

  constexpr double kSlack = 1.01;
  Eigen::MatrixXd best = Eigen::MatrixXd::Zero(trained.rows(), trained.cols());
  RelativeLoss best_loss;
  double best_score = std::numeric_limits<double>::infinity();
  // From the least to the most regularised, so that a later one may win within the slack.
  for (Index k = 0; k < std::ssize(candidates); ++k) {
    RelativeLoss loss{losses[k]};
    if (!(loss.train < 1)) continue;
    if (problem.validation) loss.validation = validation[k];
    const double score = problem.validation ? loss.validation : loss.train / kSlack;
    if (score < best_score) {
      best = candidates[static_cast<std::size_t>(k)].readout;
      best_loss = loss;
      best_score = problem.validation ? score : std::min(best_score, loss.train);
    }
  }
  set_readout(network, best);
  shrink_readout(network, problem, best_loss, pool);
  return best_loss;
}

template <class Scalar>
RelativeLoss gcv_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                         const std::vector<double>& ridges, ThreadPool& pool, double& chosen,
                         const Matrix<double>& basis, FunctionRef<bool()> proceed) {
  ReadoutMoments moments = readout_moments(network, problem.train, pool, proceed);
  std::atomic<bool> stopped = moments.gram.size() == 0;
  if (basis.size() > 0 && !stopped) {
    moments = {basis.transpose() * moments.gram * basis, basis.transpose() * moments.cross};
  }
  std::vector<RidgeCandidate> candidates(ridges.size());
  const bool asks = problem.train.ranks() == nullptr;  // as in sample_moments()
  pool.parallel_for(std::ssize(ridges), [&](Index k, int thread) {
    if (stopped) return;
    const auto i = ridges.size() - 1 - static_cast<std::size_t>(k);
    candidates[i] = solve_ridge(moments, ridges[i], /*degrees=*/true);
    if (basis.size() > 0 && candidates[i].solved()) {
      candidates[i].readout = basis * candidates[i].readout;
    }
    if (asks && thread == 0 && !proceed()) stopped = true;
  });
  // Where all degrees of freedom are used up, the criterion is zero by zero.
  constexpr double kFewestFree = 1e-6;
  const double samples = effective_samples(problem.train);
  std::erase_if(candidates, [&](const RidgeCandidate& candidate) {
    const bool usable = candidate.solved() && is_representable<Scalar>(candidate.readout);
    return !usable || (ridges.size() > 1 && !(1 - candidate.degrees / samples > kFewestFree));
  });

  Eigen::MatrixXd best = Eigen::MatrixXd::Zero(network.width() + 1, network.outputs());
  RelativeLoss best_loss;
  double best_score = std::numeric_limits<double>::infinity();
  chosen = 0;
  if (!candidates.empty()) {
    const double zero = zero_loss(problem.train);
    const RowVector<double> losses = losses_of(network, candidates, problem.train, pool);
    for (std::size_t k = 0; k < candidates.size(); ++k) {
      const double loss = losses[static_cast<Index>(k)] / zero;
      const double left = 1 - candidates[k].degrees / samples;
      const double score = ridges.size() > 1 ? loss / (left * left) : loss;
      if (!(loss < 1) || !(score < best_score)) continue;
      best = candidates[k].readout;
      best_loss.train = loss;
      best_score = score;
      chosen = candidates[k].ridge;
    }
  }
  set_readout(network, best);
  if (problem.validation) {
    best_loss.validation = SampleLoss<Scalar>(network, pool)(network, *problem.validation) /
                           zero_loss(*problem.validation);
  }
  return best_loss;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Matrix<double> sample_moments(const Samples<float>&, Index, Index, ThreadPool&,
                                              FillRows<double, float>, FunctionRef<bool()>);
extern template Matrix<double> sample_moments(const Samples<double>&, Index, Index, ThreadPool&,
                                              FillRows<double, double>, FunctionRef<bool()>);
extern template RidgeCandidate solve_ridge<double>(const ReadoutMoments&, double, bool);
extern template ReadoutMoments readout_moments(const PanelNetwork<float>&, const Samples<float>&,
                                               ThreadPool&, FunctionRef<bool()>);
extern template Eigen::MatrixXd get_readout(const PanelNetwork<float>&);
extern template void set_readout(PanelNetwork<float>&, const Eigen::MatrixXd&);
extern template double zero_loss(const Samples<float>&);
extern template RelativeLoss relative_loss(const PanelNetwork<float>&, const GradeProblem<float>&,
                                           ThreadPool&);
extern template void shrink_readout(PanelNetwork<float>&, const GradeProblem<float>&, RelativeLoss&,
                                    ThreadPool&);
extern template RelativeLoss finish_readout(PanelNetwork<float>&, const GradeProblem<float>&,
                                            double, ThreadPool&);
extern template RelativeLoss gcv_readout(PanelNetwork<float>&, const GradeProblem<float>&,
                                         const std::vector<double>&, ThreadPool&, double&,
                                         const Matrix<double>&, FunctionRef<bool()>);
extern template ReadoutMoments readout_moments(const PanelNetwork<double>&, const Samples<double>&,
                                               ThreadPool&, FunctionRef<bool()>);
extern template Eigen::MatrixXd get_readout(const PanelNetwork<double>&);
extern template void set_readout(PanelNetwork<double>&, const Eigen::MatrixXd&);
extern template double zero_loss(const Samples<double>&);
extern template RelativeLoss relative_loss(const PanelNetwork<double>&, const GradeProblem<double>&,
                                           ThreadPool&);
extern template void shrink_readout(PanelNetwork<double>&, const GradeProblem<double>&,
                                    RelativeLoss&, ThreadPool&);
extern template RelativeLoss finish_readout(PanelNetwork<double>&, const GradeProblem<double>&,
                                            double, ThreadPool&);
extern template RelativeLoss gcv_readout(PanelNetwork<double>&, const GradeProblem<double>&,
                                         const std::vector<double>&, ThreadPool&, double&,
                                         const Matrix<double>&, FunctionRef<bool()>);
extern template class SampleLoss<float>;
extern template class SampleLoss<double>;
}  // namespace mgdl::detail
#endif
