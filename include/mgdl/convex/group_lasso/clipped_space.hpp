#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "mgdl/convex/group_lasso/clipped_loss.hpp"
#include "mgdl/convex/group_lasso/dual_system.hpp"
#include "mgdl/convex/group_lasso/masked_products.hpp"
#include "mgdl/convex/group_lasso/newton_space.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Losses whose slope is bounded, in the problem of GroupLassoNewton.

namespace mgdl::detail {

/// What GroupLassoNewton computes with for a loss of bounded slope: f(eta) is the largest
/// <N, Y> - 1/2 <N, K N> over N between the bounds, K = m I + sum_j eta_j A_j A_j' (and <N, b> = 0
/// for an output bias), whose other side is
///
///     min over V, b   sum_i L_m(r_i) + 1/2 <V, K_0 V>,   r = Y - K_0 V - b,   K_0 = K - m I.
///
/// At its solution V = N = L_m'(r), and U_j = eta_j A_j'N. It is found by Newton's method with
/// exact line searches: where F are the samples between their bounds and the others keep their N, a
/// step solves K_FF V_F = (Y - K_0 N - b)_F, <V, b> = 0, and once F is right, that is the solution.
/// The systems are solved by conjugate gradients, which a factorisation of K_FF for an earlier F
/// and an earlier eta preconditions. H of GroupLassoNewton is that of the samples in F.
template <class Real>
class ClippedSpace : public NewtonSpace<Real> {
 public:
  using NewtonSpace<Real>::factor;

  ClippedSpace(ThreadPool& pool, const GroupLassoProblem<Real>& problem, const ClippedLoss& loss)
      : m_pool(pool),
        m_problem(problem),
        m_loss(loss),
        m_biased(problem.bias().size() > 0),
        m_targets(problem.targets()),
        m_shift(RowMatrix<Real>::Zero(problem.targets().rows(), problem.outputs())) {
    const Index n = problem.targets().rows();
    const Index c = problem.outputs();
    m_at.V = RowMatrix<Real>::Zero(n, c);
    m_at.bias = RowVector<Real>::Zero(c);
    if (m_biased) {
      const Vector<Real>& root = problem.root_weights();
      for (Index o = 0; o < c; ++o) {
        m_at.bias[o] = centre(problem.targets().col(o).cwiseQuotient(root));
      }
    }
    m_at.V = slopes(problem.targets() - problem.root_weights() * m_at.bias);
    m_at.free = free_samples(problem.targets() - problem.root_weights() * m_at.bias);
  }

  bool is_squared() const override { return false; }

  /// A step of the proximal point method for m = 0: from here on <N, Y> - m / 2 ||N - N_k||^2 is
  /// what counts, with this m and the present N as N_k. That is the loss L_m of r + m N_k.
  void approach(double curvature) {
    m_loss.curvature = curvature;
    m_shift = m_loss.curvature * dual();
    m_targets = m_problem.targets() + m_shift;
  }

  bool move_to(Real accuracy, Real lambda, Real near, GroupLassoPoint<Real>& point) override {
    const Vector<Real>& eta = point.eta;
    const std::vector<Index> gates = NewtonSpace<Real>::support(eta);
    // As for SampleSpace, in the energy of the error of V.
    const Real limit =
        near * accuracy * accuracy / static_cast<Real>(std::max<Index>(1, eta.size()));
    if (!minimise(gates, eta, std::max(limit, kRounding * near))) return false;
    point.coefficients.gates = gates;
    m_problem.products().correlate(m_pool, gates, m_at.V, point.coefficients.values);
    point.coefficients.values.array().colwise() *= eta(gates).array();
    evaluate(lambda, point);
    return true;
  }

  void refine(Real, GroupLassoPoint<Real>&) override {}

  Matrix<Real> hessian(const std::vector<Index>& gates,
                       const RowMatrix<Real>& directions) override {
    const Index c = m_problem.outputs();
    const Index p = m_problem.products().dimension();
    Matrix<Real> H =
        Matrix<Real>::Zero(static_cast<Index>(gates.size()), static_cast<Index>(gates.size()));
    for (Index o = 0; o < c; ++o) {
      Part& part = *m_parts[static_cast<std::size_t>(o)];
      if (part.rows.empty()) continue;
      part.add(m_problem.products().bits(), gates);
      RowMatrix<Real> of_output(directions.rows(), p);
      for (Index r = 0; r < p; ++r) of_output.col(r) = directions.col(r * c + o);
      H += part.system.hessian(m_pool, gates, of_output) / m_factored_curvature;
    }
    H.diagonal().array() += m_damping * m_problem.squared_norm() / m_loss.curvature;
    return H;
  }

  /// H does not see the samples that a step brings between their bounds: where they are many, a
  /// step is too long by far.
  bool stiffen() override {
    m_damping = std::max<Real>(kLeastDamping, 10 * m_damping);
    return m_damping <= 1e4;
  }
  void relax() override { m_damping = m_damping > kLeastDamping ? m_damping / 10 : 0; }

  Real ridge() const override { return m_single ? 1e-7 : 1e-13; }

  void keep() override { m_kept = m_at; }
  void revert() override { m_at = m_kept; }

  /// Objective and bound of the last move's point for the loss itself, whose m is 0.
  /// \{
  Real true_primal(Real lambda, const GroupLassoPoint<Real>& point, const Loss& loss) const {
    const Vector<Real>& root = m_problem.root_weights();
    Real sum = lambda * point.coefficients.values.rowwise().norm().sum();
    for (Index o = 0; o < point.residual.cols(); ++o) {
      for (Index i = 0; i < root.size(); ++i) {
        sum += root[i] * loss(point.residual(i, o) - m_shift(i, o));
      }
    }
    return sum;
  }
  Real objective_at_zero(const Loss& loss) const {
    GroupLassoPoint<Real> point;
    point.coefficients.values.resize(0, 1);
    point.residual = m_problem.targets() - m_problem.root_weights() * m_at.bias;
    return true_primal(0, point, loss);
  }
  Real true_dual(Real lambda, const GroupLassoPoint<Real>& point) const {
    const RowMatrix<Real> N = dual();
    return (N.array() * m_problem.targets().array()).sum() *
           std::min(Real(1), lambda / point.norms.maxCoeff());
  }
  /// \}

  /// Of the last move, in units of sqrt(w).
  const RowVector<Real>& bias() const noexcept { return m_at.bias; }

  /// N of the last move: between its bounds, and orthogonal to the bias up to rounding.
  RowMatrix<Real> dual() const {
    RowMatrix<Real> N = m_at.V;
    const Vector<Real>& root = m_problem.root_weights();
    for (Index i = 0; i < N.rows(); ++i) {
      N.row(i) = N.row(i).cwiseMax(m_loss.lower * root[i]).cwiseMin(m_loss.upper * root[i]);
    }
    if (!m_biased) return N;
    for (Index o = 0; o < N.cols(); ++o) {
      Vector<Real> column = N.col(o);
      m_loss.centre(root, column);
      N.col(o) = column;
    }
    return N;
  }

 private:
  static constexpr Real kLeastDamping = 1e-5;
  static constexpr Real kRoundOff = 1e-14;
  static constexpr Real kRounding = 1e-20;  // of the objective: what a decrease can be seen by

  struct State {
    RowMatrix<Real> V;     // n x c
    RowVector<Real> bias;  // in units of sqrt(w)
    RowMatrix<Real> free;  // 1 for the samples in F, n x c
  };

  /// The samples in F of one output, and K_FF / m.
  struct Part {
    std::vector<Index> rows;
    std::vector<std::uint64_t> bits;
    std::vector<bool> known;  // gates whose bits are there
    Vector<Real> bias;
    MaskedProducts<Real> products;
    DualSystem<Real> system;

    Part(const GroupLassoProblem<Real>& problem, std::vector<Index> chosen)
        : rows(std::move(chosen)),
          bits(static_cast<std::size_t>(words() * problem.gates())),
          known(static_cast<std::size_t>(problem.gates())),
          bias(problem.bias().size() > 0 ? Vector<Real>(problem.bias()(rows)) : Vector<Real>()),
          products(problem.products().samples()(rows, kAll), {bits.data(), words()}),
          system(products, bias, 1) {
      if (bias.size() > 0) bias.normalize();
    }

    Index words() const noexcept { return (std::ssize(rows) + 63) / 64; }

    void add(const PatternBits& patterns, const std::vector<Index>& gates) {
      for (const Index j : gates) {
        if (known[static_cast<std::size_t>(j)]) continue;
        known[static_cast<std::size_t>(j)] = true;
        std::uint64_t* to = bits.data() + j * words();
        const std::uint64_t* from = patterns.pattern(j);
        for (std::size_t k = 0; k < rows.size(); ++k) {
          to[k / 64] |= (from[rows[k] / 64] >> (rows[k] % 64) & 1u) << (k % 64);
        }
      }
    }
  };

  /// The best constant for values with the weights of the samples.
  Real centre(const Vector<Real>& values) const {
    const Vector<Real> weights = m_problem.root_weights().cwiseAbs2();
    Real low = values.minCoeff();
    Real high = values.maxCoeff();
    for (int step = 0; step < 100; ++step) {
      const Real middle = 0.5 * (low + high);
      Real slope = 0;
      for (Index i = 0; i < values.size(); ++i)
        slope += weights[i] * m_loss.slope(values[i] - middle);
      (slope > 0 ? low : high) = middle;
    }
    return 0.5 * (low + high);
  }

  RowMatrix<Real> slopes(const RowMatrix<Real>& r) const {
    const Vector<Real>& root = m_problem.root_weights();
    RowMatrix<Real> N(r.rows(), r.cols());
    for (Index i = 0; i < r.rows(); ++i) {
      N.row(i) = (r.row(i) / m_loss.curvature)
                     .cwiseMax(m_loss.lower * root[i])
                     .cwiseMin(m_loss.upper * root[i]);
    }
    return N;
  }

  RowMatrix<Real> free_samples(const RowMatrix<Real>& r) const {
    const Vector<Real>& root = m_problem.root_weights();
    RowMatrix<Real> free(r.rows(), r.cols());
    for (Index i = 0; i < r.rows(); ++i) {
      for (Index o = 0; o < r.cols(); ++o) {
        const Real s = r(i, o) / m_loss.curvature;
        free(i, o) = s > m_loss.lower * root[i] && s < m_loss.upper * root[i] ? 1 : 0;
      }
    }
    return free;
  }

  /// sum_i L_m(r_i)
  Real loss_of(const RowMatrix<Real>& r, const RowMatrix<Real>& N) const {
    return (N.array() * (r.array() - 0.5 * m_loss.curvature * N.array())).sum();
  }

  RowMatrix<Real> residual(const RowMatrix<Real>& fitted, const RowVector<Real>& bias) const {
    RowMatrix<Real> r = m_targets - fitted;
    if (m_biased) r -= m_problem.root_weights() * bias;
    return r;
  }

  bool factorise(const std::vector<Index>& gates, const Vector<Real>& eta) override {
    m_parts.clear();
    m_single = false;
    m_factored_curvature = m_loss.curvature;
    m_factored_eta = eta;
    m_factored_free = m_at.free;
    m_extra_steps = -kUsualSteps;
    for (Index o = 0; o < m_problem.outputs(); ++o) {
      std::vector<Index> rows;
      for (Index i = 0; i < m_at.free.rows(); ++i) {
        if (m_at.free(i, o) > 0) rows.push_back(i);
      }
      Part& part = *m_parts.emplace_back(std::make_unique<Part>(m_problem, std::move(rows)));
      if (part.rows.empty()) continue;
      part.add(m_problem.products().bits(), gates);
      if (!part.system.factor(m_pool, gates, eta(gates) / m_loss.curvature)) return false;
      m_single = m_single || part.system.is_single();
    }
    return true;
  }

  void multiply(const std::vector<Index>& gates, const Vector<Real>& eta, const RowMatrix<Real>& V,
                RowMatrix<Real>& image) {
    m_problem.products().correlate(m_pool, gates, V, m_work);
    m_work.array().colwise() *= eta(gates).array();
    m_problem.products().apply(m_pool, gates, m_work, m_problem.outputs(), image);
  }

  /// Multiplications of a step of conjugate gradients, and of a factorisation for the present F.
  /// \{
  Real step_cost(const std::vector<Index>& gates) const {
    return 4 * static_cast<Real>(m_at.free.size()) * columns(gates);
  }
  Real factor_cost(const std::vector<Index>& gates) const {
    const Real q = columns(gates);
    Real cost = 0;
    for (Index o = 0; o < m_problem.outputs(); ++o) {
      const Real n = m_at.free.col(o).sum();
      const Real by_samples = n * n *
                              (n / 6 + 0.5 * (static_cast<Real>(gates.size()) +
                                              static_cast<Real>(m_problem.products().dimension())));
      cost += std::min(by_samples, n * q * q / 4 + q * q * q / 6);
    }
    return cost;
  }
  Real columns(const std::vector<Index>& gates) const {
    return static_cast<Real>(std::ssize(gates) * m_problem.products().dimension());
  }
  /// \}

  /// Whether the factorisation is one for about this eta and F.
  bool serves(const std::vector<Index>& gates, const Vector<Real>& eta) const {
    if (m_parts.empty() || m_factored_curvature != m_loss.curvature) return false;
    const Real moved = (m_at.free - m_factored_free).cwiseAbs().sum();
    const bool exact = moved == 0 && eta == m_factored_eta;
    if (exact) return true;
    constexpr Real kCheap = 8;
    const Real step = step_cost(gates);
    const Real again = factor_cost(gates);
    if (again <= kCheap * step || m_extra_steps * step > again) return false;
    return moved <= 0.1 * m_at.free.sum() &&
           (eta - m_factored_eta).template lpNorm<1>() <= 0.1 * eta.template lpNorm<1>();
  }

  bool renew(const Vector<Real>& eta) {
    NewtonSpace<Real>::forget();
    return factor(eta);
  }

  /// About K_FF^-1 r for r that is zero outside of F.
  RowMatrix<Real> precondition(const RowMatrix<Real>& r) const {
    RowMatrix<Real> z = r / m_loss.curvature;
    for (Index o = 0; o < r.cols(); ++o) {
      const Part& part = *m_parts[static_cast<std::size_t>(o)];
      if (part.rows.empty()) continue;
      RowMatrix<Real> inside = r(part.rows, Eigen::seqN(o, 1));
      part.system.solve_unbiased(m_pool, inside);
      for (std::size_t k = 0; k < part.rows.size(); ++k) {
        z(part.rows[k], o) = inside(static_cast<Index>(k), 0) / m_factored_curvature;
      }
    }
    return z.cwiseProduct(m_at.free);
  }

  /// Makes <b, z> = 0 with what the preconditioner makes of b.
  void project(RowMatrix<Real>& z, RowVector<Real>* along = nullptr) const {
    if (!m_biased) return;
    for (Index o = 0; o < z.cols(); ++o) {
      const Real energy = m_problem.root_weights().dot(m_bias_image.col(o));
      if (!(energy > 0)) continue;
      const Real share = m_problem.root_weights().dot(z.col(o)) / energy;
      z.col(o) -= share * m_bias_image.col(o);
      if (along != nullptr) (*along)[o] = share;
    }
  }

  static RowVector<Real> inner(const RowMatrix<Real>& a, const RowMatrix<Real>& b) {
    return (a.array() * b.array()).colwise().sum();
  }

  /// The step of the method: V and K_0 V for the present F, and the change of the bias.
  /// \returns false if the accuracy was not reached in the steps that a good preconditioner needs
  bool newton_step(const std::vector<Index>& gates, const Vector<Real>& eta, Real limit,
                   const RowMatrix<Real>& N, RowMatrix<Real>& V, RowMatrix<Real>& image,
                   RowVector<Real>& shift) {
    constexpr int kMaxSteps = 60;
    const RowMatrix<Real>& free = m_at.free;
    const Vector<Real>& root = m_problem.root_weights();
    V = free.cwiseProduct(m_at.V) + (1 - free.array()).matrix().cwiseProduct(N);
    if (m_biased) {
      m_bias_image = precondition(free.cwiseProduct(root.replicate(1, free.cols())));
      for (Index o = 0; o < V.cols(); ++o) {
        const Real energy = root.dot(m_bias_image.col(o));
        if (energy > 0) V.col(o) -= root.dot(V.col(o)) / energy * m_bias_image.col(o);
      }
    }
    multiply(gates, eta, V, image);
    RowMatrix<Real> r = residual(image, m_at.bias) - m_loss.curvature * V;
    r = r.cwiseProduct(free);
    RowVector<Real> along = RowVector<Real>::Zero(V.cols());
    RowMatrix<Real> z = precondition(r);
    project(z, &along);
    RowMatrix<Real> direction = z;
    RowVector<Real> energy = inner(r, z);
    RowMatrix<Real> moved;
    const Real enough = std::max(0.1 * limit, 1e-6 * energy.sum());
    bool reached = !(energy.sum() > enough);
    int step = 0;
    for (; step < kMaxSteps && !reached; ++step) {
      multiply(gates, eta, direction, moved);
      RowVector<Real> length =
          energy.array() /
          (inner(direction, moved) + m_loss.curvature * direction.colwise().squaredNorm()).array();
      for (Real& value : length) {
        if (!std::isfinite(value)) value = 0;
      }
      V.noalias() += direction * length.asDiagonal();
      image.noalias() += moved * length.asDiagonal();
      r.noalias() -=
          (moved + m_loss.curvature * direction).cwiseProduct(free) * length.asDiagonal();
      z = precondition(r);
      project(z, &along);
      const RowVector<Real> next = inner(r, z);
      RowVector<Real> ratio = next.array() / energy.array();
      for (Real& value : ratio) {
        if (!std::isfinite(value)) value = 0;
      }
      direction = z + direction * ratio.asDiagonal();
      energy = next;
      reached = !(energy.sum() > enough);
    }
    m_extra_steps += std::max<Real>(0, static_cast<Real>(step) - kUsualSteps);
    shift = along;  // what is left of r is the bias times it
    return reached;
  }

  /// The V of least objective for this eta, from the present one.
  bool minimise(const std::vector<Index>& gates, const Vector<Real>& eta, Real limit) {
    constexpr int kMaxSteps = 300;
    const Vector<Real>& root = m_problem.root_weights();
    RowMatrix<Real> image, V, image_V;
    RowVector<Real> shift;
    multiply(gates, eta, m_at.V, image);
    for (int step = 0; step < kMaxSteps; ++step) {
      const RowMatrix<Real> r = residual(image, m_at.bias);
      const RowMatrix<Real> N = slopes(r);
      // Another eta, or less curvature, moves residuals by more than their range in F, while V and
      // F hardly change: the first step keeps F.
      const bool predicts = step == 0;
      if (!predicts) m_at.free = free_samples(r);
      const RowMatrix<Real> bound = predicts ? slopes(m_loss.curvature * m_at.V) : N;
      if (!serves(gates, eta) && !renew(eta)) return false;
      if (!newton_step(gates, eta, limit, bound, V, image_V, shift)) {
        const bool exact = m_factored_eta == eta && m_factored_free == m_at.free;
        if (!exact) {
          if (!renew(eta)) return false;
          newton_step(gates, eta, limit, bound, V, image_V, shift);
        }
      }
      bool done = true;
      for (Index o = 0; o < V.cols(); ++o) {
        if (m_biased && m_at.free.col(o).isZero(0))
          shift[o] = m_loss.curvature * root.dot(N.col(o));
        const Vector<Real> dV = V.col(o) - m_at.V.col(o);
        const Vector<Real> change = image_V.col(o) - image.col(o);
        Vector<Real> dr = -change;
        if (m_biased) dr -= shift[o] * root;
        const Real fixed = image.col(o).dot(dV);
        const Real growth = change.dot(dV);
        const Real slope = N.col(o).dot(dr) + fixed;
        done = done && !predicts && -slope <= limit;
        // A loss that is flat along the step, but for rounding, has no end there.
        const Real rounding = kRoundOff * N.col(o).cwiseAbs().dot(dr.cwiseAbs());
        if (!(slope < -rounding)) continue;
        const Real length = line_minimum(r.col(o), dr, fixed, growth, slope);
        m_at.V.col(o) += length * dV;
        image.col(o) += length * change;
        if (m_biased) m_at.bias[o] += length * shift[o];
      }
      if (done) break;
    }
    m_at.free = free_samples(residual(image, m_at.bias));
    // For H: that of the factorisation may be another F.
    if (!m_parts.empty() && m_at.free != m_factored_free && this->is_factored(eta)) {
      NewtonSpace<Real>::forget();
    }
    return true;
  }

  /// About the t >= 0 of least sum_i L_m(r_i + t dr_i) + t fixed + t^2 / 2 growth, convex in t.
  Real line_minimum(const Vector<Real>& r, const Vector<Real>& dr, Real fixed, Real growth,
                    Real slope) const {
    const Vector<Real>& root = m_problem.root_weights();
    const auto slope_at = [&](Real t) {
      Real sum = fixed + t * growth;
      for (Index i = 0; i < r.size(); ++i) {
        sum += dr[i] * std::clamp((r[i] + t * dr[i]) / m_loss.curvature, m_loss.lower * root[i],
                                  m_loss.upper * root[i]);
      }
      return sum;
    };
    const Real enough = 0.02 * std::abs(slope);
    Real low = 0, high = 1;
    Real at_low = slope, at_high = slope_at(1);
    if (std::abs(at_high) <= enough) return 1;
    while (at_high < 0 && high < 1e6) {
      low = high;
      at_low = at_high;
      high *= 2;
      at_high = slope_at(high);
      if (std::abs(at_high) <= enough) return high;
    }
    if (at_high < 0) return 1;
    for (int step = 0; step < 60; ++step) {  // the Illinois rule
      const Real t = (low * at_high - high * at_low) / (at_high - at_low);
      const Real at_t = slope_at(t);
      if (std::abs(at_t) <= enough || !(t > low && t < high)) return t;
      if (at_t < 0) {
        low = t;
        at_low = at_t;
        at_high *= 0.5;
      } else {
        high = t;
        at_high = at_t;
        at_low *= 0.5;
      }
    }
    return low;
  }

  void evaluate(Real lambda, GroupLassoPoint<Real>& point) {
    RowMatrix<Real> fitted;
    m_problem.products().apply(m_pool, point.coefficients.gates, point.coefficients.values,
                               m_problem.outputs(), fitted);
    point.residual = residual(fitted, m_at.bias);
    point.loss = loss_of(point.residual, slopes(point.residual));
    const RowMatrix<Real> N = dual();
    m_problem.products().correlate(m_pool, m_problem.all_gates(), N, point.correlation);
    point.squares = m_loss.curvature * N.squaredNorm();
    point.inner = (N.array() * m_targets.array()).sum();
    point.longest = 1;
    point.complete(lambda);
  }

  /// Steps that a solve takes with a factorisation of its own F and eta.
  static constexpr Real kUsualSteps = 4;

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  ClippedLoss m_loss;
  bool m_biased;
  RowMatrix<Real> m_targets;  // Y + m N_k
  RowMatrix<Real> m_shift;    // m N_k
  State m_at;
  State m_kept;
  std::vector<std::unique_ptr<Part>> m_parts;  // one for each output
  Real m_factored_curvature = 1;
  Vector<Real> m_factored_eta;
  RowMatrix<Real> m_factored_free;
  bool m_single = false;
  RowMatrix<Real> m_bias_image;  // what the preconditioner makes of the bias
  RowMatrix<Real> m_work;
  Real m_extra_steps = 0;
  Real m_damping = 0;  // see stiffen()
};

}  // namespace mgdl::detail
