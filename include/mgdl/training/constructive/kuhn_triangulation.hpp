#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Coordinates that the constructive scheme can have at most.
inline constexpr Index kMaxKuhnInputs = 3;

/// A node of a lattice: integer multiples of the spacing, 0 beyond the last coordinate.
using KuhnNode = std::array<std::int64_t, kMaxKuhnInputs>;

/// Where a point lies in the Kuhn (Freudenthal) triangulation: the corners of its simplex and its
/// barycentric weights, which are the values of the corners' hat functions. They are >= 0 and add
/// up to 1; a corner of weight 0 does not count.
struct KuhnSimplex {
  std::array<KuhnNode, kMaxKuhnInputs + 1> corners{};
  std::array<double, kMaxKuhnInputs + 1> weights{};
};

/// \param x        d coordinates, |x| / spacing below 2^53
/// \param spacing  a power of two, so that the division is exact
template <class Real = double>
KuhnSimplex kuhn_simplex(const double* x, Index d, double spacing) {
  KuhnSimplex simplex;
  std::array<double, kMaxKuhnInputs> part{};
  std::array<std::size_t, kMaxKuhnInputs> order{0, 1, 2};
  const auto count = static_cast<std::size_t>(d);
  for (std::size_t i = 0; i < count; ++i) {
    const double scaled = x[i] / spacing;
    const double below = std::floor(scaled);
    part[i] = scaled - below;
    simplex.corners[0][i] = static_cast<std::int64_t>(below);
  }
  // The corners are met by going along one axis after another, largest fraction first.
  for (std::size_t k = 1; k < count; ++k) {  // at most three: no need for std::sort
    for (std::size_t j = k; j > 0 && part[order[j]] > part[order[j - 1]]; --j) {
      std::swap(order[j], order[j - 1]);
    }
  }
  double before = 1;
  for (std::size_t k = 0; k < count; ++k) {
    simplex.weights[k] = before - part[order[k]];
    before = part[order[k]];
    simplex.corners[k + 1] = simplex.corners[k];
    ++simplex.corners[k + 1][order[k]];
  }
  simplex.weights[count] = before;
  return simplex;
}

/// size^d integer points, numbered with the last coordinate fastest.
struct Box {
  Index d = 1;
  Index size = 1;

  Index count() const noexcept {
    Index product = 1;
    for (Index i = 0; i < d; ++i) product *= size;
    return product;
  }
  KuhnNode point(Index number) const noexcept {
    KuhnNode at{};
    for (auto i = static_cast<std::size_t>(d); i-- > 0; number /= size) at[i] = number % size;
    return at;
  }
  Index number(const KuhnNode& at) const noexcept {
    Index sum = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(d); ++i) sum = sum * size + at[i];
    return sum;
  }
};

/// Continuous function on [0, 1]^d that is linear on every simplex of the Kuhn triangulation with
/// spacing 1 / steps, steps a power of two. The triangulations are nested.
class KuhnInterpolant {
 public:
  KuhnInterpolant(Index d, Index steps)
      : m_steps(steps), m_nodes{d, steps + 1}, m_values(Vector<double>::Zero(m_nodes.count())) {}

  Index steps() const noexcept { return m_steps; }
  const Box& nodes() const noexcept { return m_nodes; }
  Vector<double>& values() noexcept { return m_values; }
  const Vector<double>& values() const noexcept { return m_values; }

  template <class Real = double>
  Real at(const double* x) const {
    const KuhnSimplex simplex = kuhn_simplex(x, m_nodes.d, 1 / static_cast<double>(m_steps));
    double sum = 0;
    for (std::size_t k = 0; k <= static_cast<std::size_t>(m_nodes.d); ++k) {
      if (simplex.weights[k] == 0) continue;  // may be outside
      sum += simplex.weights[k] * m_values[m_nodes.number(simplex.corners[k])];
    }
    return sum;
  }

  /// The sum with another one, on the finer of the two lattices.
  template <class Real = double>
  KuhnInterpolant plus(const KuhnInterpolant& other) const {
    KuhnInterpolant sum(m_nodes.d, std::max(m_steps, other.m_steps));
    for (Index j = 0; j < sum.m_values.size(); ++j) {
      const KuhnNode node = sum.m_nodes.point(j);
      std::array<double, kMaxKuhnInputs> x{};
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<double>(node[i]) / static_cast<double>(sum.m_steps);
      }
      sum.m_values[j] = at(x.data()) + other.at(x.data());
    }
    return sum;
  }

  /// For each of the steps^d cubes, the largest length of a gradient in its d! simplices.
  template <class Real = double>
  Vector<Real> slopes() const {
    const Index d = m_nodes.d;
    const Box cubes{d, m_steps};
    Vector<double> slope = Vector<double>::Zero(cubes.count());
    for (Index cube = 0; cube < slope.size(); ++cube) {
      std::array<std::size_t, kMaxKuhnInputs> axes{0, 1, 2};
      do {
        KuhnNode corner = cubes.point(cube);
        double before = m_values[m_nodes.number(corner)];
        double square = 0;
        for (std::size_t k = 0; k < static_cast<std::size_t>(d); ++k) {
          ++corner[axes[k]];
          const double value = m_values[m_nodes.number(corner)];
          square += (value - before) * (value - before);
          before = value;
        }
        slope[cube] = std::max(slope[cube], std::sqrt(square) * static_cast<double>(m_steps));
      } while (std::next_permutation(axes.begin(), axes.begin() + d));
    }
    return slope;
  }

 private:
  Index m_steps;
  Box m_nodes;
  Vector<double> m_values;
};

/// Values of a function at the centres of the size^d cells of [0, 1]^d.
struct CellValues {
  Box cells;
  Vector<double> values;

  double width() const noexcept { return 1 / static_cast<double>(cells.size); }
  /// No point of a cell is farther from its centre.
  double radius() const noexcept { return width() * std::sqrt(static_cast<double>(cells.d)) / 2; }
  template <class Real = double>
  Vector<Real> centre(Index cell) const {
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
template <class Real = double>
CellValues cell_values(FunctionRef<double(const Vector<double>&)> f, Box cells, double lipschitz) {
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
  template <class Real = double>
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
template <class Real = double>
KuhnInterpolant proven_hats(const LipschitzResidual& residual, Index steps) {
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
