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
#include "mgdl/core/run_control.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/approximate_lipschitz.hpp"
#include "mgdl/training/constructive/hat_network.hpp"
#include "mgdl/training/constructive/kuhn_triangulation.hpp"

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

#ifdef MGDL_COMPILED
template ConstructiveApproximation approximate(FunctionRef<double(const Vector<double>&)>, Index,
                                               double, const ApproximationOptions&);
#endif

}  // namespace mgdl::detail
