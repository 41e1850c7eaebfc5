#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/constructive/hat_network.hpp"
#include "mgdl/training/constructive/kuhn_triangulation.hpp"

namespace mgdl {

/// Options of approximate_lipschitz.
struct ApproximationOptions {
  /// Hat functions in each grade, >= 1.
  Index hats = 32;
  /// Passes at most, >= 1; each at least halves the proven bound.
  Index max_passes = 20;
  /// Stop once the proven bound of the error is at most this, in the unit of the function, >= 0.
  double tolerance = 0;
  /// Values of the function that may be asked for, >= 1. A bound b takes about (c L / b)^d of them.
  Index max_evaluations = 1000000;
  /// Called after every pass, with the bound relative to the first as objective; may stop.
  Observer observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    require(hats >= 1, "ApproximationOptions.hats", "a value >= 1", hats);
    require(max_passes >= 1, "ApproximationOptions.max_passes", "a value >= 1", max_passes);
    require(tolerance >= 0, "ApproximationOptions.tolerance", "a value >= 0", tolerance);
    require(max_evaluations >= 1, "ApproximationOptions.max_evaluations", "a value >= 1",
            max_evaluations);
  }
};

/// One pass of approximate_lipschitz.
struct ApproximationPass {
  double spacing = 1;             ///< of the lattice's nodes
  Index grades = 0;               ///< that it added
  Index hats = 0;                 ///< that it added
  double residual_lipschitz = 0;  ///< Lipschitz constant of the residual after the pass
  double bound = 0;               ///< proven: |f(x) - model(x)| <= bound for every x in [0, 1]^d
  double largest_residual = 0;    ///< largest |f(x) - model(x)| at an x that was tried
};

/// What approximate_lipschitz did.
struct ApproximationReport {
  /// In order; the last one is that of the model.
  std::vector<ApproximationPass> passes;
  /// Proven bound of |f|, before the first pass.
  double initial_bound = 0;
  /// Why it stopped.
  Termination termination = Termination::NotRun;
  /// One sentence on the outcome; after NoProgress, what another try would cost.
  std::string message;
  /// Values of f that were asked for.
  Index evaluations = 0;
  /// Wall time.
  double elapsed_seconds = 0;
};

/// A model with a proven bound of its error.
struct ConstructiveApproximation {
  /// On [0, 1]^d; nothing is standardised.
  MultigradeModel<double> model;
  /// How it came about, and the bound.
  ApproximationReport report;
};

namespace detail {

template <class Real>
ConstructiveApproximation approximate(FunctionRef<Real(const Vector<Real>&)> f, Index inputs,
                                      double lipschitz, const ApproximationOptions& options);

}  // namespace detail

/// Approximates a function on [0, 1]^d, d = 1, 2 or 3, of which a Lipschitz constant is known, by
/// grades of equal widths, with a proof for all of [0, 1]^d and not only for the points it tried:
/// - |f(x) - model(x)| <= bound of the last pass, for every x;
/// - |f(x) - first k grades(x)| never grows with k, at any x;
/// - the bound at least halves with every pass.
///
/// All three hold up to the rounding of f itself; that of the network is part of the bound. A pass
/// has hats on the coarsest lattice with a power of two as spacing that halves the bound; their
/// heights are lower bounds of |r|, the residual, by its values at the centres of cells and its
/// Lipschitz constant, which is L plus the slope of the sum of all hats so far.
///
/// The cost of a pass, values of f and hats, grows like (L / bound)^d.
///
/// \param f          double f(const Vector<double>& x) for x with d values in [0, 1]
/// \param inputs     d
/// \param lipschitz  L with |f(x) - f(y)| <= L |x - y|, Euclidean norm, in unit of f; >= 0
/// \throws InvalidArgument for another d or L, options that break their rule, values of f that are
/// not finite, or that differ by more than L allows
///
/// Source: docs/theorem.md, after Zhang, Shen & Xu (arXiv 2601.16884).
template <class Function>
ConstructiveApproximation approximate_lipschitz(const Function& f, Index inputs, double lipschitz,
                                                const ApproximationOptions& options = {}) {
  const auto value = [&f](const Vector<double>& x) -> double { return f(x); };
  return detail::approximate<double>(value, inputs, lipschitz, options);
}

}  // namespace mgdl

namespace mgdl::detail {

/// Adds the hats to the model, `hats` a grade, highest first and dealt in turn.
template <class Real = double>
void add_hats(MultigradeModel<double>& model, const KuhnInterpolant& heights, Index hats,
              ApproximationPass& pass) {
  const Vector<double>& s = heights.values();
  std::vector<Index> order;
  for (Index j = 0; j < s.size(); ++j) {
    if (s[j] != 0) order.push_back(j);
  }
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    return std::abs(s[a]) > std::abs(s[b]) || (std::abs(s[a]) == std::abs(s[b]) && a < b);
  });
  pass.hats = static_cast<Index>(order.size());
  pass.grades = (pass.hats + hats - 1) / hats;
  pass.spacing = 1 / static_cast<double>(heights.steps());
  for (Index k = 0; k < pass.grades; ++k) {
    HatGrade<double> grade{pass.spacing, {}, RowMatrix<double>(hats, 1), hats, k};
    for (Index j = k; j < pass.hats; j += pass.grades) {
      const Index node = order[static_cast<std::size_t>(j)];
      grade.values(static_cast<Index>(grade.nodes.size()), 0) = s[node];
      grade.nodes.push_back(heights.nodes().point(node));
    }
    model.add_grade({hat_network(carried_coordinates(model, model.grades()), grade)});
  }
}

template <class Real>
ConstructiveApproximation approximate(FunctionRef<Real(const Vector<Real>&)> f, Index inputs,
                                      double lipschitz, const ApproximationOptions& options) {
  options.validate();
  require_option(inputs >= 1 && inputs <= kMaxKuhnInputs, "inputs", "a value from 1 to 3", inputs);
  require_option(lipschitz >= 0 && lipschitz < std::numeric_limits<double>::infinity(), "lipschitz",
                 "a finite value >= 0", lipschitz);
  const RunControl control(options.observer, std::numeric_limits<double>::infinity(),
                           options.max_passes);
  ConstructiveApproximation result{MultigradeModel<double>(Standardizer<double>::identity(inputs),
                                                           Standardizer<double>::identity(1)),
                                   {}};
  ApproximationReport& report = result.report;
  const auto stop = [&](Termination termination, std::string message) {
    report.termination = termination;
    report.message = std::move(message);
    report.elapsed_seconds = control.seconds();
    return result;
  };
  CellValues values;
  // False, and nothing changed, if it would take more values than allowed.
  const auto refine = [&](Index size) {
    const Box cells{inputs, size};
    if (cells.count() > options.max_evaluations - report.evaluations) return false;
    values = cell_values(f, cells, lipschitz);
    report.evaluations += cells.count();
    return true;
  };
  const auto out_of_values = [&](Index size) {
    return stop(Termination::NoProgress,
                "The next pass needs " + std::to_string(Box{inputs, size}.count()) +
                    " more values of the function, and max_evaluations allows " +
                    std::to_string(options.max_evaluations - report.evaluations) + ".");
  };

  KuhnInterpolant sum(inputs, 1);
  refine(1);
  constexpr Index kCoarse = 16;  // f = 0 would ask for ever finer cells
  std::optional<LipschitzResidual> residual;
  while (true) {
    residual.emplace(values, lipschitz, sum, 0.0);
    if (lipschitz * values.radius() <= residual->bound / 8 || values.cells.size >= kCoarse) break;
    if (!refine(2 * values.cells.size)) break;
  }
  // A hat is off by a few roundings of its own height, heights fall like the bounds, and at most
  // d + 1 hats of a pass are positive at one point. The first bound is rounded, too.
  const double slack = 256 * std::numeric_limits<double>::epsilon() * residual->bound;
  double bound = residual->bound + slack;
  report.initial_bound = bound;
  while (true) {
    if (bound <= options.tolerance || bound <= 8 * slack) {
      return stop(Termination::ToleranceReached, bound <= options.tolerance
                                                     ? "The bound is within the tolerance."
                                                     : "The bound is down to rounding.");
    }
    if (static_cast<Index>(report.passes.size()) >= options.max_passes) {
      return stop(Termination::MaxIterations, "All passes were done.");
    }
    Index size = values.cells.size;
    const double slope = residual->constant * values.radius() * static_cast<double>(size);
    while (slope / static_cast<double>(size) > bound / 8 && size < Index{1} << 20) size *= 2;
    bool halved = false;
    while (!halved) {
      if (size != values.cells.size && !refine(size)) return out_of_values(size);
      residual.emplace(values, lipschitz, sum, slack);
      for (Index steps = 1; steps <= size && !halved; steps *= 2) {
        const KuhnInterpolant hats = proven_hats(*residual, steps);
        if (hats.values().isZero(0)) continue;
        KuhnInterpolant next = sum.plus(hats);
        LipschitzResidual after(values, lipschitz, next, slack);
        if (!(after.bound <= bound / 2)) continue;
        halved = true;
        ApproximationPass pass;
        add_hats(result.model, hats, options.hats, pass);
        pass.residual_lipschitz = after.constant;
        pass.bound = bound = after.bound;
        pass.largest_residual = after.largest;
        report.passes.push_back(pass);
        sum = std::move(next);
        residual.emplace(std::move(after));
      }
      size *= 2;
    }
    const Termination reason = control.observe({.grade = result.model.grades(),
                                                .iteration = std::ssize(report.passes),
                                                .objective = bound / report.initial_bound});
    if (reason != Termination::NotRun) return stop(reason, RunControl::explain(reason));
  }
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl {
extern template ConstructiveApproximation detail::approximate(
    FunctionRef<double(const Vector<double>&)>, Index, double, const ApproximationOptions&);
}  // namespace mgdl
#endif
