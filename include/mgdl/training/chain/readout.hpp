#pragma once

#include <limits>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl::detail {

/// sum_s z_s(1..rows)' z_s over all samples: rows x columns, in double, where z_s is a row of
/// `columns` numbers that `fill` makes of sample s, block by block, so that they are never held
/// whole.
///
/// \param fill  fill(first, count, z, stride, thread) writes rows z of samples first..first+count
template <class Real>
Matrix<Real> sample_moments(Index samples, Index rows, Index columns, ThreadPool& pool,
                            FunctionRef<void(Index, Index, Real*, Index, int)> fill);

/// Weighted second moments of [features, 1] (m + 1 columns) and of their products with the targets,
/// in double: all that a least squares readout needs to know of the samples.
struct ReadoutMoments {
  Eigen::MatrixXd gram;   // (m + 1) x (m + 1)
  Eigen::MatrixXd cross;  // (m + 1) x c
};

template <class Scalar>
ReadoutMoments readout_moments(const PanelNetwork<Scalar>& network,
                               const SampleView<Scalar>& samples, ThreadPool& pool);

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
double zero_loss(const SampleView<Scalar>& samples);

/// The loss of networks over samples, block by block, with the memory that this takes.
template <class Scalar>
class SampleLoss {
 public:
  SampleLoss(const PanelNetwork<Scalar>& network, ThreadPool& pool);

  /// sum_i w_i |g(x_i) - y_i|^2 for a network of the same sizes.
  double operator()(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples) {
    sum_blocks(network, samples, 1);
    double loss = 0;
    for (const double part : m_sums) loss += part;
    return loss;
  }

  /// The same for `count` networks in one: outputs of network k are k c, ..., (k + 1) c - 1.
  RowVector<double> of_all(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
                           Index count) {
    sum_blocks(network, samples, count);
    const RowMatrix<double> sums =
        Eigen::Map<RowMatrix<double>>(m_sums.data(), std::ssize(m_sums) / count, count);
    return sums.colwise().sum();
  }

 private:
  /// Sums of each block of rows, blocks x count.
  void sum_blocks(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
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
///
/// Source: Golub, Heath & Wahba, "Generalized cross-validation as a method for choosing a good
/// ridge parameter" (Technometrics 21, 1979).
template <class Scalar>
RelativeLoss gcv_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                         const std::vector<double>& ridges, ThreadPool& pool, double& chosen);

#ifdef MGDL_COMPILED
extern template Matrix<double> sample_moments(Index, Index, Index, ThreadPool&,
                                              FunctionRef<void(Index, Index, double*, Index, int)>);
extern template RidgeCandidate solve_ridge<double>(const ReadoutMoments&, double, bool);
extern template ReadoutMoments readout_moments(const PanelNetwork<float>&, const SampleView<float>&,
                                               ThreadPool&);
extern template Eigen::MatrixXd get_readout(const PanelNetwork<float>&);
extern template void set_readout(PanelNetwork<float>&, const Eigen::MatrixXd&);
extern template double zero_loss(const SampleView<float>&);
extern template RelativeLoss relative_loss(const PanelNetwork<float>&, const GradeProblem<float>&,
                                           ThreadPool&);
extern template void shrink_readout(PanelNetwork<float>&, const GradeProblem<float>&, RelativeLoss&,
                                    ThreadPool&);
extern template RelativeLoss finish_readout(PanelNetwork<float>&, const GradeProblem<float>&,
                                            double, ThreadPool&);
extern template RelativeLoss gcv_readout(PanelNetwork<float>&, const GradeProblem<float>&,
                                         const std::vector<double>&, ThreadPool&, double&);
extern template ReadoutMoments readout_moments(const PanelNetwork<double>&,
                                               const SampleView<double>&, ThreadPool&);
extern template Eigen::MatrixXd get_readout(const PanelNetwork<double>&);
extern template void set_readout(PanelNetwork<double>&, const Eigen::MatrixXd&);
extern template double zero_loss(const SampleView<double>&);
extern template RelativeLoss relative_loss(const PanelNetwork<double>&, const GradeProblem<double>&,
                                           ThreadPool&);
extern template void shrink_readout(PanelNetwork<double>&, const GradeProblem<double>&,
                                    RelativeLoss&, ThreadPool&);
extern template RelativeLoss finish_readout(PanelNetwork<double>&, const GradeProblem<double>&,
                                            double, ThreadPool&);
extern template RelativeLoss gcv_readout(PanelNetwork<double>&, const GradeProblem<double>&,
                                         const std::vector<double>&, ThreadPool&, double&);
extern template class SampleLoss<float>;
extern template class SampleLoss<double>;
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/training/chain/readout_impl.hpp"  // IWYU pragma: export
#endif
