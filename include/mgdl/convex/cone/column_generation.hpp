#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/cone/projection.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/bounded_quadratic.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"
#include "mgdl/linalg/lbfgs.hpp"
#include "mgdl/linalg/orthonormal_basis.hpp"

namespace mgdl::detail {

/// min_O 1/2 ||Y - Phi O||^2 + lambda sum_k ||o_k|| over the rows o_k of O (m x c), for few columns
/// of Phi: the method of GroupLassoNewton in one number per row, eta_k = ||o_k|| / lambda at the
/// optimum, in dense algebra. Phi and Y are first replaced by their coordinates in an orthonormal
/// basis, so that K = I + Phi diag(eta) Phi' has no more than m rows.
template <class Real>
class RowLasso {
 public:
  /// \param Phi  n x m
  /// \param Y    n x c
  RowLasso(const Matrix<Real>& Phi, const Matrix<Real>& Y, Real lambda);

  /// \param start      O to start from
  /// \param tolerance  wanted relative duality gap
  /// \returns O; the rows that are zero are exactly zero
  Matrix<Real> solve(const Matrix<Real>& start, Real tolerance) const;

 private:
  struct State {
    Vector<Real> eta;
    Cholesky<Real> factor;     // of K
    Matrix<Real> correlation;  // Phi'N, N = K^-1 Y
    Vector<Real> norms;        // of its rows
    Real value = 0;            // 1/2 <Y, K^-1 Y> + lambda^2 / 2 sum eta
    Real relative_gap = 0;
    Real best_gap = std::numeric_limits<Real>::infinity();  // of all states so far
  };

  /// Goes along the step until the objective in eta falls.
  bool move(const Vector<Real>& step, State& state) const;

  bool evaluate(const Vector<Real>& eta, State& state) const;

  Matrix<Real> hessian(const State& state) const;

  Matrix<Real> m_phi;
  Matrix<Real> m_targets;
  Real m_rest = 0;  // ||Y||^2 outside the basis
  Real m_lambda;
};

template <class Real>
RowLasso<Real>::RowLasso(const Matrix<Real>& Phi, const Matrix<Real>& Y, Real lambda)
    : m_phi(Phi), m_targets(Y), m_lambda(lambda) {
  if (Phi.rows() <= Phi.cols()) return;
  const Index m = Phi.cols();
  const auto [R, coordinates] = orthogonal_coordinates(Phi, Y);
  m_phi = R;
  m_targets = coordinates.topRows(m);
  m_rest = coordinates.bottomRows(coordinates.rows() - m).squaredNorm();
}

template <class Real>
Matrix<Real> RowLasso<Real>::solve(const Matrix<Real>& start, Real tolerance) const {
  constexpr int kMaxSteps = 200;
  State state;
  if (!evaluate(start.rowwise().norm() / m_lambda, state)) return start;
  state.best_gap = state.relative_gap;
  StallWatch watch(state.best_gap);
  for (int step = 0; step < kMaxSteps && state.relative_gap > tolerance; ++step) {
    if (watch.stalled(state.best_gap)) break;
    const Matrix<Real> H = hessian(state);
    const Vector<Real> bounds = -state.eta;
    if (move(secular_step<Real>(H, state.norms, bounds, m_lambda), state)) continue;
    if (!move(descent_step<Real>(H, state.norms, bounds, m_lambda), state)) break;
  }
  return state.eta.asDiagonal() * state.correlation;
}

template <class Real>
bool RowLasso<Real>::move(const Vector<Real>& step, State& state) const {
  for (Real length = 1; length > 1e-6; length /= 2) {
    State trial;
    if (!evaluate((state.eta + length * step).cwiseMax(0), trial)) continue;
    // The gap may rise while the objective falls: only a new record counts, or steps could cycle.
    if (trial.value < state.value || trial.relative_gap < 0.5 * state.best_gap) {
      trial.best_gap = std::min(state.best_gap, trial.relative_gap);
      state = std::move(trial);
      return true;
    }
  }
  return false;
}

template <class Real>
bool RowLasso<Real>::evaluate(const Vector<Real>& eta, State& state) const {
  Matrix<Real> K = m_phi * eta.asDiagonal() * m_phi.transpose();
  K.diagonal().array() += 1;
  if (!state.factor.compute(K)) return false;
  const Matrix<Real> N = state.factor.solve(m_targets);
  state.eta = eta;
  state.correlation = m_phi.transpose() * N;
  state.norms = state.correlation.rowwise().norm();
  const Real target = m_rest + (N.array() * m_targets.array()).sum();
  const Real square = m_rest + N.squaredNorm();
  const Real largest = state.norms.size() > 0 ? state.norms.maxCoeff() : 0;
  const Real primal = 0.5 * square + m_lambda * eta.dot(state.norms);
  const Real dual = scaled_dual<Real>(target, square, largest, m_lambda);
  state.value = 0.5 * target + 0.5 * m_lambda * m_lambda * eta.sum();
  state.relative_gap = primal > 0 ? (primal - dual) / primal : 0;
  return std::isfinite(state.value);
}

template <class Real>
Matrix<Real> RowLasso<Real>::hessian(const State& state) const {
  const Vector<Real> inverse =
      state.norms.cwiseMax(std::numeric_limits<Real>::min()).cwiseInverse();
  const Matrix<Real> directions = inverse.asDiagonal() * state.correlation;
  Matrix<Real> half = m_phi;
  state.factor.solve_lower(half);
  return (half.transpose() * half).cwiseProduct(directions * directions.transpose());
}

}  // namespace mgdl::detail

/// \file
/// The ReLU problem of several outputs with neurons that serve them all.

namespace mgdl::detail {

/// max_j ||X' D_j Y||_2: from here on the solution is zero. Because of the cones it may be zero for
/// smaller penalties already.
template <class Real>
Real shared_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                       const ConeProjector<Real>& projector);

/// Fills hidden, output (rows of length 1) and gates of `solution`.
///
/// \returns NoProgress if no neuron was found that lowers the objective and the relaxed bound does
///          not prove the tolerance
template <class Real>
Termination solve_shared_problem(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                                 const ConeProjector<Real>& projector, Real lambda,
                                 const SolveControl& control, ReluSolution& solution,
                                 Index& iterations);

/// Neurons that serve all outputs: neuron k lies in the cone of gates[k], so it is active on the
/// samples of that pattern, and adds D_j X v_k o_k to the fit at the penalty ||v_k|| ||o_k||.
template <class Real>
struct SharedNetwork {
  std::vector<Index> gates;
  RowMatrix<Real> hidden;  // row k: v_k, p values
  RowMatrix<Real> output;  // row k: o_k, c values

  SharedNetwork(Index p, Index c) : hidden(0, p), output(0, c) {}

  Index size() const noexcept { return hidden.rows(); }
  Index gate(Index k) const noexcept { return gates[static_cast<std::size_t>(k)]; }
  Real penalty() const { return hidden.rowwise().norm().dot(output.rowwise().norm()); }

  /// Appends a neuron.
  void add(Index gate, const Vector<Real>& v, const RowVector<Real>& o) {
    const Index k = size();
    gates.push_back(gate);
    hidden.conservativeResize(k + 1, Eigen::NoChange);
    output.conservativeResize(k + 1, Eigen::NoChange);
    hidden.row(k) = v.transpose();
    output.row(k) = o;
  }

  /// The given neurons, in that order.
  SharedNetwork<Real> part(const std::vector<Index>& rows) const {
    SharedNetwork<Real> result(hidden.cols(), output.cols());
    for (const Index k : rows) result.gates.push_back(gate(k));
    result.hidden = hidden(rows, kAll);
    result.output = output(rows, kAll);
    return result;
  }

  /// Without the neurons that give nothing.
  SharedNetwork<Real> nonzero() const {
    std::vector<Index> rows;
    for (Index k = 0; k < size(); ++k) {
      if (hidden.row(k).squaredNorm() > 0 && output.row(k).squaredNorm() > 0) rows.push_back(k);
    }
    return part(rows);
  }
};

/// 1 where the pattern of a column contains the sample of a row, else 0.
template <class Real>
Matrix<Real> active_samples(const GroupLassoProblem<Real>& problem,
                            const std::vector<Index>& gates) {
  return Matrix<Real>::NullaryExpr(
      problem.products().size(), std::ssize(gates), [&](Index i, Index k) {
        return problem.products().bits().contains(gates[static_cast<std::size_t>(k)], i) ? 1.0
                                                                                         : 0.0;
      });
}

/// Columns D_j X v_k (n x m) for the rows v_k of `hidden`, without what the output bias fits.
///
/// \param active  active_samples of the gates of the neurons
template <class Real, class Hidden>
Matrix<Real> activations(const GroupLassoProblem<Real>& problem, const Matrix<Real>& active,
                         const Hidden& hidden) {
  Matrix<Real> result = active.cwiseProduct(problem.products().samples() * hidden.transpose());
  problem.project(result);
  return result;
}

/// The ReLU problem of several outputs with neurons that serve them all,
///
///     min  1/2 ||Y - sum_k D_j X v_k o_k||^2 + lambda sum_k ||v_k|| ||o_k||,   v_k in the cone
///     K_j,
///
/// by column generation. For fixed unit vectors v_k, the atoms, it is a group lasso over the rows
/// o_k, which RowLasso solves. With the residual R and C_j = X' D_j R, an atom u of gate j lowers
/// the objective if ||C_j'u|| > lambda; the largest violations are added until there is none. Atoms
/// of one gate that have come together are merged, and then all neurons descend together, each on
/// its face of the cone.
///
/// Over all networks the problem is convex, and only the search for an atom is not: ||C_j'u|| is
/// maximised over the unit vectors of the cone from several starts by
///
///     u <- Proj(C_j a) / ||Proj(C_j a)||,   a <- C_j'u / ||C_j'u||,
///
/// which never lowers it. So the result is as good as any network whose atoms this search would
/// have found; among them are those of the problems of single outputs, whose a are the axes. Its
/// lower bound has no cones: ||C_j||_2 in the place of the maximum.
///
/// Sources: Jaggi, "Revisiting Frank-Wolfe" (ICML 2013), for the fully corrective variant; Journee,
/// Nesterov, Richtarik & Sepulchre, "Generalized power method for sparse principal component
/// analysis" (JMLR 11, 2010), for the search; Sahiner, Ergen, Pauly & Pilanci, "Vector-output ReLU
/// neural network problems are copositive programs" (ICLR 2021), for the problem.
template <class Real>
class ColumnGeneration {
 public:
  ColumnGeneration(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                   const ConeProjector<Real>& projector)
      : m_pool(pool),
        m_problem(problem),
        m_projector(projector),
        m_network(projector.dimension(), problem.outputs()),
        m_best(static_cast<std::size_t>(problem.gates())) {}

  /// max_j ||X' D_j Y||_2: from here on the solution is zero. Because of the cones it may be zero
  /// for smaller penalties already.
  Real lambda_max() {
    m_residual = m_problem.targets();
    correlate();
    return m_spectral.maxCoeff();
  }

  /// Fills hidden, output (rows of length 1) and gates of `solution`.
  ///
  /// \returns NoProgress if no atom was found that lowers the objective and the relaxed bound does
  ///          not prove the tolerance
  Termination run(Real lambda, const SolveControl& control, ReluSolution& solution,
                  Index& iterations) {
    m_lambda = lambda;
    m_network = SharedNetwork<Real>(m_projector.dimension(), outputs());
    m_best.assign(m_best.size(), {});
    m_residual = m_problem.targets();
    m_value = 0.5 * m_residual.squaredNorm();
    Termination termination = Termination::NotRun;
    constexpr Index kPatience = 40;  // steps that together have to lower the objective
    Real before = std::numeric_limits<Real>::infinity();
    for (Index step = 0; termination == Termination::NotRun; ++step) {
      correlate();
      termination = control.check(++iterations, relaxed_gap());
      if (step % kPatience == 0 && termination == Termination::NotRun) {
        if (!(m_value < before * (1 - control.relative_tolerance()))) {
          termination = Termination::NoProgress;
          break;
        }
        before = m_value;
      }
      if (termination == Termination::NotRun && !improve(control.relative_tolerance())) {
        termination = Termination::NoProgress;
      }
    }
    store(solution);
    return termination;
  }

 private:
  /// A unit vector u of the cone of a gate, found from the face on which it lies.
  struct Atom {
    Real value = 0;  // ||C_j'u||
    Vector<Real> u;
    typename ConeProjector<Real>::Face face;
  };

  Index outputs() const noexcept { return m_problem.outputs(); }

  /// C_j, p x c.
  auto correlation(Index j) const {
    return Eigen::Map<const RowMatrix<Real>>(m_correlation.row(j).data(), m_projector.dimension(),
                                             outputs());
  }

  /// Right singular vectors and squared singular values of C, ascending.
  template <class Values>
  static SymmetricEigen<Real> right_vectors(const Values& C) {
    return symmetric_eigen<Real>((C.transpose() * C).eval());
  }

  void correlate() {
    m_problem.products().correlate(m_pool, m_problem.all_gates(), m_residual, m_correlation);
    m_spectral.resize(m_problem.gates());
    m_pool.parallel_for(m_problem.gates(), [&](Index j, int) {
      const Real square = right_vectors(correlation(j)).values[outputs() - 1];
      m_spectral[j] = std::sqrt(std::max(0.0, square));
    });
  }

  Real relaxed_gap() const {
    if (m_value == 0) return 0;
    const Real inner = (m_residual.array() * m_problem.targets().array()).sum();
    const Real largest = m_spectral.maxCoeff();
    const Real dual = scaled_dual<Real>(inner, m_residual.squaredNorm(), largest, m_lambda);
    return (m_value - dual) / m_value;
  }

  /// \returns whether the objective has fallen
  bool improve(Real tolerance) {
    const Real limit = m_lambda * (1 + std::clamp(0.1 * tolerance, 1e-10, 1e-7));
    // Near the end single atoms lower the objective by less and less, for very long.
    const Real least = std::max(1e-13, 1e-3 * tolerance);
    if (add_atoms(limit, least, false)) return true;
    constexpr int kThorough = 5;  // searches: each takes as long as all before it
    return m_thorough++ < kThorough && add_atoms(limit, least, true);
  }

  bool add_atoms(Real limit, Real least, bool thorough) {
    SharedNetwork<Real> network = m_network;
    const std::vector<Index> violated = violated_gates(limit, thorough);
    if (violated.empty() && network.size() == 0) return false;
    for (const Index j : violated) {
      const Vector<Real>& u = m_best[static_cast<std::size_t>(j)].u;
      if (!is_known(network, j, u)) network.add(j, u, RowVector<Real>::Zero(outputs()));
    }
    network = reweighted(refined(merged(reweighted(network))));
    const RowMatrix<Real> residual = m_problem.targets() - fit(network);
    const Real value = objective(residual, network.penalty());
    if (!(value < m_value * (1 - least))) return false;
    m_network = std::move(network);
    m_residual = residual;
    m_value = value;
    return true;
  }

  /// The network with unit vectors v_k and the best o_k for them.
  SharedNetwork<Real> reweighted(SharedNetwork<Real> network) const {
    const Vector<Real> norms = network.hidden.rowwise().norm();
    network.hidden = norms.cwiseInverse().asDiagonal() * network.hidden;
    network.output = norms.asDiagonal() * network.output;
    const RowLasso<Real> lasso(activations(network), m_problem.targets(), m_lambda);
    network.output = lasso.solve(network.output, 1e-12);
    return network.nonzero();
  }

  Matrix<Real> activations(const SharedNetwork<Real>& network) const {
    return detail::activations(m_problem, active_samples(m_problem, network.gates), network.hidden);
  }

  /// Whether the network has the unit vector u: on a common face the cones of two gates share it.
  bool is_known(const SharedNetwork<Real>& network, Index j, const Vector<Real>& u) const {
    constexpr Real kSame = 1e-7;
    for (Index k = 0; k < network.size(); ++k) {
      if ((network.hidden.row(k).transpose() - u).norm() > kSame) continue;
      const Matrix<Real> active = active_samples(m_problem, {j, network.gate(k)});
      const Vector<Real> values = m_problem.products().samples() * u;
      if ((active.col(0) - active.col(1)).cwiseProduct(values).norm() <= kSame * values.norm()) {
        return true;
      }
    }
    return false;
  }

  RowMatrix<Real> fit(const SharedNetwork<Real>& network) const {
    return activations(network) * network.output;
  }

  Real objective(const RowMatrix<Real>& residual, Real penalty) const {
    return 0.5 * residual.squaredNorm() + m_lambda * penalty;
  }

  /// Gates with an atom, then in m_best, of ||C_j'u|| > limit: those that violate it most.
  std::vector<Index> violated_gates(Real limit, bool thorough) {
    m_pool.parallel_for(m_problem.gates(), [&](Index j, int) {
      m_best[static_cast<std::size_t>(j)].value = 0;
      if (m_spectral[j] > limit) search(j, thorough);
    });
    const auto value = [&](Index j) { return m_best[static_cast<std::size_t>(j)].value; };
    std::vector<Index> gates;
    for (Index j = 0; j < m_problem.gates(); ++j) {
      if (value(j) > limit) gates.push_back(j);
    }
    std::stable_sort(gates.begin(), gates.end(),
                     [&](Index a, Index b) { return value(a) > value(b); });
    constexpr std::size_t kFirst = 20;
    gates.resize(std::min(gates.size(), std::max(kFirst, m_network.gates.size())));
    return gates;
  }

  /// Replaces m_best of gate j by the best atom found from: itself, the neurons of the gate, and
  /// singular vectors of C_j, a thorough search also from the axes and their diagonals.
  void search(Index j, bool thorough) {
    const Index c = outputs();
    const Matrix<Real> C = correlation(j);
    Atom& best = m_best[static_cast<std::size_t>(j)];
    const auto from = [&](const Vector<Real>& a, const typename ConeProjector<Real>::Face& face) {
      Atom atom = ascend(j, C, a, face, thorough ? 100 : 10);
      if (atom.value > best.value) best = std::move(atom);
    };
    const auto from_both = [&](const Vector<Real>& a) {
      from(a, {});
      from(-a, {});
    };
    if (best.u.size() > 0)
      from(C.transpose() * best.u, typename ConeProjector<Real>::Face(best.face));
    for (Index k = 0; k < m_network.size(); ++k) {
      if (m_network.gate(k) == j) from(m_network.output.row(k).transpose(), {});
    }
    const Matrix<Real> vectors = right_vectors(C).vectors;
    from_both(vectors.col(c - 1));
    if (!thorough) return;
    for (Index o = 0; o + 1 < c; ++o) from_both(vectors.col(o));
    for (Index o = 0; o < c; ++o) {
      const Vector<Real> axis = Vector<Real>::Unit(c, o);
      from_both(axis);
      for (Index q = 0; q < o; ++q) {
        from_both(axis + Vector<Real>::Unit(c, q));
        from_both(axis - Vector<Real>::Unit(c, q));
      }
    }
  }

  Atom ascend(Index j, const Matrix<Real>& C, Vector<Real> a,
              typename ConeProjector<Real>::Face face, int steps) const {
    Atom atom;
    atom.face = std::move(face);
    for (int step = 0; step < steps; ++step) {
      const Vector<Real> projection = m_projector.project(j, C * a, atom.face);
      const Real norm = projection.norm();
      if (norm == 0) break;
      const Vector<Real> u = projection / norm;
      a = C.transpose() * u;
      const Real value = a.norm();
      if (value <= atom.value * (1 + 1e-9)) break;
      atom.u = u;
      atom.value = value;
    }
    return atom;
  }

  /// The network with pairs of neurons of a gate replaced by one where that does not raise the
  /// objective.
  SharedNetwork<Real> merged(SharedNetwork<Real> network) const {
    RowMatrix<Real> residual = m_problem.targets() - fit(network);
    Real penalty = network.penalty();
    for (Index k = 1; k < network.size(); ++k) {
      for (Index l = 0; l < k; ++l) {
        if (network.gate(l) != network.gate(k)) continue;
        const SharedNetwork<Real> pair = network.part({k, l}).nonzero();
        if (pair.size() < 2) continue;
        const SharedNetwork<Real> one = combined(pair);
        const RowMatrix<Real> trial = residual + fit(pair) - fit(one);
        const Real trial_penalty = penalty - pair.penalty() + one.penalty();
        if (objective(trial, trial_penalty) > objective(residual, penalty)) continue;
        residual = trial;
        penalty = trial_penalty;
        network.hidden.row(k) = one.hidden;
        network.output.row(k) = one.output;
        network.output.row(l).setZero();
      }
    }
    return network.nonzero();
  }

  /// One neuron for two of a gate: the leading singular vectors of v_1 o_1 + v_2 o_2.
  SharedNetwork<Real> combined(const SharedNetwork<Real>& pair) const {
    const Matrix<Real> sum = pair.hidden.transpose() * pair.output;
    Vector<Real> a = right_vectors(sum).vectors.col(outputs() - 1);
    if ((pair.output * a).sum() < 0) a = -a;
    typename ConeProjector<Real>::Face face;
    SharedNetwork<Real> one(m_projector.dimension(), outputs());
    one.add(pair.gate(0), m_projector.project(pair.gate(0), sum * a, face), a.transpose());
    return one;
  }

  /// The network after a descent in all neurons at once, each on its face of the cone. With single
  /// atoms alone the objective falls by less and less near such a minimum, for very long.
  SharedNetwork<Real> refined(const SharedNetwork<Real>& network) const {
    const Index m = network.size();
    if (m == 0) return network;
    const Index p = m_projector.dimension();
    const Index c = outputs();
    const RowMatrix<Real>& samples = m_problem.products().samples();
    const Matrix<Real> active = active_samples(m_problem, network.gates);
    std::vector<OrthonormalBasis<Real>> faces;
    Vector<Real> x(m * (p + c));
    Eigen::Map<RowMatrix<Real>> hidden(x.data(), m, p);
    Eigen::Map<RowMatrix<Real>> output(x.data() + m * p, m, c);
    // In a unit that follows that of the targets: the length of a first step does not.
    const Real root = m_lambda > 0 ? std::exp2(std::round(std::log2(m_lambda) / 2)) : 1;
    const Real lambda = m_lambda / (root * root);
    const RowMatrix<Real> targets = m_problem.targets() / (root * root);
    for (Index k = 0; k < m; ++k) {
      const Real balance = std::sqrt(network.output.row(k).norm() / network.hidden.row(k).norm());
      hidden.row(k) = balance / root * network.hidden.row(k);
      output.row(k) = network.output.row(k) / (balance * root);
      faces.push_back(m_projector.normals_at(network.hidden.row(k).transpose()));
    }
    const Vector<Real> start = x;
    const Real value = objective(m_problem.targets() - fit(network), network.penalty());
    // 1/2 ||R||^2 + lambda / 2 sum_k (||v_k||^2 + ||o_k||^2), smooth, and least for equal norms.
    const auto evaluate = [&](const Vector<Real>& at, Vector<Real>& gradient) {
      const Eigen::Map<const RowMatrix<Real>> V(at.data(), m, p);
      const Eigen::Map<const RowMatrix<Real>> O(at.data() + m * p, m, c);
      const Matrix<Real> columns = detail::activations(m_problem, active, V);
      const RowMatrix<Real> R = targets - columns * O;
      Eigen::Map<RowMatrix<Real>> G(gradient.data(), m, p);
      G = lambda * V - active.cwiseProduct(R * O.transpose()).transpose() * samples;
      for (Index k = 0; k < m; ++k) {
        G.row(k) = faces[static_cast<std::size_t>(k)].reject(G.row(k).transpose()).transpose();
      }
      gradient.tail(m * c).template reshaped<Eigen::RowMajor>(m, c) =
          lambda * O - columns.transpose() * R;
      return 0.5 * R.squaredNorm() + 0.5 * lambda * at.squaredNorm();
    };
    Lbfgs<Real> lbfgs(x.size(), {.relative_tolerance = 1e-14});
    lbfgs.minimise(x, evaluate, 200, [](Real) { return true; });

    const Vector<Real> step = x - start;
    for (Real length = 1; length > 0.05; length /= 2) {
      x = start + length * step;
      SharedNetwork<Real> trial = network;
      for (Index k = 0; k < m; ++k) {
        // Twice: the first is exact relative to what it projects only.
        typename ConeProjector<Real>::Face first, second;
        const Vector<Real> v = root * hidden.row(k).transpose();
        const Vector<Real> near = m_projector.project(network.gate(k), v, first);
        trial.hidden.row(k) = m_projector.project(network.gate(k), near, second).transpose();
      }
      trial.output = root * output;
      if (objective(m_problem.targets() - fit(trial), trial.penalty()) < value) {
        return trial.nonzero();
      }
    }
    return network;
  }

  void store(ReluSolution& solution) const {
    const Vector<Real> norms = m_network.output.rowwise().norm();
    solution.hidden = norms.asDiagonal() * m_network.hidden;
    solution.output = norms.cwiseInverse().asDiagonal() * m_network.output;
    solution.gates = m_network.gates;
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  const ConeProjector<Real>& m_projector;
  Real m_lambda = 0;
  SharedNetwork<Real> m_network;
  std::vector<Atom> m_best;       // of every gate, from the last search
  RowMatrix<Real> m_residual;     // R, n x c
  RowMatrix<Real> m_correlation;  // row j: C_j
  Vector<Real> m_spectral;        // ||C_j||_2
  Real m_value = 0;               // the objective
  int m_thorough = 0;             // thorough searches so far
};

template <class Real>
Real shared_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                       const ConeProjector<Real>& projector) {
  return ColumnGeneration<Real>(pool, problem, projector).lambda_max();
}

template <class Real>
Termination solve_shared_problem(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                                 const ConeProjector<Real>& projector, Real lambda,
                                 const SolveControl& control, ReluSolution& solution,
                                 Index& iterations) {
  return ColumnGeneration<Real>(pool, problem, projector)
      .run(lambda, control, solution, iterations);
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class RowLasso<double>;
extern template double shared_lambda_max(ThreadPool&, const GroupLassoProblem<double>&,
                                         const ConeProjector<double>&);
extern template Termination solve_shared_problem(ThreadPool&, const GroupLassoProblem<double>&,
                                                 const ConeProjector<double>&, double,
                                                 const SolveControl&, ReluSolution&, Index&);
}  // namespace mgdl::detail
#endif
