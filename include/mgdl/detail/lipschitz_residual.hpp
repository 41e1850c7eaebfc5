#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/kuhn_interpolant.hpp"

namespace mgdl::detail {

/// Values of a function at the centres of the size^d cells of [0, 1]^d.
struct CellValues {
  Box cells;
  Vector<double> values;

  double width() const noexcept { return 1 / static_cast<double>(cells.size); }
  /// No point of a cell is farther from its centre.
  double radius() const noexcept { return width() * std::sqrt(static_cast<double>(cells.d)) / 2; }
  Vector<double> centre(Index cell) const {
    const KuhnNode at = cells.point(cell);
    Vector<double> x(cells.d);
    for (Index i = 0; i < cells.d; ++i) {
      x[i] = (static_cast<double>(at[static_cast<std::size_t>(i)]) + 0.5) * width();
    }
    return x;
  }
};

/// Asks for all values. Two neighbours that differ by more than the Lipschitz constant allows prove
/// that it is wrong.
template <class Function>
CellValues cell_values(const Function& f, Box cells, double lipschitz) {
  CellValues result{cells, Vector<double>(cells.count())};
  for (Index cell = 0; cell < result.values.size(); ++cell) {
    const Vector<double> x = result.centre(cell);
    const double value = f(x);
    if (!std::isfinite(value)) {
      throw InvalidArgument("f", "finite values", to_text(value), "x = " + to_text(x.transpose()));
    }
    result.values[cell] = value;
    KuhnNode at = cells.point(cell);
    for (std::size_t i = 0; i < static_cast<std::size_t>(cells.d); ++i) {
      if (at[i] == 0) continue;
      --at[i];
      const double other = result.values[cells.number(at)];
      ++at[i];
      const double slope = std::abs(value - other) / result.width();
      const double rounding = 1e-12 * (std::abs(value) + std::abs(other)) / result.width();
      if (slope <= lipschitz + rounding) continue;
      throw InvalidArgument("lipschitz", "a bound of all slopes of f",
                            to_text(lipschitz) + " where f has the slope " + to_text(slope),
                            "x = " + to_text(x.transpose()));
    }
  }
  return result;
}

/// f minus a piecewise linear function, with what is known of it between the centres: in each cell
/// it differs from its value at the centre by at most (L_f + slope of the cube around) * radius.
struct LipschitzResidual {
  /// \param slack  bound of rounding errors
  LipschitzResidual(const CellValues& f, double lipschitz, const KuhnInterpolant& sum, double slack)
      : cells(f.cells), values(f.values), margins(f.values.size()) {
    const Vector<double> slopes = sum.slopes();
    const Box cubes{cells.d, sum.steps()};
    const Index ratio = cells.size / sum.steps();
    for (Index cell = 0; cell < values.size(); ++cell) {
      values[cell] -= sum.at(f.centre(cell).data());
      KuhnNode cube = cells.point(cell);
      for (auto& at : cube) at /= ratio;
      margins[cell] = (lipschitz + slopes[cubes.number(cube)]) * f.radius() + slack;
    }
    constant = lipschitz + slopes.maxCoeff();
    largest = values.cwiseAbs().maxCoeff();
    bound = (values.cwiseAbs() + margins).maxCoeff();
  }

  Box cells;
  Vector<double> values;   ///< at the centres
  Vector<double> margins;  ///< how far off it may be in the cell
  double constant = 0;     ///< Lipschitz constant
  double largest = 0;      ///< largest absolute value at a centre
  double bound = 0;        ///< of the absolute value anywhere
};

/// The hats of a pass: for every node of the lattice with spacing 1 / steps the largest height that
/// is proven to be at most |r|, with its sign, all over the hat's support; 0 if the sign is not.
inline KuhnInterpolant proven_hats(const LipschitzResidual& residual, Index steps) {
  const Box& cells = residual.cells;
  const auto d = static_cast<std::size_t>(cells.d);
  const Index ratio = cells.size / steps;
  KuhnInterpolant hats(cells.d, steps);
  const double infinity = std::numeric_limits<double>::infinity();
  Vector<double> least = Vector<double>::Constant(hats.values().size(), infinity);
  Vector<double> most = -least;
  for (Index cell = 0; cell < residual.values.size(); ++cell) {
    const KuhnNode at = cells.point(cell);
    for (int corner = 0; corner < 1 << cells.d; ++corner) {
      KuhnNode node{};
      // The support is {max(0, t) + max(0, -t) < 1}, t = x / spacing - node; both are smallest at
      // the point of the cell that is nearest to the node. In units of cells:
      Index above = 0;
      Index below = 0;
      for (std::size_t i = 0; i < d; ++i) {
        node[i] = at[i] / ratio + (corner >> i & 1);
        above = std::max<Index>(above, at[i] - node[i] * ratio);
        below = std::max<Index>(below, node[i] * ratio - at[i] - 1);
      }
      if (above + below >= ratio) continue;
      const Index j = hats.nodes().number(node);
      least[j] = std::min(least[j], residual.values[cell] - residual.margins[cell]);
      most[j] = std::max(most[j], residual.values[cell] + residual.margins[cell]);
    }
  }
  for (Index j = 0; j < least.size(); ++j) {
    hats.values()[j] = least[j] > 0 ? least[j] : most[j] < 0 ? most[j] : 0;
  }
  return hats;
}

}  // namespace mgdl::detail
