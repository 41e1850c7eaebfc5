#pragma once

#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

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

#ifdef MGDL_COMPILED
extern template ConstructiveApproximation detail::approximate(
    FunctionRef<double(const Vector<double>&)>, Index, double, const ApproximationOptions&);
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/training/approximate_lipschitz_impl.hpp"  // IWYU pragma: export
#endif
