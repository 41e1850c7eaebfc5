// Learns the terrain in examples/data grade by grade: elevation in metres at (longitude, latitude)
// in degrees. Every second sample of each axis to learn from, all of them to test on.
//
//   terrain <jacksboro_fault_elevation.npy> <output folder>
//
// Writes what the first 1, 2, ... grades make of it (grade_1.txt, ..., one elevation a line) and
// the errors by grade (errors.txt).

#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <string>
#include <utility>

#include "mgdl/io/npy.hpp"
#include "mgdl/mgdl.hpp"

namespace {

using mgdl::Index;

constexpr double kPeak = 840;  // from the lowest to the highest sample, for the PSNR
// The north-west corner and the width of a cell in degrees, see examples/data/README.md. These are
// edges; samples are taken to be at the centres of the cells.
constexpr double kWest = -84.41375;
constexpr double kNorth = 36.73291667;
constexpr double kCell = 1.0 / 1200;

/// Every step-th sample of each axis.
mgdl::Dataset<float> samples(const mgdl::Matrix<float>& elevation, Index step) {
  const Index rows = (elevation.rows() + step - 1) / step;
  const Index cols = (elevation.cols() + step - 1) / step;
  mgdl::Matrix<float> input(rows * cols, 2);
  mgdl::Matrix<float> target(rows * cols, 1);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) {
      const Index sample = i * cols + j;
      input(sample, 0) = static_cast<float>(kWest + (static_cast<double>(j * step) + 0.5) * kCell);
      input(sample, 1) = static_cast<float>(kNorth - (static_cast<double>(i * step) + 0.5) * kCell);
      target(sample, 0) = elevation(i * step, j * step);
    }
  }
  return mgdl::Dataset<float>(input, target);
}

mgdl::Action show(const mgdl::Progress& progress) {
  std::cerr << "\rgrade " << progress.grade << " of " << progress.max_grades << ", epoch "
            << progress.iteration << ' ' << std::flush;
  if (progress.event == mgdl::Progress::Event::Grade) std::cerr << '\n';
  return mgdl::Action::Continue;
}

void learn(const std::string& file, const std::string& folder) {
  const auto elevation = mgdl::read_npy<float>(std::filesystem::path(file));
  const auto all = samples(elevation, 1);
  mgdl::GradientTrainer<float> grades(
      {.width = 128, .hidden_layers = 2, .epochs = 80, .batch_size = 512, .learning_rate = 1e-3});
  mgdl::MultigradeTrainer trainer(std::move(grades), {.max_grades = 4, .observer = show});
  const auto [model, report] = trainer.fit({samples(elevation, 2), std::nullopt});
  std::cout << report << "\nOn all samples:\n";

  std::ofstream errors(folder + "/errors.txt");
  auto predictor = model.predictor();
  const mgdl::Matrix<float> X = all.inputs();
  mgdl::Matrix<float> Y(all.size(), 1);
  for (Index k = 1; k <= model.grades(); ++k) {
    predictor.predict_into(X, Y, k);
    const auto metrics = mgdl::compute_metrics(Y, all.targets(), all.weights(), kPeak);
    std::cout << "  " << k << " of " << model.grades() << " grades: RSE " << std::setprecision(2)
              << metrics.rse << ", PSNR " << std::fixed << metrics.psnr << " dB\n"
              << std::defaultfloat;
    errors << k << ' ' << model.grade(k).train_rse << ' ' << metrics.rse << '\n';
    std::ofstream(folder + "/grade_" + std::to_string(k) + ".txt") << Y << '\n';
  }
  if (!errors.flush()) throw std::runtime_error("cannot write to " + folder);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: terrain <elevation.npy> <output folder>\n";
    return 2;
  }
  learn(argv[1], argv[2]);
} catch (const std::exception& error) {
  std::cerr << "terrain: " << error.what() << '\n';
  return 1;
}
