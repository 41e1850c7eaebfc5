#pragma once

#include <vector>

#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// What GroupLassoNewton asks of a problem: points for values of eta, and the matrix of its steps.
template <class Real>
class NewtonSpace {
 public:
  NewtonSpace() = default;
  NewtonSpace(const NewtonSpace&) = delete;
  NewtonSpace& operator=(const NewtonSpace&) = delete;
  virtual ~NewtonSpace() = default;

  /// Makes the point of point.eta: U_j = eta_j A_j'N, N = K(eta)^-1 Y.
  ///
  /// \param accuracy  wanted relative accuracy of the ||A_j'N||
  /// \param near      about the objective of the point
  /// \returns false if K is not positive definite in this arithmetic
  virtual bool move_to(Real accuracy, Real lambda, Real near, GroupLassoPoint<Real>& point) = 0;

  /// Takes rounding out of U. Where eta ||A||^2 is huge, U_j = eta_j A_j'N magnifies that of N.
  /// What U leaves of A_j'R = U_j / eta_j, with the residual R of U itself, shows how to mend that:
  /// for an error g, (1 / eta + A'A)^-1 g = eta g - eta A'K^-1 A eta g.
  virtual void refine(Real lambda, GroupLassoPoint<Real>& point) = 0;

  /// Factorises K for this eta, unless that is done.
  /// \returns false if K is not positive definite in this arithmetic
  bool factor(const Vector<Real>& eta) {
    if (is_factored(eta)) return true;
    ++m_factorisations;
    const bool done = factorise(support(eta), eta);
    m_factored = done ? eta : Vector<Real>();
    return done;
  }

  /// Whether the factorisation is of this eta.
  bool is_factored(const Vector<Real>& eta) const {
    return m_factored.size() == eta.size() && m_factored == eta;
  }

  /// How many there were.
  Index factorisations() const noexcept { return m_factorisations; }

  /// The next move factorises.
  void forget() { m_factored.resize(0); }

  /// Lower triangle of H_jk = <phi_j, K^-1 phi_k>, phi_j = A_j u_j, by the last factorisation.
  ///
  /// \param directions  u_j of the gates
  virtual Matrix<Real> hessian(const std::vector<Index>& gates,
                               const RowMatrix<Real>& directions) = 0;

  /// By how much of its diagonal rounding can make H indefinite.
  virtual Real ridge() const = 0;

  /// Whether the loss is the squared one.
  virtual bool is_squared() const { return true; }

  /// Adds to the diagonal of H, so that steps get shorter, or takes some of that back.
  /// \returns false if that would not help
  /// \{
  virtual bool stiffen() { return false; }
  virtual void relax() {}
  /// \}

  /// Moves that follow start from here again after revert().
  /// \{
  virtual void keep() {}
  virtual void revert() {}
  /// \}

 protected:
  /// Factorises K.
  /// \param gates  those with eta > 0
  virtual bool factorise(const std::vector<Index>& gates, const Vector<Real>& eta) = 0;

  /// The gates with eta > 0.
  static std::vector<Index> support(const Vector<Real>& eta) {
    std::vector<Index> gates;
    for (Index j = 0; j < eta.size(); ++j) {
      if (eta[j] > 0) gates.push_back(j);
    }
    return gates;
  }

  /// eta of the factorisation; empty: there is none.
  const Vector<Real>& factored() const noexcept { return m_factored; }

 private:
  Vector<Real> m_factored;
  Index m_factorisations = 0;
};

}  // namespace mgdl::detail
