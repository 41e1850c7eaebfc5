// Training and inference throughput of one grade 256 -> 256 -> 256 -> 1 in single precision, ours
// and libtorch's in turn, and both as fractions of the machine's rate of matrix products.
//
//   benchmark_speed [<rounds>]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"
#include "mgdl/mgdl.hpp"
#include "peer.hpp"

namespace {

using mgdl::Index;

constexpr Index kWidth = 256;
constexpr Index kLayers = 2;
constexpr double kForwardFlops = 2.0 * (kLayers * kWidth * kWidth + kWidth);
// Forward, weight gradients, and the deltas of all layers but the first.
constexpr double kTrainingFlops = 3 * kForwardFlops - 2.0 * kWidth * kWidth;

mgdl::Matrix<float> random_matrix(Index rows, Index cols) {
  mgdl::RandomStream random(1);
  mgdl::Matrix<float> values(rows, cols);
  for (auto& value : values.reshaped()) value = static_cast<float>(random.normal());
  return values;
}

/// Samples per second of forward + backward + Adam, as the trainer reports it to observers.
double training_rate(Index batch, int threads) {
  static const mgdl::Matrix<float> X = random_matrix(16384, kWidth);
  static const mgdl::Matrix<float> Y = random_matrix(16384, 1);
  mgdl::GradientOptions options;
  options.width = kWidth;
  options.hidden_layers = kLayers;
  options.epochs = threads == 1 ? 10 : 20;
  options.batch_size = batch;
  double rate = 0;
  mgdl::MultigradeTrainer trainer{
      mgdl::GradientTrainer<float>{options},
      {.max_grades = 1, .threads = threads, .observer = [&](const mgdl::Progress& progress) {
         if (progress.event == mgdl::Progress::Event::Iteration) {
           rate = progress.samples_per_second;
         }
         return mgdl::Action::Continue;
       }}};
  trainer.fit(X, Y);
  return rate;
}

double inference_rate(Index batch, int threads) {
  static const mgdl::MultigradeModel<float> model = [] {
    mgdl::GradientOptions options;
    options.width = kWidth;
    options.hidden_layers = kLayers;
    options.epochs = 1;
    mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<float>{options}, {.max_grades = 1}};
    return trainer.fit(random_matrix(2000, kWidth), random_matrix(2000, 1)).model;
  }();
  const mgdl::Matrix<float> X = random_matrix(batch, kWidth);
  mgdl::Matrix<float> result(batch, 1);
  auto predictor = model.predictor(threads);
  predictor.predict_into(X, result);
  Index done = 0;
  const double start = mgdl_benchmark::now_seconds();
  while (mgdl_benchmark::now_seconds() - start < 0.4) {
    predictor.predict_into(X, result);
    done += batch;
  }
  return static_cast<double>(done) / (mgdl_benchmark::now_seconds() - start);
}

using Rates = std::map<std::string, std::vector<double>>;

void print(const char* task, Index batch, const Rates& rates, double flops, double peak) {
  const double ours = mgdl_benchmark::median(rates.at("mgdl"));
  for (const auto& [name, values] : rates) {
    const double rate = mgdl_benchmark::median(values);
    std::printf("%-9s %5ld  %-38s %9.0f samples/s %6.1f GFLOP/s %5.0f %% of peak", task,
                static_cast<long>(batch), name.c_str(), rate, rate * flops / 1e9,
                100 * rate * flops / peak);
    if (name != "mgdl") std::printf("   mgdl is %.2f x", ours / rate);
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines appear as they come, in a file too
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const int all = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  mgdl_benchmark::announce_peer();
  std::printf("medians of %d rounds; peak: Eigen's product on all threads used\n", rounds);
  for (const int threads : {all, 1}) {
    const double peak = mgdl_benchmark::gemm_peak(threads);
    std::printf("\n%d thread%s, peak %.0f GFLOP/s\n", threads, threads == 1 ? "" : "s", peak / 1e9);
    for (const Index batch : {256, 4096}) {
      Rates training;
      Rates inference;
      for (int round = 0; round < rounds; ++round) {
        training["mgdl"].push_back(training_rate(batch, threads));
        inference["mgdl"].push_back(inference_rate(batch, threads));
#ifdef MGDL_HAVE_TORCH
        using mgdl_benchmark::TorchStep;
        for (int peer = 1; peer <= threads; ++peer) {
          const std::string suffix = ", " + std::to_string(peer) + " thr.";
          for (const auto step :
               {TorchStep::Tutorial, TorchStep::FusedAdam, TorchStep::HandWritten}) {
            training["torch " + mgdl_benchmark::to_string(step) + suffix].push_back(
                mgdl_benchmark::torch_training_throughput(kWidth, kWidth, kLayers, 1,
                                                          static_cast<int>(batch), peer, 0.4, step)
                    .samples_per_second);
          }
          inference["torch" + suffix].push_back(
              mgdl_benchmark::torch_inference_throughput(kWidth, kWidth, kLayers, 1,
                                                         static_cast<int>(batch), peer, 0.4)
                  .samples_per_second);
        }
#endif
      }
      print("training", batch, training, kTrainingFlops, peak);
      print("inference", batch, inference, kForwardFlops, peak);
    }
  }
}
