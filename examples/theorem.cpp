// The theorem live: grades of one width, written down instead of trained, whose residual never
// grows at any sample. Its largest value falls towards zero, here by more than half with every
// pass.

#include <cmath>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <vector>

#include "mgdl/mgdl.hpp"

int main() {
  const mgdl::Index n = 2000;
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(n, -1, 1);
  const Eigen::VectorXd y = (8 * x.array().square()).sin() + x.array().abs();

  // A grade that hardly helps is no reason to stop: progress is counted by passes.
  mgdl::MultigradeTrainer trainer{mgdl::ConstructiveTrainer<double>{{.hats = 64}},
                                  {.max_grades = 40, .minimum_progress = 0}};
  const auto [model, report] = trainer.fit(x, y);

  std::cout << "grade  width  largest residual  largest increase\n";
  Eigen::VectorXd before = (y - model.predict(x, 0)).cwiseAbs();
  std::vector<double> sizes{before.maxCoeff()};
  double worst = 0;
  for (mgdl::Index k = 1; k <= model.grades(); ++k) {
    const Eigen::VectorXd after = (y - model.predict(x, k)).cwiseAbs();
    const double increase = (after - before).maxCoeff();
    worst = std::max(worst, increase);
    before = after;
    sizes.push_back(before.maxCoeff());
    std::cout << std::setw(5) << k << std::setw(7) << model.grade(k).network.width()
              << std::scientific << std::setprecision(3) << std::setw(18) << sizes.back()
              << std::setw(18) << std::max(0.0, increase) << '\n';
  }

  // The largest residual by grade; a line for each power of ten below the first.
  std::ofstream plot("theorem.svg");
  plot << std::defaultfloat
       << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 480 240' font-size='11'>"
       << "<text x='50' y='18'>largest residual, relative to the first; by grade</text>";
  for (int power = 0; power <= 3; ++power) {
    plot << "<path stroke='#ddd' d='M50 " << 30 + 60 * power << "h410'/><text x='8' y='"
         << 34 + 60 * power << "'>" << std::pow(10, -power) << "</text>";
  }
  for (int k = 0; k <= 40; k += 10)
    plot << "<text x='" << 46 + 10 * k << "' y='230'>" << k << "</text>";
  plot << "<polyline fill='none' stroke='#0072B2' stroke-width='2' points='";
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    plot << 50 + 10 * k << ',' << 30 - 60 * std::log10(std::max(1e-3, sizes[k] / sizes[0])) << ' ';
  }
  plot << "'/></svg>\n";

  const bool claim = worst <= 1e-12 && sizes.back() < sizes.front() / 50;
  std::cout << "no residual grew: " << (worst <= 1e-12 ? "true" : "false") << '\n';
  return model.grades() > 0 && claim ? 0 : 1;
}
