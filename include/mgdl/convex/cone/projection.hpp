#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/orthonormal_basis.hpp"

namespace mgdl::detail {

/// The cones K_j = {u : (2 D_j - I) X~ u >= 0} of some patterns, and projections onto them.
///
/// The projection of c is the residual of a non-negative least squares problem,
/// Proj(c) = c + sum_i mu_i b_i with mu >= 0 and b_i the rows of (2 D_j - I) X~: an active-set
/// method finds the rows with mu > 0, the face of the cone on which the projection lies.
/// Source: Lawson & Hanson, "Solving Least Squares Problems" (1974), chapter 23.
template <class Real>
class ConeProjector {
 public:
  /// A face: the rows that hold with equality, and an orthonormal basis of their span.
  struct Face {
    std::vector<Index> rows;
    OrthonormalBasis<Real> normals;
  };

  ConeProjector(const Dataset<Real>& data, const Gates& gates)
      : m_gates(gates), m_rows(data.size(), gates.dimension()) {
    m_rows.leftCols(data.inputs().cols()) = data.inputs();
    if (gates.bias()) m_rows.rightCols(1).setOnes();
    for (Index i = 0; i < m_rows.rows(); ++i) {
      Real norm = m_rows.row(i).norm();
      if (!(norm > 1e-140 && norm < 1e140)) norm = m_rows.row(i).stableNorm();
      if (norm > 0) m_rows.row(i) /= norm;
    }
  }

  Index dimension() const noexcept { return m_rows.cols(); }

  /// The rows of (2 D_j - I) X~, of length 1, without those that are zero: K_j = {u : B u >= 0}.
  Matrix<Real> rows(Index j) const {
    std::vector<Index> used;
    for (Index i = 0; i < m_rows.rows(); ++i) {
      if (m_rows.row(i).squaredNorm() > 0) used.push_back(i);
    }
    Matrix<Real> B(std::ssize(used), dimension());
    for (Index k = 0; k < B.rows(); ++k) B.row(k) = row(j, used[static_cast<std::size_t>(k)]);
    return B;
  }

  /// A vector inside of K_j, B u > 0: its gate, moved away from the samples that it is nearest to
  /// if they are on its boundary.
  ///
  /// \param B  rows(j)
  /// \returns false if none was found
  bool inside(Index j, const Matrix<Real>& B, Vector<Real>& u) const {
    constexpr int kSteps = 100;
    constexpr Real kRounding = 16 * std::numeric_limits<Real>::epsilon();
    u = m_gates.vectors().row(j).transpose();
    u /= u.stableNorm();
    if (B.rows() == 0) return true;
    for (int step = 0; step < kSteps; ++step) {
      Index worst = 0;
      const Vector<Real> values = B * u;
      // Positive by more than the rounding of its terms, however thin the cone is.
      const Vector<Real> terms = B.cwiseAbs() * u.cwiseAbs();
      const Real least = (values - kRounding * terms).minCoeff(&worst);
      if (least > 0) return true;
      u += (std::abs(values[worst]) + 1e-3) * B.row(worst).transpose();
    }
    return false;
  }

  /// A basis of the rows that hold with equality at a point of a cone, up to rounding.
  OrthonormalBasis<Real> normals_at(const Vector<Real>& u) const {
    OrthonormalBasis<Real> normals(dimension());
    const Vector<Real> values = m_rows * u;
    for (Index i = 0; i < values.size(); ++i) {
      if (std::abs(values[i]) <= 1e-10 * u.norm()) normals.add(m_rows.row(i));
    }
    return normals;
  }

  /// Projects c onto the cone of pattern j. A row is violated if its value is negative by more than
  /// the rounding of its own terms: where inputs are far from zero, these are much smaller than c.
  ///
  /// \param face  a guess of the face on entry, the face of the projection on return
  Vector<Real> project(Index j, const Vector<Real>& c, Face& face) const {
    if (c.isZero(0)) {
      face = Face{{}, OrthonormalBasis<Real>(dimension())};
      return c;
    }
    Vector<Real> mu = Vector<Real>::Zero(std::ssize(face.rows));
    drop_negative(j, c, face, mu);
    Vector<Real> u = rejected(c, face);
    Index hidden = 0;
    for (Index iteration = 0; iteration < 20 * dimension() + 50; ++iteration) {
      const Index worst = most_violated(j, u);
      if (worst < 0) break;
      if (std::find(face.rows.begin(), face.rows.end(), worst) != face.rows.end()) break;
      const Real norm = u.norm();
      face.rows.push_back(worst);
      mu.conservativeResize(mu.size() + 1);
      mu[mu.size() - 1] = 0;
      drop_negative(j, c, face, mu);
      u = rejected(c, face);
      // The norm falls with every row, unless rounding hides it: so near a point of the cone, where
      // no more rows can follow than span the space.
      if (u.norm() >= norm && ++hidden > dimension()) break;
    }
    if (is_rounding(u, c, face)) u.setZero();  // in the polar cone
    return u;
  }

 private:
  static constexpr Real kOfTerms = 1e-13;  // what rounding a sum is, relative to its terms

  Vector<Real> row(Index j, Index i) const {
    return m_gates.active(i, j) ? Vector<Real>(m_rows.row(i)) : Vector<Real>(-m_rows.row(i));
  }

  /// What a face leaves of c, by two passes.
  static Vector<Real> rejected(const Vector<Real>& c, const Face& face) {
    return face.normals.reject(face.normals.reject(c));
  }

  /// Whether that is nothing but rounding.
  static bool is_rounding(const Vector<Real>& u, const Vector<Real>& c, const Face& face) {
    Vector<Real> terms = c.cwiseAbs();
    for (Index k = 0; k < face.normals.size(); ++k) {
      const Vector<Real>& q = face.normals.vector(k);
      terms += std::abs(q.dot(c)) * q.cwiseAbs();
    }
    return (u.cwiseAbs().array() <= kOfTerms * terms.array()).all();
  }

  /// The row that is violated most; -1 if none is.
  Index most_violated(Index j, const Vector<Real>& u) const {
    const Vector<Real> values = m_rows * u;
    const std::uint64_t* bits = m_gates.pattern(j);
    Index worst = -1;
    Real lowest = 0;
    for (Index i = 0; i < values.size(); ++i) {
      const Real value = (bits[i / 64] >> (i % 64) & 1u) != 0 ? values[i] : -values[i];
      if (value >= lowest) continue;
      if (value >= -kOfTerms * m_rows.row(i).cwiseAbs().dot(u.cwiseAbs())) continue;
      lowest = value;
      worst = i;
    }
    return worst;
  }

  /// Walks from the multipliers mu >= 0 of the rows of `face` to those of the least squares
  /// problem, and drops the rows whose multiplier would become negative on the way. Fills
  /// face.normals.
  void drop_negative(Index j, const Vector<Real>& c, Face& face, Vector<Real>& mu) const {
    while (true) {
      face.normals = OrthonormalBasis<Real>(dimension());
      Index drop = -1;
      for (Index k = 0; k < std::ssize(face.rows) && drop < 0; ++k) {
        if (!face.normals.add(row(j, face.rows[static_cast<std::size_t>(k)]))) drop = k;
      }
      if (drop < 0) {
        const Vector<Real> target = face.normals.coefficients(-c);
        Real length = 1;
        for (Index k = 0; k < mu.size(); ++k) {
          if (target[k] > 0) continue;
          const Real reach = mu[k] > 0 ? mu[k] / (mu[k] - target[k]) : 0;
          if (drop >= 0 && reach >= length) continue;
          length = reach;
          drop = k;
        }
        mu += length * (target - mu);
        if (drop < 0) return;
      }
      face.rows.erase(face.rows.begin() + drop);
      for (Index k = drop; k + 1 < mu.size(); ++k) mu[k] = mu[k + 1];
      mu.conservativeResize(mu.size() - 1);
      mu = mu.cwiseMax(0);
    }
  }

  const Gates& m_gates;
  RowMatrix<Real> m_rows;  // x~_i / |x~_i|
};

}  // namespace mgdl::detail
