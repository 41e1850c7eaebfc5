#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/kuhn_lattice.hpp"

namespace mgdl::detail {

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

  double at(const double* x) const {
    const KuhnSimplex simplex = kuhn_simplex(x, m_nodes.d, 1 / static_cast<double>(m_steps));
    double sum = 0;
    for (std::size_t k = 0; k <= static_cast<std::size_t>(m_nodes.d); ++k) {
      if (simplex.weights[k] == 0) continue;  // may be outside
      sum += simplex.weights[k] * m_values[m_nodes.number(simplex.corners[k])];
    }
    return sum;
  }

  /// The sum with another one, on the finer of the two lattices.
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
  Vector<double> slopes() const {
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

}  // namespace mgdl::detail
