// How long one prediction takes, by every form that a model can have, beside C++ libtorch: four
// grades of 2x128 with 8 inputs in single precision, 0.46 MB of weights. All evaluate the same
// trained model at the same inputs in turn, one thousand different ones, and are compared first.
//
//   benchmark_latency [<rounds>]
//
// The C header is compiled here with `cc`, or with the environment variable CC.

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "mgdl/io/c_header.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/mgdl.hpp"
#include "peer.hpp"
#ifdef MGDL_HAVE_TORCH
#include "torch/torch_inference.hpp"
#endif

namespace {

using mgdl::FeatureLink;
using mgdl::Index;
using Grade = mgdl::HiddenLayers<128, 128>;
using Fixed = mgdl::FixedModel<float, 8, 1, FeatureLink::LastHidden, Grade, Grade, Grade, Grade>;

constexpr Index kInputs = 8;
constexpr Index kSamples = 1000;  // one after the other, as in use: no branch is learnt by heart
constexpr Index kBatch = 4096;

mgdl::RowMatrix<float> inputs(Index rows, std::uint64_t seed) {
  mgdl::RandomStream random(seed);
  mgdl::RowMatrix<float> X(rows, kInputs);
  for (auto& value : X.reshaped()) value = static_cast<float>(random.uniform());
  return X;
}

/// Trained, because how many hidden values are zero decides the time.
mgdl::MultigradeModel<float> trained() {
  const mgdl::RowMatrix<float> X = inputs(4000, 1);
  const mgdl::Matrix<float> Y = ((X.col(0) + X.col(1)).array() * 7).sin() +
                                X.col(2).array() * X.col(3).array() +
                                ((X.rightCols(4).rowwise().sum().array() - 2) * 3).cos();
  mgdl::GradientOptions options;
  options.width = 128;
  options.hidden_layers = 2;
  options.epochs = 20;
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<float>{options}, {.max_grades = 4}};
  return trainer.fit(X, Y).model;
}

/// Part of the hidden values that are zero, over samples and layers.
double zeros(const mgdl::MultigradeModel<float>& model, const mgdl::RowMatrix<float>& X) {
  double sum = 0;
  for (Index k = 1; k <= model.grades(); ++k) {
    const mgdl::Matrix<float> features = model.features(X, k);
    sum += (features.array() == 0).cast<double>().mean();
  }
  return sum / static_cast<double>(model.grades());
}

/// Exported code as a shared library.
class CompiledHeader {
 public:
  CompiledHeader(const mgdl::MultigradeModel<float>& model, const std::string& flags) {
    char name[] = "/tmp/mgdl-latency-XXXXXX";
    if (mkdtemp(name) == nullptr) return;
    const std::string folder = name;
    mgdl::write_c_header(std::filesystem::path(folder + "/model.h"), model);
    mgdl::write_file(folder + "/model.c", [](std::ostream& out) {
      out << "#include \"model.h\"\n"
             "void predict(const float *x, float *y) { model_predict(x, y); }\n";
    });
    const char* compiler = std::getenv("CC");
    const std::string command = std::string(compiler != nullptr ? compiler : "cc") +
                                " -std=c99 -shared -fPIC " + flags + " " + folder + "/model.c -o " +
                                folder + "/model.so";
    if (std::system(command.c_str()) == 0)
      m_library = dlopen((folder + "/model.so").c_str(), RTLD_NOW);
    if (m_library != nullptr) m_predict = reinterpret_cast<Predict*>(dlsym(m_library, "predict"));
    std::filesystem::remove_all(folder);
  }
  CompiledHeader(const CompiledHeader&) = delete;
  CompiledHeader& operator=(const CompiledHeader&) = delete;
  ~CompiledHeader() {
    if (m_library != nullptr) dlclose(m_library);
  }

  explicit operator bool() const { return m_predict != nullptr; }
  float predict(const float* x) const {
    float y = 0;
    m_predict(x, &y);
    return y;
  }

 private:
  using Predict = void(const float*, float*);
  void* m_library = nullptr;
  Predict* m_predict = nullptr;
};

#ifdef MGDL_HAVE_TORCH
mgdl_benchmark::TorchGrades for_torch(const mgdl::MultigradeModel<float>& model) {
  const auto list = [](const mgdl::RowVector<float>& values) {
    return std::vector<float>(values.begin(), values.end());
  };
  mgdl_benchmark::TorchGrades grades{list(model.input_standardizer().mean()),
                                     list(model.input_standardizer().scale()),
                                     list(model.output_standardizer().mean()),
                                     list(model.output_standardizer().scale()),
                                     {}};
  for (Index k = 1; k <= model.grades(); ++k) {
    auto& layers = grades.grades.emplace_back();
    for (const auto& layer : model.grade(k).network.layers()) {
      layers.push_back({static_cast<int>(layer.inputs()), static_cast<int>(layer.outputs()),
                        layer.weights().data(), layer.bias().data()});
    }
  }
  return grades;
}
#endif

/// Sizes of the exported forms, and their errors at X, relative to the largest output.
void print_exports(const mgdl::MultigradeModel<float>& model, const mgdl::RowMatrix<float>& X) {
  const double unit = static_cast<double>(model.predict(X).cwiseAbs().maxCoeff());
  std::printf("FixedModel: %zu bytes\n", sizeof(Fixed));
  for (const auto number : {mgdl::CNumber::Float32, mgdl::CNumber::Int16, mgdl::CNumber::Int8}) {
    std::ostringstream text;
    const auto report =
        write_c_header(text, model, mgdl::CHeaderOptions<float>{.number = number, .samples = X});
    std::printf("C header, %s: %ld bytes of constants, %ld of stack, largest error %.1e",
                to_string(number), static_cast<long>(report.flash_bytes),
                static_cast<long>(report.stack_bytes), *report.samples_error / unit);
    if (report.proven_error) std::printf(", proven bound %.1e", *report.proven_error / unit);
    std::printf("\n");
  }
}

/// One way to evaluate the model.
struct Contestant {
  std::string name;
  bool peer;
  /// Call number i; returns the first output of its first sample.
  std::function<float(Index)> call;
  std::vector<double> seconds = {};  // of one call, a value a round
};

/// Every contestant for `duration` seconds, in turn.
void measure(std::vector<Contestant>& contestants, Index distinct, int rounds, double duration) {
  for (int round = 0; round <= rounds; ++round) {
    for (auto& contestant : contestants) {
      Index calls = 0;
      const double start = mgdl_benchmark::now_seconds();
      double end = start;
      float sum = 0;
      do {
        for (Index i = 0; i < distinct; ++i) sum += contestant.call(i);
        calls += distinct;
        end = mgdl_benchmark::now_seconds();
      } while (end - start < duration);
      volatile float kept = sum;
      static_cast<void>(kept);
      // The first round warms up: TorchScript compiles in it.
      if (round > 0) contestant.seconds.push_back((end - start) / static_cast<double>(calls));
    }
  }
}

/// \param unit  of the seconds printed, 1e-6 say
void print(const std::vector<Contestant>& contestants, double unit, const char* unit_name) {
  double best = std::numeric_limits<double>::infinity();
  for (const auto& contestant : contestants) {
    if (contestant.peer) best = std::min(best, mgdl_benchmark::median(contestant.seconds));
  }
  for (const auto& contestant : contestants) {
    const double seconds = mgdl_benchmark::median(contestant.seconds);
    const auto [low, high] = std::ranges::minmax(contestant.seconds);
    std::printf("  %-50s %8.2f %s  (%.2f to %.2f)", contestant.name.c_str(), seconds / unit,
                unit_name, low / unit, high / unit);
    if (!contestant.peer && std::isfinite(best)) {
      std::printf("   %5.2f of the fastest libtorch: %.1f x", seconds / best, best / seconds);
    }
    std::printf("\n");
  }
}

/// Stops the program if the contestants do not compute the same.
void require_same(const std::vector<Contestant>& contestants, Index distinct,
                  const mgdl::MultigradeModel<float>& model, const mgdl::RowMatrix<float>& X) {
  const mgdl::Matrix<float> Y = model.predict(X);
  const Index step = X.rows() / distinct;
  for (const auto& contestant : contestants) {
    for (Index i = 0; i < distinct; ++i) {
      const float found = contestant.call(i);
      if (std::abs(found - Y(i * step, 0)) <= 1e-3F * Y.cwiseAbs().maxCoeff()) continue;
      std::printf("%s: %g instead of %g at sample %ld\n", contestant.name.c_str(),
                  static_cast<double>(found), static_cast<double>(Y(i * step, 0)),
                  static_cast<long>(i * step));
      std::exit(1);
    }
  }
}

/// Bytes per second at which one thread reads a block of that size again and again.
double read_rate(std::size_t bytes) {
  const auto size = static_cast<Index>(bytes / sizeof(float));
  const Eigen::ArrayXf block = Eigen::ArrayXf::Constant(size, 0.5F);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    constexpr int kRepetitions = 2000;
    const double start = mgdl_benchmark::now_seconds();
    float sum = 0;
    for (int i = 0; i < kRepetitions; ++i) {
      // Eight registers of sums: one would wait for itself.
      constexpr Index kAtOnce = 64;
      Eigen::Array<float, kAtOnce, 1> sums = Eigen::Array<float, kAtOnce, 1>::Zero();
      for (Index j = 0; j + kAtOnce <= size; j += kAtOnce) sums += block.segment<kAtOnce>(j);
      sum += sums.sum();
    }
    volatile float kept = sum;
    static_cast<void>(kept);
    best = std::max(
        best, static_cast<double>(bytes) * kRepetitions / (mgdl_benchmark::now_seconds() - start));
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines appear as they come, in a file too
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
  const int all = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  mgdl_benchmark::announce_peer();
  const mgdl::MultigradeModel<float> model = trained();
  const mgdl::RowMatrix<float> X = inputs(kSamples, 2);
  if (model.grades() != 4) {
    std::printf("%ld grades instead of 4\n", static_cast<long>(model.grades()));
    return 1;
  }
  static const Fixed fixed(model);
  const double bytes = 4.0 * static_cast<double>(model.parameters());
  const double limit = bytes / read_rate(static_cast<std::size_t>(bytes));
  std::printf(
      "%ld parameters, %.0f %% of the features are zero, medians of %d rounds\n"
      "reading all weights once, at the rate of a loop over as many bytes: %.2f us\n",
      static_cast<long>(model.parameters()), 100 * zeros(model, X), rounds, limit * 1e6);

  std::vector<Contestant> single;
  single.push_back({"FixedModel", false, [&](Index i) {
                      return fixed.predict(Fixed::Input(X.row(i).data(), kInputs))[0];
                    }});
  auto predictor = model.predictor(/*threads=*/1);
  mgdl::Matrix<float> x(1, kInputs), y(1, 1);
  single.push_back({"MultigradeModel::predictor(1).predict_into", false, [&](Index i) {
                      x = X.row(i);
                      predictor.predict_into(x, y);
                      return y(0, 0);
                    }});
  std::vector<std::unique_ptr<CompiledHeader>> headers;
  for (const std::string flags : {"-O3 -march=native", "-O2"}) {
    const auto& header = *headers.emplace_back(std::make_unique<CompiledHeader>(model, flags));
    if (!header) {
      std::printf("no C compiler: without the C header\n");
      break;
    }
    single.push_back(
        {"C header, cc " + flags, false, [&](Index i) { return header.predict(X.row(i).data()); }});
  }
  std::vector<Contestant> batch;
  const mgdl::RowMatrix<float> many = inputs(kBatch, 3);
  const mgdl::Matrix<float> many_columns = many;
  mgdl::Matrix<float> many_outputs(kBatch, 1);
  std::vector<std::unique_ptr<mgdl::Predictor<float>>> predictors;
  for (int threads = 1; threads <= all; ++threads) {
    auto& several =
        *predictors.emplace_back(std::make_unique<mgdl::Predictor<float>>(model, threads));
    batch.push_back({"predict_into, " + std::to_string(threads) + " thr.", false, [&](Index) {
                       several.predict_into(many_columns, many_outputs);
                       return many_outputs(0, 0);
                     }});
  }
#ifdef MGDL_HAVE_TORCH
  using mgdl_benchmark::TorchForward;
  const auto grades = for_torch(model);
  std::vector<std::unique_ptr<mgdl_benchmark::TorchInference>> peers;
  for (int threads = 1; threads <= all; ++threads) {
    for (const auto forward : {TorchForward::Eager, TorchForward::Frozen, TorchForward::Optimised,
                               TorchForward::OutVariants}) {
      const std::string name =
          "libtorch " + to_string(forward) + ", " + std::to_string(threads) + " thr.";
      const auto add = [&](std::vector<Contestant>& to, const mgdl::RowMatrix<float>& samples,
                           Index size) {
        auto& peer = *peers.emplace_back(std::make_unique<mgdl_benchmark::TorchInference>(
            grades, forward, threads, samples.data(), samples.rows(), size));
        to.push_back({name, true, [&](Index i) { return peer.predict(i)[0]; }});
      };
      add(single, X, 1);
      add(batch, many, kBatch);
    }
  }
#endif
  print_exports(model, X);
  require_same(single, kSamples, model, X);
  require_same(batch, 1, model, many);

  std::printf("\none sample\n");
  measure(single, kSamples, rounds, 0.1);
  print(single, 1e-6, "us");
  std::printf(
      "  FixedModel runs at %.2f of the rate at which all weights could be read: those "
      "behind a zero are not\n",
      limit / mgdl_benchmark::median(single.front().seconds));
  std::printf("\n%ld samples at once\n", static_cast<long>(kBatch));
  measure(batch, 1, rounds, 0.2);
  print(batch, 1e-3, "ms");
  for (int threads = 1; threads <= all; ++threads) {
    const double flops = 2.0 * static_cast<double>(model.multiply_adds()) * kBatch;
    const double seconds =
        mgdl_benchmark::median(batch[static_cast<std::size_t>(threads - 1)].seconds);
    const double peak = mgdl_benchmark::gemm_peak(threads);
    std::printf("  predict_into, %d thr.: %.0f GFLOP/s, %.0f %% of Eigen's matrix product\n",
                threads, flops / seconds / 1e9, 100 * flops / seconds / peak);
  }
}
