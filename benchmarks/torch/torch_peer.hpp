#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// \file
/// The peer of the benchmarks: the same networks, trained and evaluated by C++ libtorch.
///
/// The header is plain C++17 and includes neither Torch nor Eigen: only one translation unit pays
/// for Torch's headers and only the benchmarks link to it. Samples are row-major: one row, one
/// sample. The figures are worth something only while the peer is at its best, so the BLAS, the way
/// a step is written, the initialisation and the learning rates are the fastest or most accurate of
/// those that were tried; what was tried is said beside each. The schedule is the usual one.
///
/// With as many threads as cores Torch's threads wait for each other by spinning: any other process
/// on the machine then slows them down tenfold and more. Measure 2 threads on an idle machine only.

namespace mgdl_benchmark {

/// How one training step is written.
enum class TorchStep {
  /// As in Torch's tutorials: nn::Sequential, autograd, torch::optim::Adam.
  Tutorial,
  /// Autograd over views of one flat parameter buffer, Adam fused into one pass over it.
  FusedAdam,
  /// FusedAdam with the backward pass written out in ATen calls into buffers made once.
  HandWritten
};

std::string to_string(TorchStep step);

/// Samples per second of one configuration.
struct TorchThroughput {
  double samples_per_second = 0.0;       ///< median of the rounds
  double best_samples_per_second = 0.0;  ///< fastest round
  int rounds = 0;
};

/// Throughput of forward + backward + Adam step in float32 on random data; the input needs no
/// gradient. Set-up and warm-up are outside of the timing.
///
/// \param inputs, width, hidden_layers, outputs  sizes of the network
/// \param batch    samples per step
/// \param threads  intra-operator threads
/// \param seconds  how long to measure, in about nine rounds
TorchThroughput torch_training_throughput(int inputs, int width, int hidden_layers, int outputs,
                                          int batch, int threads, double seconds,
                                          TorchStep step = TorchStep::HandWritten);

/// The fastest of all ways to write the step, as found by measuring each for `seconds`.
TorchThroughput torch_best_training_throughput(int inputs, int width, int hidden_layers,
                                               int outputs, int batch, int threads, double seconds,
                                               TorchStep* fastest = nullptr);

/// Throughput of the forward pass in inference mode, float32, random data.
TorchThroughput torch_inference_throughput(int inputs, int width, int hidden_layers, int outputs,
                                           int batch, int threads, double seconds);

/// How weights and biases start.
enum class TorchInitialization {
  /// Torch's own: weights and biases uniform in +-1/sqrt(fan-in).
  TorchDefault,
  /// Hidden weights normal with variance 2/fan-in (He), readout and biases zero-mean small.
  He,
  /// He, with each bias such that the unit's kink passes through a random training sample.
  HeKinksAtSamples
};

std::string to_string(TorchInitialization initialization);

/// Training and test samples; all pointers row-major, valid during the call only. Doubles, because
/// standardising must not lose digits of inputs like longitudes; training itself is in float32.
struct TorchData {
  int inputs = 0;
  int outputs = 0;
  std::int64_t train_samples = 0;
  const double* train_input = nullptr;   ///< train_samples x inputs
  const double* train_target = nullptr;  ///< train_samples x outputs
  std::int64_t test_samples = 0;         ///< may be 0
  const double* test_input = nullptr;
  const double* test_target = nullptr;
};

/// Network and training of one fit. The defaults suit both of the benchmarks' problems; the
/// settings that are best for each are in the functions below.
struct TorchFitOptions {
  int grades = 4;         ///< 1: an ordinary network
  int width = 128;        ///< units of every hidden layer
  int hidden_layers = 2;  ///< of each grade
  int epochs = 500;       ///< per grade
  int batch = 256;
  double learning_rate = 4e-3;        ///< peak, first grade
  double later_learning_rate = 3e-3;  ///< peak, later grades; 0: as the first
  double final_fraction = 0.0;        ///< the cosine decays to this fraction of the peak
  double warmup_fraction = 0.02;      ///< linear warm-up, fraction of the grade's steps
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  TorchInitialization initialization = TorchInitialization::HeKinksAtSamples;
  TorchInitialization later_initialization =
      TorchInitialization::He;       ///< of grades after the first
  double input_gain = 1.0;           ///< factor on the standardised inputs of the first grade
  bool standardize_features = true;  ///< standardise the features of later grades, too
  double validation_fraction = 0.0;  ///< > 0: the iterate best on this part is the one kept
  int patience = 0;                  ///< epochs without progress on it before stopping; 0: never
  /// > 0: each grade trains for this long instead of `epochs`; the learning rate then follows the
  /// elapsed time, so that it decays fully however fast the machine is.
  double time_limit_seconds = 0.0;
  int threads = 1;
  std::uint64_t seed = 0;
};

/// Best settings found for the spectral problem, 4 grades of 2x128, batch 256, 500 epochs a grade.
///
/// How they were found (one seed a setting, test RSE, a search by hand and no full grid):
/// - first grade, 100 epochs, rate 4e-3: Torch's initialisation 0.97, He 0.94, kinks 0.81;
/// - rate for all grades of 2, 4, 8e-3: 8e-3 stalls at 0.1 to 0.5 after four grades;
/// - later grades, first at 4e-3: rates of 1, 2, 3e-3 give 2.0e-4, 3.0e-5, 2.1e-5; over 5 seeds the
///   medians of 2 and 3e-3 do not differ (7.0e-5, 7.3e-5; seeds spread from 2e-5 to 4e-4);
/// - standardised features divide the error of grade four by 1.5 to 2.6 at a rate of 2e-3;
/// - later grades, rate 2e-3: He 3.0e-5, kinks at samples 4.8e-5;
/// - input gains of 1, 3, 10, 30, 100: large ones help the first grade and harm the later ones;
/// - beta2 = 0.99 helps the first grade and harms the last (4.2e-4 instead of 2.1e-5).
TorchFitOptions torch_spectral_options();

/// Best settings found for the terrain, 4 grades of 2x128, batch 256, 30 epochs a grade.
///
/// Found as above: rates for the first grade of 1 to 16e-3 and for later ones of 2 to 5e-3 (from
/// 5e-3 on the last grade suffers), input gains of 1, 2, 3, 10 (1 and 2 do not differ), beta2 =
/// 0.99 (worse). Batch 1024 for as many epochs has twice the error and takes about as long.
TorchFitOptions torch_terrain_options();

/// Best found for one grade of 8x128 on the spectral problem, 500 epochs: rates of 0.5, 1, 2e-3, He
/// (0.59) and kinks at samples (0.12), gains of 1 and 5. Searched less than the above; seeds differ
/// a lot (0.10 to 0.28 after 450 epochs).
TorchFitOptions torch_spectral_single_options();

/// Best found for one grade of 8x128 on the terrain, 30 epochs: He with rates of 1, 2, 4e-3, kinks
/// at samples with 2 and 3e-3, gains of 1, 2, 4.
TorchFitOptions torch_terrain_single_options();

/// What one grade reached; errors are those of the model that ends with this grade.
struct TorchGradeReport {
  double seconds = 0.0;    ///< training and features; the errors are measured outside of it
  double train_rse = 0.0;  ///< of the fitted part of the training samples
  double test_rse = 0.0;   ///< NaN without test samples
  int epochs = 0;          ///< begun
};

struct TorchFit {
  std::vector<TorchGradeReport> grades;
  double seconds = 0.0;  ///< sum over grades
};

/// Trains grade by grade with Adam: each grade on the features of the frozen grade before it, for
/// the residual scaled by its RMS. Throws std::invalid_argument for sizes that make no sense.
TorchFit torch_multigrade(const TorchData& data, const TorchFitOptions& options);

/// Threads of Torch and of its BLAS.
void set_torch_threads(int threads);

/// False if the environment slows the peer down: OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE choose
/// slower kernels. The BLAS reads them when it is loaded, so unset them before the program starts.
bool torch_environment_is_clean();

/// The BLAS that Torch's products run on, e.g. "OpenBLAS 0.3.21 ... SkylakeX (OpenMP)".
///
/// Debian's Torch calls whichever libblas.so.3 is installed: with the reference BLAS it trains
/// about 25 times slower. OpenBLAS on POSIX threads ignores Torch's number of threads and has a
/// pool of its own beside Torch's, which cost a product half of its speed or more with 2 threads.
/// `libopenblas0-openmp` is the one to install.
std::string torch_blas();

/// True if that BLAS is the fastest choice: OpenBLAS built with OpenMP.
bool torch_blas_is_fastest();

}  // namespace mgdl_benchmark
