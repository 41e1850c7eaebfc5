// Makes samples of the terrain in examples/data: elevation in metres at (longitude, latitude) in
// degrees. Every second sample of each axis to learn from, all of them to test on.
//
//   terrain_samples <jacksboro_fault_elevation.npy> <output folder>

#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "mgdl/core/types.hpp"
#include "mgdl/io/npy.hpp"

namespace {

using mgdl::Index;

// The north-west corner and the width of a cell in degrees, see examples/data/README.md. These are
// edges; samples are taken to be at the centres of the cells.
constexpr double kWest = -84.41375;
constexpr double kNorth = 36.73291667;
constexpr double kCell = 1.0 / 1200;

void write_samples(const mgdl::Matrix<float>& elevation, Index step, const std::string& prefix) {
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
  mgdl::write_npy(prefix + "_input.npy", input);
  mgdl::write_npy(prefix + "_target.npy", target);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: terrain_samples <elevation.npy> <output folder>\n";
    return 2;
  }
  const auto elevation = mgdl::read_npy<float>(std::filesystem::path(argv[1]));
  write_samples(elevation, 2, std::string(argv[2]) + "/train");
  write_samples(elevation, 1, std::string(argv[2]) + "/all");
} catch (const std::exception& error) {
  std::cerr << "terrain_samples: " << error.what() << '\n';
  return 1;
}
