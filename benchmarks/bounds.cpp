// How close proven bounds come to the truth, and how long that takes: the range and the largest
// slope of fits of 1 to 4 inputs in the whole box of their samples. "Gap" is the distance between
// what is proven and a value that was met, so that of the truth is no larger; relative to the range
// that was met. "One box" is output_bounds() without cutting, relative to it: 1 would be the range.
//
// Seconds are of the processor, for one thread.
//
//   benchmark_bounds [--boxes N] [--only NAME]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "mgdl/mgdl.hpp"

namespace {

using mgdl::Index;

/// On [-1, 1]^d.
struct Function {
  std::string name;
  Index inputs;
  std::function<double(const Eigen::RowVectorXd&)> value;
};

std::vector<Function> functions() {
  using Row = const Eigen::RowVectorXd&;
  const double pi = std::numbers::pi;
  return {
      {"sin(30 t^2), t = (x + 1) / 2", 1,
       [](Row x) { return std::sin(30 * std::pow((x[0] + 1) / 2, 2)); }},
      {"1 / (1 + 25 x^2)", 1, [](Row x) { return 1 / (1 + 25 * x[0] * x[0]); }},
      {"sin(3 x) cos(2 y)", 2, [](Row x) { return std::sin(3 * x[0]) * std::cos(2 * x[1]); }},
      {"|x + y| - |x|", 2, [](Row x) { return std::abs(x[0] + x[1]) - std::abs(x[0]); }},
      {"peaks", 2,
       [](Row z) {
         const double x = 3 * z[0];
         const double y = 3 * z[1];
         return 3 * std::pow(1 - x, 2) * std::exp(-x * x - std::pow(y + 1, 2)) -
                10 * (x / 5 - std::pow(x, 3) - std::pow(y, 5)) * std::exp(-x * x - y * y) -
                std::exp(-std::pow(x + 1, 2) - y * y) / 3;
       }},
      {"sin(2 pi (x^2 + y^2))", 2,
       [pi](Row x) { return std::sin(2 * pi * (x[0] * x[0] + x[1] * x[1])); }},
      {"sin(3 x) cos(2 y) + y z", 3,
       [](Row x) { return std::sin(3 * x[0]) * std::cos(2 * x[1]) + x[1] * x[2]; }},
      {"exp(-|x|^2)", 3, [](Row x) { return std::exp(-x.squaredNorm()); }},
      {"sin(2 x + y) + z w", 4, [](Row x) { return std::sin(2 * x[0] + x[1]) + x[2] * x[3]; }},
      {"exp(-|x|^2)", 4, [](Row x) { return std::exp(-x.squaredNorm()); }},
  };
}

template <class Scalar>
mgdl::MultigradeModel<Scalar> fit(const Function& f, Index grades) {
  mgdl::RandomStream random(/*seed=*/3, /*stream=*/static_cast<std::uint64_t>(f.inputs));
  const Index n = 4000;
  Eigen::MatrixXd X(n, f.inputs);
  Eigen::VectorXd y(n);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < f.inputs; ++j) X(i, j) = random.uniform(-1, 1);
    y[i] = f.value(X.row(i));
  }
  mgdl::GradientTrainer<Scalar> trainer(
      {.width = 64, .hidden_layers = 2, .optimizer = mgdl::Optimizer::Adam, .epochs = 60});
  return mgdl::MultigradeTrainer{trainer, {.max_grades = grades, .minimum_progress = 0, .seed = 5}}
      .fit(X.template cast<Scalar>(), y.template cast<Scalar>())
      .model;
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

template <class Scalar>
void study(const Function& f, const char* scalar, const mgdl::BoundOptions& options) {
  const auto whole = fit<Scalar>(f, 4);
  for (Index k = 1; k <= whole.grades(); ++k) {
    auto model = whole;
    model.truncate(k);
    const mgdl::Vector<Scalar> upper = mgdl::Vector<Scalar>::Ones(f.inputs);
    const mgdl::Vector<Scalar> lower = -upper;
    const auto one = mgdl::output_bounds(model, lower, upper);
    const double start = processor_seconds();
    const auto range = mgdl::output_range(model, lower, upper, options);
    const double middle = processor_seconds();
    const auto slope = mgdl::slope_range(model, lower, upper, options);
    const double end = processor_seconds();
    const double met = (range.met.upper - range.met.lower).maxCoeff();
    std::printf(
        "| %s, %s | %td | %td | %.3g | %.2g %% | %td | %.2f | %.3g | %.2g %% | %td | %.2f | %.3g "
        "|\n",
        f.name.c_str(), scalar, f.inputs, k, (one.upper - one.lower).maxCoeff() / met,
        100 * range.gap(), range.boxes, middle - start, slope.met,
        100 * (slope.bound / slope.met - 1), slope.boxes, end - middle,
        mgdl::lipschitz_bound(model) / slope.met);
  }
}

}  // namespace

int main(int argc, char** argv) {
  mgdl::BoundOptions options{.threads = 1};
  std::string only;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--boxes") options.max_boxes = std::atoll(argv[i + 1]);
    if (flag == "--only") only = argv[i + 1];
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf(
      "Grades of 2x64 on 4000 samples in [-1, 1]^d; at most %td boxes, or until the gap is 1 "
      "%%.\n\n"
      "| function | inputs | grades | one box | gap | boxes | seconds | slope met | gap of the "
      "slope "
      "| boxes | seconds | lipschitz_bound / slope met |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|\n",
      options.max_boxes);
  for (const auto& f : functions()) {
    if (!only.empty() && f.name.find(only) == std::string::npos) continue;
    study<double>(f, "double", options);
    if (f.inputs == 2) study<float>(f, "float", options);
  }
}
