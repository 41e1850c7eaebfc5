#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// What residuals r = y - f(x) cost in a convex problem.
enum class LossKind {
  Squared,  ///< r^2 / 2
  Huber,    ///< r^2 / 2 for |r| <= delta, beyond that delta (|r| - delta / 2): outliers pull less
  Quantile  ///< max(t r, (t - 1) r), t the level: f is the quantile of that level
};

/// The enumerator's name.
constexpr const char* to_string(LossKind kind) noexcept {
  switch (kind) {
    case LossKind::Squared: return "Squared";
    case LossKind::Huber: return "Huber";
    case LossKind::Quantile: return "Quantile";
  }
  return "unknown";
}

/// A loss, with its number. Several outputs: the sum of theirs.
///
/// Sources: Huber, "Robust estimation of a location parameter" (Annals of Mathematical Statistics
/// 35, 1964); Koenker & Bassett, "Regression quantiles" (Econometrica 46, 1978).
struct Loss {
  LossKind kind = LossKind::Squared;  ///< which one
  /// Huber: delta > 0, in the unit of the targets. Quantile: the level, in (0, 1). Squared: 0.
  double parameter = 0;

  /// \{
  static constexpr Loss huber(double delta) noexcept { return {LossKind::Huber, delta}; }
  /// The loss of the quantile of this level, in (0, 1).
  static constexpr Loss quantile(double level) noexcept { return {LossKind::Quantile, level}; }

  /// Whether it is the squared loss.
  bool is_squared() const noexcept { return kind == LossKind::Squared; }

  /// The cost of a residual.
  double operator()(double residual) const noexcept {
    const double size = std::abs(residual);
    switch (kind) {
      case LossKind::Huber:
        return size <= parameter ? residual * residual / 2 : parameter * (size - parameter / 2);
      case LossKind::Quantile: return std::max(parameter * residual, (parameter - 1) * residual);
      case LossKind::Squared: break;
    }
    return residual * residual / 2;
  }

  /// The same loss where residuals are divided by `unit`, up to the unit of its values.
  Loss in_unit(double unit) const noexcept {
    return {kind, kind == LossKind::Huber ? parameter / unit : parameter};
  }

  /// \param name  of what it is a field of
  /// \throws InvalidArgument naming the field that breaks its rule
  void validate(const std::string& name) const {
    const auto require = [&](bool holds, const char* rule) {
      detail::require_option(holds, (name + ".parameter").c_str(), rule, parameter);
    };
    switch (kind) {
      case LossKind::Squared: return require(parameter == 0, "0 for the squared loss");
      case LossKind::Huber:
        return require(parameter > 0 && parameter < std::numeric_limits<double>::infinity(),
                       "a finite value > 0 for Huber's loss");
      case LossKind::Quantile:
        return require(parameter > 0 && parameter < 1, "a value in (0, 1) for a quantile");
    }
    throw InvalidArgument(name + ".kind", "Squared, Huber or Quantile",
                          std::to_string(static_cast<int>(kind)));
  }

  /// Whether both cost the same.
  friend bool operator==(const Loss& a, const Loss& b) noexcept {
    return a.kind == b.kind && a.parameter == b.parameter;
  }
};

/// "Squared", "Huber (delta 0.5)", "Quantile (level 0.9)".
inline std::ostream& operator<<(std::ostream& out, const Loss& loss) {
  out << to_string(loss.kind);
  if (loss.is_squared()) return out;
  return out << (loss.kind == LossKind::Huber ? " (delta " : " (level ") << loss.parameter << ")";
}

}  // namespace mgdl

namespace mgdl::detail {

/// The constant b of least sum_i w_i L(y_i - b): the weighted mean, Huber's location, or the
/// smallest of the quantiles.
///
/// \param values   y, n >= 1
/// \param weights  w >= 0, not all zero
inline double best_constant(const Loss& loss, const Vector<double>& values,
                            const Vector<double>& weights) {
  if (loss.is_squared()) return weights.dot(values) / weights.sum();
  std::vector<std::pair<double, double>> sorted;
  for (Index i = 0; i < values.size(); ++i) {
    if (weights[i] > 0) sorted.emplace_back(values[i], weights[i]);
  }
  std::sort(sorted.begin(), sorted.end());
  const double total = weights.sum();
  if (loss.kind == LossKind::Quantile) {
    double below = 0;
    for (const auto& [value, weight] : sorted) {
      below += weight;
      if (below >= loss.parameter * total * (1 - 1e-14)) return value;
    }
    return sorted.back().first;
  }
  // The slope falls from sum_i w_i delta to its negative and is zero between the extremes.
  const auto slope = [&](double b) {
    double sum = 0;
    for (const auto& [value, weight] : sorted) {
      sum += weight * std::clamp(value - b, -loss.parameter, loss.parameter);
    }
    return sum;
  };
  double low = sorted.front().first;
  double high = sorted.back().first;
  while (true) {
    const double middle = low + (high - low) / 2;
    if (!(middle > low && middle < high)) return middle;
    (slope(middle) > 0 ? low : high) = middle;
  }
}

}  // namespace mgdl::detail
