#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_atoms.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_knots.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// Newton's direction for the coordinates of all atoms; empty if there is none.
///
/// \param z  the dual function of the network's residuals
inline Vector<double> trend_newton_direction(const TrendSamples& samples, const TrendCones& cones,
                                             const std::vector<TrendAtom>& atoms,
                                             const DualFunction& z, double lambda,
                                             bool output_bias) {
  const auto count = static_cast<Index>(atoms.size());
  // The samples between places where an atom begins or ends to be active.
  std::vector<Index> cuts{0, samples.size()};
  std::vector<Index> begins;
  std::vector<Index> ends;
  for (const TrendAtom& atom : atoms) {
    Index begin = 0;
    Index end = samples.size();
    if (!atom.affine()) (atom.right() ? begin : end) = atom.place + 1;
    begins.push_back(begin);
    ends.push_back(end);
    cuts.push_back(begin);
    cuts.push_back(end);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  const auto segments = static_cast<Index>(cuts.size()) - 1;
  Index size = output_bias ? 1 : 0;
  for (const TrendAtom& atom : atoms) size += atom.dimension();

  // Rows: the lines of the segments, mean value and slope.
  Matrix<double> design = Matrix<double>::Zero(size, 2 * segments);
  for (Index s = 0; s < segments; ++s) {
    KnotProblem::Segment segment;
    double rest = 0;
    const Index begin = cuts.data()[s];
    const double origin = samples.x[begin];
    for (Index i = begin; i < cuts.data()[s + 1]; ++i) {
      add_sample(segment, rest, samples.x[i] - origin, 0, samples.w[i]);
    }
    const double root = std::sqrt(segment.weight);
    const double spread = std::sqrt(segment.spread);
    Index row = 0;
    for (Index k = 0; k < count; ++k) {
      const TrendAtom& atom = atoms.data()[k];
      const Index d = atom.dimension();
      if (begins.data()[k] <= begin && begin < ends.data()[k]) {
        Eigen::Vector2d value = cones.values(atom, origin);
        const Eigen::Vector2d slope = cones.slopes(atom);
        value += segment.before * slope;
        // Not a loop over j < d: GCC 12 vectorises that at -O3 and writes beyond d.
        const auto fill = [&](Index j) {
          design(row + j, 2 * s) = root * atom.sign * atom.projected(value, j);
          design(row + j, 2 * s + 1) = spread * atom.sign * atom.projected(slope, j);
        };
        fill(0);
        if (d == 2) fill(1);
      }
      row += d;
    }
    if (output_bias) design(row, 2 * s) = root;
  }
  Matrix<double> hessian = Matrix<double>::Zero(size, size);
  hessian.selfadjointView<Eigen::Lower>().rankUpdate(design);

  Vector<double> descent = Vector<double>::Zero(size);
  Index row = 0;
  for (const TrendAtom& atom : atoms) {
    const Index d = atom.dimension();
    const Eigen::Vector2d unit0(1, 0);
    const Eigen::Vector2d unit1(0, 1);
    Eigen::Vector2d at = atom.face == TrendFace::Direction ? atom.along : atom.z;
    if (atom.face == TrendFace::Sample) at = unit0;
    const Eigen::Vector2d v = cones.line(atom, at);
    const double norm = v.norm();
    const Eigen::Vector2d pull(v.dot(cones.line(atom, unit0)), v.dot(cones.line(atom, unit1)));
    const Eigen::Vector2d drive = atom.sign * cones.correlations(atom, z) - lambda / norm * pull;
    descent[row] = atom.projected(drive, 0);
    if (d == 2) {
      descent[row + 1] = atom.projected(drive, 1);
      // The penalty bends only across v.
      const double turn = atom.affine() ? 1 / cones.length() : 1;
      const Eigen::Vector2d across = turn / norm * Eigen::Vector2d(-at[1], at[0]);
      hessian.block<2, 2>(row, row) += lambda / norm * across * across.transpose();
    }
    row += d;
  }

  Vector<double> scale = hessian.diagonal();
  const double tiny = scale.maxCoeff() * 1e-300;
  scale = scale.unaryExpr([&](double v) { return v > tiny ? 1 / std::sqrt(v) : 0.0; });
  hessian = scale.asDiagonal() * hessian * scale.asDiagonal();
  Eigen::LLT<Matrix<double>> factors;
  for (double ridge = 1e-14; ridge < 1e-3; ridge *= 100) {
    hessian.diagonal().setConstant(1 + ridge);
    factors.compute(hessian);
    if (factors.info() != Eigen::Success) continue;
    Vector<double> direction = factors.solve(scale.cwiseProduct(descent)).cwiseProduct(scale);
    if (direction.allFinite()) return direction;
  }
  return {};
}

}  // namespace mgdl::detail
