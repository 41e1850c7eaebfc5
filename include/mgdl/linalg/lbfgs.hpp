#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

struct LbfgsOptions {
  Index history = 20;
  double relative_tolerance = 1e-9;  // of the objective's decrease, over `history` iterations
  double armijo = 1e-4;
  double curvature = 0.9;
  Index max_evaluations_per_search = 25;
};

enum class LbfgsOutcome { Converged, MaxIterations, SearchFailed, Stopped };

/// Minimises f by limited-memory BFGS with a line search for the strong Wolfe conditions.
///
/// Every vector is allocated by the constructor. Source: Nocedal & Wright, "Numerical
/// Optimization", 2nd ed., algorithms 7.4, 7.5 (two-loop recursion), 3.5 and 3.6 (line search).
template <class Scalar>
class Lbfgs {
 public:
  using Evaluate = FunctionRef<double(const Vector<Scalar>& x, Vector<Scalar>& gradient)>;

  Lbfgs(Index size, const LbfgsOptions& options) : m_options(options) {
    for (auto* v : {&m_gradient, &m_next_gradient, &m_direction, &m_start}) v->setZero(size);
    const auto history = static_cast<std::size_t>(options.history);
    m_steps.assign(history, Vector<Scalar>::Zero(size));
    m_changes.assign(history, Vector<Scalar>::Zero(size));
    m_curvatures.assign(history, 0.0);
    m_alphas.assign(history, 0.0);
    m_values.assign(history, std::numeric_limits<double>::infinity());
  }

  /// Starts at x, or goes on where the last call ended if x and f are what they were then.
  ///
  /// \param x           start, and on return the best point (the last accepted one)
  /// \param evaluate    double evaluate(x, gradient): value and gradient; may be non-finite
  /// \param iterations  steps at most
  /// \param iteration   bool iteration(value), called after each step; false stops
  LbfgsOutcome minimise(Vector<Scalar>& x, Evaluate evaluate, Index iterations,
                        FunctionRef<bool(double)> iteration) {
    double value = evaluate(x, m_gradient);
    for (Index done = 0; done < iterations; ++done) {
      set_direction();
      double slope = dot(m_direction, m_gradient);
      if (!(slope < 0)) {
        if (m_stored == 0) return LbfgsOutcome::Converged;  // the gradient is zero
        m_stored = 0;
        m_direction = -m_gradient;
        slope = -dot(m_gradient, m_gradient);
        if (!(slope < 0)) return LbfgsOutcome::Converged;
      }
      m_start = x;
      const double first = m_stored > 0 ? 1.0 : std::min(1.0, 1.0 / std::sqrt(-slope));
      const double before = value;
      if (!search(x, value, slope, first, evaluate)) {
        x = m_start;
        value = before;
        if (m_stored == 0) return LbfgsOutcome::SearchFailed;
        m_stored = 0;  // once more along the steepest descent
        evaluate(x, m_gradient);
        continue;
      }
      remember(x);
      m_gradient.swap(m_next_gradient);
      if (!iteration(value)) return LbfgsOutcome::Stopped;
      // The decrease of single steps is erratic; that over a whole history is not.
      auto& oldest = m_values[static_cast<std::size_t>(++m_iteration % m_options.history)];
      if (oldest - value <= m_options.relative_tolerance * std::abs(value)) {
        return LbfgsOutcome::Converged;
      }
      oldest = value;
    }
    return LbfgsOutcome::MaxIterations;
  }

 private:
  static double dot(const Vector<Scalar>& a, const Vector<Scalar>& b) {
    return static_cast<double>(a.dot(b));
  }

  std::size_t slot(Index age) const {  // age 1 is the newest pair
    const Index history = m_options.history;
    return static_cast<std::size_t>(((m_newest - age + 1) % history + history) % history);
  }

  /// direction = -H gradient.
  void set_direction() {
    m_direction = -m_gradient;
    if (m_stored == 0) return;
    for (Index age = 1; age <= m_stored; ++age) {
      const std::size_t s = slot(age);
      m_alphas[s] = dot(m_steps[s], m_direction) / m_curvatures[s];
      m_direction.noalias() -= static_cast<Scalar>(m_alphas[s]) * m_changes[s];
    }
    const std::size_t newest = slot(1);
    m_direction *=
        static_cast<Scalar>(m_curvatures[newest] / dot(m_changes[newest], m_changes[newest]));
    for (Index age = m_stored; age >= 1; --age) {
      const std::size_t s = slot(age);
      const double beta = dot(m_changes[s], m_direction) / m_curvatures[s];
      m_direction.noalias() += static_cast<Scalar>(m_alphas[s] - beta) * m_steps[s];
    }
  }

  void remember(const Vector<Scalar>& x) {
    const Index history = m_options.history;
    const auto next = static_cast<std::size_t>((m_newest + 1) % history);
    m_steps[next].noalias() = x - m_start;
    m_changes[next].noalias() = m_next_gradient - m_gradient;
    const double curvature = dot(m_steps[next], m_changes[next]);
    const double scale = dot(m_changes[next], m_changes[next]);
    // A pair without positive curvature (rounding, or a kink was crossed) would spoil H.
    if (!(curvature > std::numeric_limits<Scalar>::epsilon() * scale)) return;
    m_curvatures[next] = curvature;
    m_newest = (m_newest + 1) % history;
    m_stored = std::min(m_stored + 1, history);
  }

  struct Point {
    double step = 0;
    double value = 0;
    double slope = 0;
  };

  Point at(Vector<Scalar>& x, double step, Evaluate evaluate) {
    x.noalias() = m_start + static_cast<Scalar>(step) * m_direction;
    const double value = evaluate(x, m_next_gradient);
    return {step, value, dot(m_direction, m_next_gradient)};
  }

  /// Minimiser of the cubic through two points with slopes, kept away from the interval's ends.
  static double interpolate(const Point& a, const Point& b) {
    const double width = b.step - a.step;
    const double d1 = a.slope + b.slope - 3 * (b.value - a.value) / width;
    const double square = d1 * d1 - a.slope * b.slope;
    double step = a.step + width / 2;
    if (square >= 0) {
      const double d2 = std::copysign(std::sqrt(square), width);
      const double cubic = b.step - width * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
      if (std::isfinite(cubic)) step = cubic;
    }
    const double margin = 0.1 * std::abs(width);
    return std::clamp(step, std::min(a.step, b.step) + margin, std::max(a.step, b.step) - margin);
  }

  /// On success x, value and m_next_gradient belong to an accepted step.
  bool search(Vector<Scalar>& x, double& value, double slope, double first, Evaluate evaluate) {
    const Point start{0, value, slope};
    Point previous = start;
    Point low;
    Point high;
    double step = first;
    Index evaluations = 0;
    const auto sufficient = [&](const Point& p) {
      return p.value <= start.value + m_options.armijo * p.step * start.slope;
    };
    const auto flat = [&](const Point& p) {
      return std::abs(p.slope) <= -m_options.curvature * start.slope;
    };
    while (true) {
      if (++evaluations > m_options.max_evaluations_per_search) return false;
      const Point p = at(x, step, evaluate);
      if (!std::isfinite(p.value) || !std::isfinite(p.slope)) {
        step = (previous.step + step) / 2;
        continue;
      }
      if (!sufficient(p) || (evaluations > 1 && p.value >= previous.value)) {
        low = previous;
        high = p;
        break;
      }
      if (flat(p)) {
        value = p.value;
        return true;
      }
      if (p.slope >= 0) {
        low = p;
        high = previous;
        break;
      }
      previous = p;
      step *= 2;
    }
    while (++evaluations <= m_options.max_evaluations_per_search) {
      const Point p = at(x, interpolate(low, high), evaluate);
      if (!sufficient(p) || p.value >= low.value) {
        high = p;
      } else {
        if (flat(p)) {
          value = p.value;
          return true;
        }
        if (p.slope * (high.step - low.step) >= 0) high = low;
        low = p;
      }
      if (std::abs(high.step - low.step) <= 1e-12 * std::max(low.step, high.step)) break;
    }
    // At a kink no step may satisfy the curvature condition; a decrease is still progress.
    if (low.step <= 0) return false;
    value = at(x, low.step, evaluate).value;
    return value < start.value;
  }

  LbfgsOptions m_options;
  Vector<Scalar> m_gradient;
  Vector<Scalar> m_next_gradient;
  Vector<Scalar> m_direction;
  Vector<Scalar> m_start;
  std::vector<Vector<Scalar>> m_steps;
  std::vector<Vector<Scalar>> m_changes;
  std::vector<double> m_curvatures;
  std::vector<double> m_alphas;
  std::vector<double> m_values;
  Index m_iteration = 0;
  Index m_newest = 0;
  Index m_stored = 0;
};

}  // namespace mgdl::detail
