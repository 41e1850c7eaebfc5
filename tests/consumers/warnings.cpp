// Most of the library, as somebody compiles it who has its headers among their own: with warnings
// that are errors, and optimised, since that is when compilers see what might happen. Never run.

#include <sstream>

#include "mgdl/convex.hpp"
#include "mgdl/io/c_header.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/mgdl.hpp"

int main() {
  const Eigen::MatrixXd X = Eigen::MatrixXd::Random(60, 1);
  const Eigen::VectorXd y = X.col(0).array().sin();
  mgdl::MultigradeTrainer<double> trainer(
      {mgdl::AutoTrainer<double>({mgdl::AffineTrainer<double>(), mgdl::SampledTrainer<double>()}),
       mgdl::GradientTrainer<double>({.width = 8}), mgdl::ConvexTrainer<double>(),
       mgdl::ConstructiveTrainer<double>()},
      {.validation_fraction = 0.2});
  const auto split = mgdl::split(mgdl::Dataset(X, y), 0.2, 1);
  const mgdl::MultigradeFit<double> fit = trainer.fit(split);
  std::ostringstream out;
  out << fit.report << mgdl::lipschitz_bound(fit.model) << fit.model.jacobians(X).sum()
      << mgdl::to_spline(fit.model, -1, 1).knots()
      << mgdl::output_bounds<double>(fit.model, X.row(0).transpose(), X.row(1).transpose()).upper
      << mgdl::calibrate(fit, split).largest_level();

  const auto gates = mgdl::enumerate_gates(X);
  const auto gated = mgdl::GatedReluSolver<double>().solve(split.train, gates);
  const auto relu = mgdl::ReluSolver<double>({.output_bias = true}).solve_all_patterns(split.train);
  out << gated.report.message << relu.report.message
      << mgdl::to_spline(relu.solution, -1, 1).knots();

  mgdl::write_c_header(out, fit.model, {.number = mgdl::CNumber::Int16});
  mgdl::write_npy("X.npy", X);
  return mgdl::read_npy<double>("X.npy").rows() > 0 ? 0 : 1;
}
