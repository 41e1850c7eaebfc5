// The rates of docs/theorem.md. For functions with Lipschitz constant 1 on [0, 1]^d, what is left
// after every pass of constructive grades: on samples in L^p norms, with the order in the spacing,
// and of functions with the proven bound, with the order in the number of layers. Beside it what
// arXiv 2604.20219 proves of another network of the same width W = 2 d N + d + 2 after as many
// layers l: (2 d + 1) N^-l, in L^p.
//
//   benchmark_theorem

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "figures.hpp"
#include "mgdl/mgdl.hpp"

namespace {

using mgdl::Index;

constexpr Index kHats = 32;
constexpr int kNorms[] = {1, 2, 4, 16, 0};  // 0: the largest

/// Slope 1, and no sign change in [0, 1]^d, so that a pass reaches everywhere.
double smooth(const mgdl::Vector<double>& x) {
  const double n = std::sqrt(static_cast<double>(x.size()));
  return 1 + std::sin(5 * x.sum() / n) / 5;
}

/// Slope 1, with kinks and sign changes.
double folded(const mgdl::Vector<double>& x) {
  const double n = std::sqrt(static_cast<double>(x.size()));
  return std::abs(std::fmod(x.sum() / n + 0.1, 0.5) - 0.25) - 0.15;
}

struct Function {
  const char* name;
  const char* key;  // of its figures
  double (*value)(const mgdl::Vector<double>&);
};
constexpr Function functions[] = {{"1 + sin(5 t) / 5", "smooth", smooth},
                                  {"a folded line", "folded", folded}};

/// p-th root of the mean of |r|^p; p = 0: the largest.
double norm(const Eigen::VectorXd& r, int p) {
  const double largest = r.cwiseAbs().maxCoeff();
  if (p == 0 || largest == 0) return largest;
  return largest * std::pow((r / largest).array().abs().pow(p).mean(), 1.0 / p);
}

void on_samples(const Function& f, Index d, bool balanced) {
  const Index side = d == 1 ? 4097 : d == 2 ? 65 : 17;
  Index n = 1;
  for (Index k = 0; k < d; ++k) n *= side;
  Eigen::MatrixXd X(n, d);
  Eigen::VectorXd y(n);
  for (Index i = 0; i < n; ++i) {
    Index rest = i;
    for (Index k = 0; k < d; ++k, rest /= side) {
      X(i, k) = static_cast<double>(rest % side) / static_cast<double>(side - 1);
    }
    y[i] = f.value(X.row(i).transpose());
  }
  mgdl::MultigradeTrainer trainer{
      mgdl::ConstructiveTrainer<double>{{.hats = kHats, .balanced = balanced}},
      {.max_grades = 60, .minimum_progress = 0, .threads = 1}};
  const auto [model, report] = trainer.fit(X, y);
  const std::string key =
      "samples." + std::string(f.key) + (balanced ? ".balanced.d" : ".d") + std::to_string(d) + ".";
  // Of the first and the last pass: the spacing, and what is left in each norm.
  std::vector<double> first, last;
  Index pass = 0;
  for (Index k = 1; k <= model.grades(); ++k) {
    const auto& fit = report.grades[static_cast<std::size_t>(k - 1)].fit;
    if (fit.termination != mgdl::Termination::ToleranceReached) continue;
    const Eigen::VectorXd r = y - model.predict(X, k);
    const std::string spacing = fit.trainer.substr(fit.trainer.find("spacing ") + 8);
    std::printf("| %s%s | %td | %td | %td | %s |", f.name, balanced ? ", balanced" : "", d, ++pass,
                k, spacing.c_str());
    last = {std::exp2(std::stod(spacing.substr(spacing.find('^') + 1)))};
    for (const int p : kNorms) {
      last.push_back(norm(r, p));
      std::printf(" %.3g |", last.back());
      mgdl_benchmark::figure(key + spacing + ".L" + (p == 0 ? "sup" : std::to_string(p)),
                             last.back());
    }
    std::printf("\n");
    if (first.empty()) first = last;
  }
  if (pass < 2) return;
  std::printf("| %s%s | %td | | | order |", f.name, balanced ? ", balanced" : "", d);
  for (std::size_t i = 1; i < first.size(); ++i) {
    const double order = std::log(last[i] / first[i]) / std::log(last[0] / first[0]);
    std::printf(" %.2f |", order);
    mgdl_benchmark::figure(
        key + "order.L" + (kNorms[i - 1] == 0 ? "sup" : std::to_string(kNorms[i - 1])), order);
  }
  std::printf("\n");
}

void with_bound(const Function& f, Index d, Index evaluations) {
  const auto [model, report] =
      mgdl::approximate_lipschitz(f.value, d, 1, {.hats = kHats, .max_evaluations = evaluations});
  Index number = 0;
  Index grades = 0;
  double first_layers = 0;
  double first_bound = 0;
  for (const auto& pass : report.passes) {
    grades += pass.grades;
    const auto layers = static_cast<double>(grades * (d + 1));
    const auto width = static_cast<double>(model.grade(1).network.width());
    const double n = std::floor((width - static_cast<double>(d + 2)) / static_cast<double>(2 * d));
    const double theirs = std::log10(static_cast<double>(2 * d + 1)) - layers * std::log10(n);
    if (first_layers == 0) {
      first_layers = layers;
      first_bound = pass.bound;
    }
    const double order = std::log(pass.bound / first_bound) / std::log(layers / first_layers);
    std::printf(
        "| %s | %td | %.0f | %.3g | %td | %.0f | %.3g | %.3g | %s | %.0f, 10^%.0f |\n", f.name, d,
        width, pass.spacing, pass.hats, layers, pass.bound, pass.largest_residual,
        layers > first_layers ? std::to_string(order).substr(0, 5).c_str() : "-", n, theirs);
    const std::string key = "bound." + std::string(f.key) + ".d" + std::to_string(d) + ".pass" +
                            std::to_string(++number) + ".";
    mgdl_benchmark::figure(key + "layers", layers);
    mgdl_benchmark::figure(key + "proven", pass.bound);
    mgdl_benchmark::figure(key + "found", pass.largest_residual);
    if (layers > first_layers) mgdl_benchmark::figure(key + "order", order);
  }
}

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf(
      "What passes over samples leave, %td hats a grade. The spacing is in standardised inputs.\n\n"
      "| function of t = (x_1 + ... + x_d) / sqrt(d) | d | pass | grades | spacing | L^1 | L^2 | "
      "L^4 | L^16 | largest |\n|---|---|---|---|---|---|---|---|---|---|\n",
      kHats);
  for (const auto& f : functions) {
    for (const Index d : {1, 2}) {
      for (const bool balanced : {false, true}) on_samples(f, d, balanced);
    }
  }
  std::printf(
      "\nA function with a known Lipschitz constant, 1: the proven bound by the number of layers,\n"
      "and its order since the first pass. Last: N and (2 d + 1) N^-layers for that width.\n\n"
      "| function | d | width | spacing | hats | layers so far | bound | largest found | order | "
      "2604.20219 |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& f : functions) {
    for (const Index d : {1, 2, 3}) with_bound(f, d, d == 1 ? 200000 : d == 2 ? 1000000 : 500000);
  }
}
