#pragma once

#include <utility>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// What GatedReluSolver returns.
struct GatedReluResult {
  GatedSolution solution;  ///< the iterate of the smallest gap
  ConvexReport report;     ///< with the certificate of `solution`
};

/// Solves the gated problem to a proven gap: with weights w (sum 1), patterns D_j and x~ = [x 1],
///
///     min_U  1/2 sum_i w_i |y_i - sum_j D_j,ii x~_i U_j|^2 + lambda sum_j ||U_j||_F,  U_j: p x c,
///
/// a group lasso whose groups are the gates. With lambda = 0 it is the least squares problem, and
/// of its solutions the one of least norm.
///
/// The result is reported with a certificate that is computed from the raw data by code of its own;
/// see docs/convex.md for the algorithm. Same bits for any number of threads, without a time limit.
///
/// Source of the problem: Mishkin, Sahiner & Pilanci, "Fast convex optimization for two-layer ReLU
/// networks" (arXiv 2202.01331).
///
/// `Scalar` is the type of the samples; the arithmetic, and so the solution, is in double.
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class GatedReluSolver {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of the samples.
  using Scalar = Scalar_;

  /// \throws InvalidArgument for options that break a rule
  explicit GatedReluSolver(ConvexOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// As given.
  /// \{
  const ConvexOptions& options() const& noexcept { return m_options; }
  ConvexOptions options() && { return std::move(m_options); }
  /// \}

  /// \param data   samples; their weights count
  /// \param gates  patterns of exactly these samples
  /// \param start  a solution for the same gates and another lambda to start from; may be null
  /// \throws InvalidArgument if data, gates and start do not fit together
  GatedReluResult solve(const Dataset<Scalar>& data, const Gates& gates,
                        const GatedSolution* start = nullptr) const;

  /// The smallest penalty whose solution is zero, max_j ||X~' D_j W Y||_F (with an output bias: of
  /// the centred Y); 0 where that is no more than rounding.
  double lambda_max(const Dataset<Scalar>& data, const Gates& gates) const;

 private:
  ConvexOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class GatedReluSolver<float>;
extern template class GatedReluSolver<double>;
}  // namespace mgdl
#else
#include "mgdl/convex/gated_relu_solver_impl.hpp"  // IWYU pragma: export
#endif
