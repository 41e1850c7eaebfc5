#pragma once

#include <algorithm>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/group_lasso_problem.hpp"
#include "mgdl/detail/pattern_kernel.hpp"

namespace mgdl::detail {

/// K = I + sum_j eta_j A_j A_j' of a gated problem in whichever factorisation is cheapest: by
/// samples or by groups, in single precision when double would take long (what solves with it
/// corrects the rounding by conjugate gradients). An output bias is projected out of all of it.
class FactoredKernel {
 public:
  explicit FactoredKernel(const GroupLassoProblem& problem)
      : m_problem(problem),
        m_single(problem.products().samples().cast<float>(), problem.products().bits()),
        m_samples_double(problem.products()),
        m_samples_single(m_single),
        m_groups_double(problem.products()),
        m_groups_single(m_single) {}

  /// \param gates  those with eta > 0
  /// \param eta    their values
  /// \returns false if K is not positive definite in double either
  bool factor(ThreadPool& pool, const std::vector<Index>& gates, const Vector<double>& eta) {
    const auto n = static_cast<double>(m_problem.products().size());
    const auto p = static_cast<double>(m_problem.products().dimension());
    const double by_samples = n * n * (n / 6 + 0.5 * (static_cast<double>(gates.size()) + p));
    const auto choose = [&](double by_groups, Form groups, Form samples) {
      return by_groups < by_samples ? groups : samples;
    };
    const double by_groups = m_groups_double.cost(gates);
    if (!m_needs_double && std::min(by_samples, by_groups) > kLongFactorisation) {
      m_form = choose(m_groups_single.cost(gates), Form::GroupsSingle, Form::SamplesSingle);
      if (compute(pool, gates, eta)) return true;
      m_needs_double = true;
    }
    m_form = choose(by_groups, Form::GroupsDouble, Form::SamplesDouble);
    return compute(pool, gates, eta);
  }

  /// Single precision turned out to be too little.
  /// \returns false if double is in use already
  bool use_double() noexcept {
    const bool change = !m_needs_double && is_single();
    m_needs_double = true;
    return change;
  }

  bool is_single() const noexcept {
    return m_form == Form::SamplesSingle || m_form == Form::GroupsSingle;
  }

  /// K^-1 r for residuals r (n x c) that are orthogonal to the bias.
  RowMatrix<double> solve(ThreadPool& pool, RowMatrix<double> r) const {
    visit([&](const auto& kernel) { kernel.apply(pool, r); });
    if (m_bias.size() > 0) {
      for (Index o = 0; o < r.cols(); ++o) {
        r.col(o) -= m_problem.bias().dot(r.col(o)) / m_bias_energy * m_bias.col(0);
      }
      m_problem.project(r);
    }
    return r;
  }

  /// Lower triangle of H_jk = sum_o <A_j u_jo, K^-1 A_k u_ko>.
  Matrix<double> hessian(ThreadPool& pool, const std::vector<Index>& gates,
                         const RowMatrix<double>& u) {
    const Index c = m_problem.outputs();
    Matrix<double> H;
    visit([&](auto& kernel) { H = kernel.hessian(pool, gates, u, c); });
    if (m_bias.size() == 0) return H;
    RowMatrix<double> share;
    m_problem.products().correlate(pool, gates, m_bias, share);
    for (Index o = 0; o < c; ++o) {
      Vector<double> h = Vector<double>::Zero(share.rows());
      for (Index r = 0; r < share.cols(); ++r) {
        h.array() += share.col(r).array() * u.col(r * c + o).array();
      }
      for (Index k = 0; k < h.size(); ++k) H.col(k) -= h[k] / m_bias_energy * h;
    }
    return H;
  }

 private:
  enum class Form { SamplesDouble, SamplesSingle, GroupsDouble, GroupsSingle };

  /// Multiplications that take some ten milliseconds.
  static constexpr double kLongFactorisation = 5e8;

  template <class Self, class Call>
  static void visit(Self& self, const Call& call) {
    switch (self.m_form) {
      case Form::SamplesDouble: return call(self.m_samples_double);
      case Form::SamplesSingle: return call(self.m_samples_single);
      case Form::GroupsDouble: return call(self.m_groups_double);
      case Form::GroupsSingle: return call(self.m_groups_single);
    }
  }
  template <class Call>
  void visit(const Call& call) {
    visit(*this, call);
  }
  template <class Call>
  void visit(const Call& call) const {
    visit(*this, call);
  }

  bool compute(ThreadPool& pool, const std::vector<Index>& gates, const Vector<double>& eta) {
    bool ok = false;
    visit([&](auto& kernel) { ok = kernel.factor(pool, gates, eta); });
    if (!ok || m_problem.bias().size() == 0) return ok;
    m_bias = m_problem.bias();
    visit([&](const auto& kernel) { kernel.apply(pool, m_bias); });
    m_bias_energy = m_problem.bias().dot(m_bias.col(0));
    return m_bias_energy > 0;
  }

  const GroupLassoProblem& m_problem;
  PatternProducts<float> m_single;
  SampleSpaceKernel<double> m_samples_double;
  SampleSpaceKernel<float> m_samples_single;
  GroupSpaceKernel<double> m_groups_double;
  GroupSpaceKernel<float> m_groups_single;
  Form m_form = Form::GroupsDouble;
  bool m_needs_double = false;
  RowMatrix<double> m_bias;  // K^-1 b, b the unit vector of the bias
  double m_bias_energy = 0;
};

}  // namespace mgdl::detail
