#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// \file
/// The regression problems of the accuracy benchmarks: functions and data sets with figures from
/// the literature to compare with. Every problem is the same, to the last bit of its random
/// numbers, as the NumPy scripts that the published figures come from.

namespace mgdl_benchmark {

/// Samples to train on and samples to measure the error on; one row is one sample.
struct Problem {
  std::string name;                        ///< short, for tables
  Eigen::MatrixXd train_input;             ///< n x d
  Eigen::MatrixXd train_target;            ///< n x c
  Eigen::MatrixXd test_input;              ///< m x d
  Eigen::MatrixXd test_target;             ///< m x c
  Eigen::MatrixXd validation_input = {};   ///< v x d; v = 0: the problem has no validation samples
  Eigen::MatrixXd validation_target = {};  ///< v x c
};

/// How the amplitudes of the spectral problem run from the lowest to the highest frequency.
enum class SpectralKind {
  Decrease,  ///< 1 down to 0.05
  Constant,  ///< 1
  Increase,  ///< 0.05 up to 1
  Varying    ///< exp(-x) cos(j x), j = 0, 1, ...: they depend on the input
};

inline std::string to_string(SpectralKind kind) {
  switch (kind) {
    case SpectralKind::Decrease: return "decrease";
    case SpectralKind::Constant: return "constant";
    case SpectralKind::Increase: return "increase";
    case SpectralKind::Varying: return "varying";
  }
  return "unknown";
}

/// Uniform doubles of NumPy's `RandomState(seed).uniform(low, high, count)`: the same bits.
///
/// NumPy seeds its Mersenne Twister from an integer the way `std::mt19937` does, and makes a double
/// of 53 random bits out of two 32-bit draws. `std::uniform_real_distribution` promises neither.
inline Eigen::VectorXd numpy_uniform(std::uint32_t seed, double low, double high,
                                     Eigen::Index count) {
  std::mt19937 generator(seed);
  Eigen::VectorXd values(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    const std::uint32_t high_bits = static_cast<std::uint32_t>(generator()) >> 5;  // 27 bits
    const std::uint32_t low_bits = static_cast<std::uint32_t>(generator()) >> 6;   // 26 bits
    const double unit = (high_bits * 67108864.0 + low_bits) / 9007199254740992.0;
    values(i) = low + (high - low) * unit;
  }
  return values;
}

/// `count` equally spaced values from `first` to `last`, both included, as NumPy's `linspace`.
inline Eigen::VectorXd numpy_linspace(double first, double last, Eigen::Index count) {
  Eigen::VectorXd values(count);
  const double step = (last - first) / static_cast<double>(count - 1);
  for (Eigen::Index i = 0; i < count; ++i) values(i) = static_cast<double>(i) * step + first;
  values(count - 1) = last;
  return values;
}

/// A sum of sines, \f$ f(x) = \sum_j a_j \sin(2 \pi k_j x + \varphi_j) \f$.
struct SineSum {
  Eigen::VectorXd frequencies;  ///< k, cycles per unit of x
  Eigen::VectorXd amplitudes;   ///< a
  Eigen::VectorXd phases;       ///< phi, radians
  bool varying = false;         ///< a_j is multiplied by exp(-x) cos(j x)

  double operator()(double x) const {
    double sum = 0.0;
    for (Eigen::Index j = 0; j < frequencies.size(); ++j) {
      const double change = varying ? std::exp(-x) * std::cos(static_cast<double>(j) * x) : 1.0;
      sum += amplitudes(j) * change *
             std::sin(2.0 * std::numbers::pi * frequencies(j) * x + phases(j));
    }
    return sum;
  }

  Eigen::MatrixXd operator()(const Eigen::VectorXd& x) const {
    Eigen::MatrixXd values(x.size(), 1);
    for (Eigen::Index i = 0; i < x.size(); ++i) values(i, 0) = (*this)(x(i));
    return values;
  }
};

namespace detail {

inline Problem sample_1d(std::string name, const SineSum& function, const Eigen::VectorXd& train,
                         const Eigen::VectorXd& test, const Eigen::VectorXd& validation) {
  Problem problem;
  problem.name = std::move(name);
  problem.train_input = train;
  problem.train_target = function(train);
  problem.test_input = test;
  problem.test_target = function(test);
  problem.validation_input = validation;
  problem.validation_target = function(validation);
  return problem;
}

/// 0, 1/count, ..., as NumPy's `arange(0, 1, 1/count)`.
inline Eigen::VectorXd unit_steps(Eigen::Index count) {
  Eigen::VectorXd steps(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    steps(i) = static_cast<double>(i) / static_cast<double>(count);
  }
  return steps;
}

/// The published scripts draw 40 phases and use as many as they have frequencies.
inline Eigen::VectorXd published_phases(Eigen::Index count) {
  return numpy_uniform(0, 0.0, 2.0 * std::numbers::pi, 40).head(count);
}

}  // namespace detail

/// What linear interpolation of the training samples gives at the test inputs of a problem of one
/// input, whose training inputs are sorted: the yardstick of all fits of such problems.
inline Eigen::MatrixXd interpolated(const Problem& problem) {
  const Eigen::VectorXd x = problem.train_input;
  Eigen::MatrixXd result(problem.test_input.rows(), problem.train_target.cols());
  for (Eigen::Index i = 0; i < result.rows(); ++i) {
    const double at = std::clamp(problem.test_input(i, 0), x[0], x[x.size() - 1]);
    const Eigen::Index right = std::clamp<Eigen::Index>(
        std::upper_bound(x.data(), x.data() + x.size(), at) - x.data(), 1, x.size() - 1);
    const double part = (at - x[right - 1]) / (x[right] - x[right - 1]);
    result.row(i) =
        (1 - part) * problem.train_target.row(right - 1) + part * problem.train_target.row(right);
  }
  return result;
}

/// The spectral-bias problem of Fang & Xu, arXiv 2410.16105: 20 frequencies from 10 to 200 cycles,
/// 6000 equally spaced training samples x = i/6000, 2000 uniform validation and 2000 uniform test
/// samples on [0, 1].
///
/// Linear interpolation of the training samples has a test RSE of 6.0e-7 (decrease), 3.5e-6
/// (constant) and 7.3e-6 (increase).
inline Problem spectral(SpectralKind kind) {
  constexpr Eigen::Index terms = 20;
  SineSum function;
  function.frequencies = numpy_linspace(10.0, 200.0, terms);
  function.amplitudes = Eigen::VectorXd::Ones(terms);
  if (kind == SpectralKind::Decrease) function.amplitudes = numpy_linspace(1.0, 0.05, terms);
  if (kind == SpectralKind::Increase) function.amplitudes = numpy_linspace(0.05, 1.0, terms);
  function.varying = kind == SpectralKind::Varying;
  function.phases = detail::published_phases(terms);
  return detail::sample_1d("spectral " + to_string(kind), function, detail::unit_steps(6000),
                           numpy_uniform(1, 0.0, 1.0, 2000), numpy_uniform(0, 0.0, 1.0, 2000));
}

/// The manifold problem of the same paper: 40 frequencies from 10 to 400 cycles, with amplitudes
/// from 0.025 to 1, along the unit circle in two inputs; 12000 equally spaced training samples,
/// 4000 uniform validation and 4000 uniform test samples.
inline Problem manifold() {
  constexpr Eigen::Index terms = 40;
  SineSum function;
  function.frequencies = numpy_linspace(10.0, 400.0, terms);
  function.amplitudes = numpy_linspace(0.025, 1.0, terms);
  function.phases = detail::published_phases(terms);
  Problem problem =
      detail::sample_1d("manifold", function, detail::unit_steps(12000),
                        numpy_uniform(1, 0.0, 1.0, 4000), numpy_uniform(0, 0.0, 1.0, 4000));
  for (auto* input : {&problem.train_input, &problem.validation_input, &problem.test_input}) {
    const Eigen::ArrayXd angle = 2.0 * std::numbers::pi * input->col(0).array();
    input->resize(angle.size(), 2);
    input->col(0) = angle.cos();
    input->col(1) = angle.sin();
  }
  return problem;
}

/// The synthetic problem of Fang & Xu, arXiv 2507.20351: 5 frequencies from 1 to 30 cycles with
/// amplitude 1 and phase 0, 1024 training and 10000 test samples, both equally spaced on [0, 1].
/// The 1000 uniform validation samples are not published.
///
/// Its published errors are mean squared errors; the mean square of the target is about 2.5.
inline Problem gd_synthetic() {
  SineSum function;
  function.frequencies = numpy_linspace(1.0, 30.0, 5);
  function.amplitudes = Eigen::VectorXd::Ones(5);
  function.phases = Eigen::VectorXd::Zero(5);
  return detail::sample_1d("gd synthetic", function, numpy_linspace(0.0, 1.0, 1024),
                           numpy_linspace(0.0, 1.0, 10000), numpy_uniform(0, 0.0, 1.0, 1000));
}

/// Where the corners of an elevation grid lie, in degrees; defaults: the "Jacksboro fault" grid.
struct TerrainExtent {
  double west = -84.41375;           ///< longitude of the first column
  double east = -84.07791666666667;  ///< longitude of the last column
  double north = 36.73291666666667;  ///< latitude of the first row
  double south = 36.44625;           ///< latitude of the last row
};

/// Elevation in metres as a function of (longitude, latitude) in degrees: every second sample of
/// each axis to train on, all samples to test on.
///
/// \param elevation  rows x columns, first row in the north, first column in the west; for the
///                   344 x 403 Jacksboro grid (USGS, public domain) that makes 34,744 training and
///                   138,632 test samples.
/// Throws std::invalid_argument for a grid with fewer than 3 rows or columns.
inline Problem terrain(const Eigen::MatrixXd& elevation, const TerrainExtent& extent = {}) {
  const Eigen::Index rows = elevation.rows();
  const Eigen::Index columns = elevation.cols();
  if (rows < 3 || columns < 3) {
    throw std::invalid_argument("terrain: the grid must be at least 3 x 3, got " +
                                std::to_string(rows) + " x " + std::to_string(columns));
  }
  const Eigen::VectorXd longitude = numpy_linspace(extent.west, extent.east, columns);
  const Eigen::VectorXd latitude = numpy_linspace(extent.north, extent.south, rows);
  const auto sample = [&](Eigen::Index stride, Eigen::MatrixXd& input, Eigen::MatrixXd& target) {
    const Eigen::Index sampled_rows = (rows + stride - 1) / stride;
    const Eigen::Index sampled_columns = (columns + stride - 1) / stride;
    input.resize(sampled_rows * sampled_columns, 2);
    target.resize(sampled_rows * sampled_columns, 1);
    Eigen::Index k = 0;
    for (Eigen::Index i = 0; i < rows; i += stride) {
      for (Eigen::Index j = 0; j < columns; j += stride, ++k) {
        input(k, 0) = longitude(j);
        input(k, 1) = latitude(i);
        target(k, 0) = elevation(i, j);
      }
    }
  };
  Problem problem;
  problem.name = "terrain";
  sample(2, problem.train_input, problem.train_target);
  sample(1, problem.test_input, problem.test_target);
  return problem;
}

/// A picture as a function of the pixel's (column, row): every second pixel of each axis to train
/// on, all pixels to test on.
inline Problem picture(std::string name, const Eigen::MatrixXd& pixels) {
  Problem problem = terrain(pixels, {.west = 0,
                                     .east = static_cast<double>(pixels.cols() - 1),
                                     .north = 0,
                                     .south = static_cast<double>(pixels.rows() - 1)});
  problem.name = std::move(name);
  return problem;
}

/// The samples as one row-major block, for code that knows nothing of Eigen.
inline std::vector<double> row_major(const Eigen::MatrixXd& matrix) {
  std::vector<double> values(static_cast<std::size_t>(matrix.size()));
  Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
      values.data(), matrix.rows(), matrix.cols()) = matrix;
  return values;
}

}  // namespace mgdl_benchmark
