#include "torch_peer.hpp"

#include <Eigen/Core>

#include <dlfcn.h>
#include <malloc.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>

namespace mgdl_benchmark {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A function of the BLAS that the program happens to run on, or null.
template <class Function>
Function* blas_function(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

/// Keeps freed memory in the process.
///
/// By default glibc hands large blocks back to the system when they are freed, and autograd, which
/// allocates in every step, pages them in again. Worth up to about a tenth to autograd's steps,
/// nothing to the hand-written one, which allocates nothing large.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
}

/// While it lives, denormal floats count as zero on this thread: the means of dead units' gradients
/// would else slow Adam down.
class FlushDenormals {
 public:
  FlushDenormals() { at::globalContext().setFlushDenormal(true); }
  ~FlushDenormals() { at::globalContext().setFlushDenormal(false); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

struct Sizes {
  std::int64_t inputs = 0;
  std::int64_t width = 0;
  std::int64_t hidden_layers = 0;
  std::int64_t outputs = 0;
};

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// GCC 12 takes an intrinsic's deliberately undefined operand for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

/// One Adam update. In pieces that stay in the first cache, with Eigen's packet square root: a
/// plain loop stays scalar under -fmath-errno, the compilers' default, and takes four times as
/// long.
void adam_update(float* parameters, const float* gradient, float* mean, float* square,
                 std::int64_t count, float beta1, float beta2, float rate, float square_scale,
                 float epsilon) {
  constexpr std::int64_t piece = 1024;
  for (std::int64_t begin = 0; begin < count; begin += piece) {
    const Eigen::Index size = std::min(piece, count - begin);
    const Eigen::Map<const Eigen::ArrayXf> g(gradient + begin, size);
    Eigen::Map<Eigen::ArrayXf> m(mean + begin, size);
    Eigen::Map<Eigen::ArrayXf> v(square + begin, size);
    Eigen::Map<Eigen::ArrayXf> p(parameters + begin, size);
    m = beta1 * m + (1.0f - beta1) * g;
    v = beta2 * v + (1.0f - beta2) * g.square();
    p -= rate * m / (v.sqrt() * square_scale + epsilon);
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Adam fused into one pass over flat buffers; the same update as torch::optim::Adam.
class FlatAdam {
 public:
  FlatAdam(std::int64_t size, const AdamOptions& options)
      : m_options(options), m_mean(size, 0.0f), m_square(size, 0.0f) {}

  void step(float* parameters, const float* gradient, double learning_rate) {
    ++m_steps;
    const double mean_bias = 1.0 - std::pow(m_options.beta1, m_steps);
    const double square_bias = 1.0 - std::pow(m_options.beta2, m_steps);
    const float beta1 = static_cast<float>(m_options.beta1);
    const float beta2 = static_cast<float>(m_options.beta2);
    const float epsilon = static_cast<float>(m_options.epsilon);
    const float rate = static_cast<float>(learning_rate / mean_bias);
    const float square_scale = static_cast<float>(1.0 / std::sqrt(square_bias));
    float* const mean = m_mean.data();
    float* const square = m_square.data();
    const auto update = [=](std::int64_t begin, std::int64_t end) {
      adam_update(parameters + begin, gradient + begin, mean + begin, square + begin, end - begin,
                  beta1, beta2, rate, square_scale, epsilon);
    };
    at::parallel_for(0, static_cast<std::int64_t>(m_mean.size()), 32768, update);
  }

 private:
  AdamOptions m_options;
  std::vector<float> m_mean;
  std::vector<float> m_square;
  std::int64_t m_steps = 0;
};

/// Weights and biases of a ReLU network as views of one flat buffer, and their gradients as views
/// of another, so that the optimiser is one loop.
class FlatNetwork {
 public:
  explicit FlatNetwork(const Sizes& sizes) : m_sizes(sizes) {
    std::int64_t total = 0;
    for (std::int64_t l = 0; l <= sizes.hidden_layers; ++l) total += rows(l) * (columns(l) + 1);
    m_parameters = at::zeros({total}, at::kFloat);
    m_gradient = at::zeros({total}, at::kFloat);
    std::int64_t offset = 0;
    const auto take = [&](std::vector<at::Tensor>& values, std::vector<at::Tensor>& gradients,
                          at::IntArrayRef shape, std::int64_t count) {
      values.push_back(m_parameters.narrow(0, offset, count).view(shape));
      gradients.push_back(m_gradient.narrow(0, offset, count).view(shape));
      offset += count;
    };
    for (std::int64_t l = 0; l <= sizes.hidden_layers; ++l) {
      take(m_weights, m_weight_gradients, {rows(l), columns(l)}, rows(l) * columns(l));
      take(m_biases, m_bias_gradients, {rows(l)}, rows(l));
    }
  }

  std::int64_t layers() const { return m_sizes.hidden_layers + 1; }
  std::int64_t rows(std::int64_t layer) const {
    return layer == m_sizes.hidden_layers ? m_sizes.outputs : m_sizes.width;
  }
  std::int64_t columns(std::int64_t layer) const {
    return layer == 0 ? m_sizes.inputs : m_sizes.width;
  }
  const Sizes& sizes() const { return m_sizes; }
  at::Tensor& parameters() { return m_parameters; }
  at::Tensor& gradient() { return m_gradient; }
  std::vector<at::Tensor>& weights() { return m_weights; }
  std::vector<at::Tensor>& biases() { return m_biases; }
  std::vector<at::Tensor>& weight_gradients() { return m_weight_gradients; }
  std::vector<at::Tensor>& bias_gradients() { return m_bias_gradients; }

 private:
  Sizes m_sizes;
  at::Tensor m_parameters;
  at::Tensor m_gradient;
  std::vector<at::Tensor> m_weights;
  std::vector<at::Tensor> m_biases;
  std::vector<at::Tensor> m_weight_gradients;
  std::vector<at::Tensor> m_bias_gradients;
};

/// One way of writing a training step.
class Stepper {
 public:
  virtual ~Stepper() = default;
  /// Forward, backward and Adam step for the mean squared error of one batch.
  virtual void step(const at::Tensor& input, const at::Tensor& target, double learning_rate) = 0;
};

class TutorialStepper final : public Stepper {
 public:
  TutorialStepper(const Sizes& sizes, const AdamOptions& options) {
    std::int64_t columns = sizes.inputs;
    for (std::int64_t l = 0; l < sizes.hidden_layers; ++l, columns = sizes.width) {
      m_network->push_back(torch::nn::Linear(columns, sizes.width));
      m_network->push_back(torch::nn::ReLU(torch::nn::ReLUOptions(true)));
    }
    m_network->push_back(torch::nn::Linear(columns, sizes.outputs));
    m_parameters = m_network->parameters();
    m_optimizer = std::make_unique<torch::optim::Adam>(
        m_parameters, torch::optim::AdamOptions(1e-3)
                          .betas(std::make_tuple(options.beta1, options.beta2))
                          .eps(options.epsilon));
  }

  void step(const at::Tensor& input, const at::Tensor& target, double learning_rate) override {
    for (auto& group : m_optimizer->param_groups()) {
      static_cast<torch::optim::AdamOptions&>(group.options()).lr(learning_rate);
    }
    // zero_grad(set_to_none), which the C++ class has only in later versions of Torch.
    for (at::Tensor& parameter : m_parameters) parameter.mutable_grad() = at::Tensor();
    torch::mse_loss(m_network->forward(input), target).backward();
    m_optimizer->step();
  }

 private:
  torch::nn::Sequential m_network;
  std::vector<at::Tensor> m_parameters;
  std::unique_ptr<torch::optim::Adam> m_optimizer;
};

/// Autograd, but every parameter a leaf that shares the flat buffer's memory, so that the optimiser
/// is one pass. The gradients arrive in buffers of autograd's own and are copied together.
class FusedAdamStepper final : public Stepper {
 public:
  FusedAdamStepper(FlatNetwork& network, const AdamOptions& options)
      : m_network(network), m_adam(network.parameters().numel(), options) {
    for (std::int64_t l = 0; l < network.layers(); ++l) {
      for (auto* values : {&network.weights(), &network.biases()}) {
        m_leaves.push_back((*values)[l].detach().requires_grad_(true));
      }
      for (auto* gradients : {&network.weight_gradients(), &network.bias_gradients()}) {
        // Autograd adds into a gradient that is there: giving it the flat buffer saves the copy.
        m_leaves[m_leaves.size() - (gradients == &network.weight_gradients() ? 2 : 1)]
            .mutable_grad() = (*gradients)[l];
      }
    }
  }

  void step(const at::Tensor& input, const at::Tensor& target, double learning_rate) override {
    m_network.gradient().zero_();
    at::Tensor value = input;
    for (std::int64_t l = 0; l < m_network.layers(); ++l) {
      value = at::linear(value, m_leaves[2 * l], m_leaves[2 * l + 1]);
      if (l + 1 < m_network.layers()) value = value.relu_();
    }
    at::mse_loss(value, target).backward();
    m_adam.step(m_network.parameters().data_ptr<float>(), m_network.gradient().data_ptr<float>(),
                learning_rate);
  }

 private:
  FlatNetwork& m_network;
  FlatAdam m_adam;
  std::vector<at::Tensor> m_leaves;
};

class HandWrittenStepper final : public Stepper {
 public:
  HandWrittenStepper(FlatNetwork& network, const AdamOptions& options, std::int64_t max_batch)
      : m_network(network), m_adam(network.parameters().numel(), options) {
    for (std::int64_t l = 0; l < network.layers(); ++l) {
      m_values.push_back(at::empty({max_batch, network.rows(l)}, at::kFloat));
      m_slopes.push_back(at::empty({max_batch, network.rows(l)}, at::kFloat));
      m_transposed.push_back(network.weights()[l].t());
    }
  }

  void step(const at::Tensor& input, const at::Tensor& target, double learning_rate) override {
    at::InferenceMode guard;
    const std::int64_t batch = input.size(0);
    if (batch != m_batch) bind(batch);
    const std::int64_t last = m_network.layers() - 1;
    for (std::int64_t l = 0; l <= last; ++l) {
      at::addmm_out(m_value_views[l], m_network.biases()[l], l == 0 ? input : m_value_views[l - 1],
                    m_transposed[l]);
      if (l < last) m_value_views[l].relu_();
    }
    at::sub_out(m_slope_views[last], m_value_views[last], target);
    m_slope_views[last].mul_(2.0 / static_cast<double>(m_slope_views[last].numel()));
    for (std::int64_t l = last; l >= 0; --l) {
      at::mm_out(m_network.weight_gradients()[l], m_slope_views[l].t(),
                 l == 0 ? input : m_value_views[l - 1]);
      at::sum_out(m_network.bias_gradients()[l], m_slope_views[l], at::IntArrayRef{0});
      if (l > 0) {
        at::mm_out(m_slope_views[l - 1], m_slope_views[l], m_network.weights()[l]);
        at::threshold_backward_out(m_slope_views[l - 1], m_slope_views[l - 1], m_value_views[l - 1],
                                   0.0);
      }
    }
    m_adam.step(m_network.parameters().data_ptr<float>(), m_network.gradient().data_ptr<float>(),
                learning_rate);
  }

 private:
  void bind(std::int64_t batch) {
    m_value_views.clear();
    m_slope_views.clear();
    for (std::size_t l = 0; l < m_values.size(); ++l) {
      m_value_views.push_back(m_values[l].narrow(0, 0, batch));
      m_slope_views.push_back(m_slopes[l].narrow(0, 0, batch));
    }
    m_batch = batch;
  }

  FlatNetwork& m_network;
  FlatAdam m_adam;
  std::vector<at::Tensor> m_values;
  std::vector<at::Tensor> m_slopes;
  std::vector<at::Tensor> m_transposed;
  std::vector<at::Tensor> m_value_views;
  std::vector<at::Tensor> m_slope_views;
  std::int64_t m_batch = -1;
};

std::unique_ptr<Stepper> make_stepper(TorchStep step, FlatNetwork& network,
                                      const AdamOptions& options, std::int64_t max_batch) {
  switch (step) {
    case TorchStep::Tutorial: return std::make_unique<TutorialStepper>(network.sizes(), options);
    case TorchStep::FusedAdam: return std::make_unique<FusedAdamStepper>(network, options);
    case TorchStep::HandWritten: break;
  }
  return std::make_unique<HandWrittenStepper>(network, options, max_batch);
}

/// Runs `work` in rounds of equal length for about `seconds`.
template <class Work>
TorchThroughput measure(std::int64_t samples, double seconds, const Work& work) {
  constexpr int max_rounds = 9;
  // Warm-up: code, caches and allocator, and how many calls make a round.
  const auto warm_up = Clock::now();
  int calls = 0;
  do {
    work();
    ++calls;
  } while (calls < 3 || seconds_since(warm_up) < 0.1 * seconds);
  const double estimate = seconds_since(warm_up) / calls;
  const int per_round =
      std::max(1, static_cast<int>(seconds / max_rounds / std::max(estimate, 1e-9)));
  std::vector<double> rates;
  const auto start = Clock::now();
  while (static_cast<int>(rates.size()) < max_rounds &&
         (rates.empty() || seconds_since(start) < 2.0 * seconds)) {
    const auto round = Clock::now();
    for (int i = 0; i < per_round; ++i) work();
    rates.push_back(static_cast<double>(samples) * per_round / seconds_since(round));
  }
  std::sort(rates.begin(), rates.end());
  TorchThroughput throughput;
  throughput.samples_per_second = rates[rates.size() / 2];
  throughput.best_samples_per_second = rates.back();
  throughput.rounds = static_cast<int>(rates.size());
  return throughput;
}

/// Column means and inverse deviations of the training samples, applied to any samples, in double.
class Standardization {
 public:
  explicit Standardization(const at::Tensor& samples) {
    const at::Tensor wide = samples.to(at::kDouble);
    m_mean = wide.mean(0);
    m_scale = wide.std(0, false);
    // A constant column (a dead unit) is left alone rather than blown up.
    m_scale = at::where(m_scale > 1e-6 * (m_mean.abs() + 1e-30), m_scale, at::ones_like(m_scale));
  }
  at::Tensor apply(const at::Tensor& samples, double gain) const {
    return ((samples.to(at::kDouble) - m_mean) * (gain / m_scale)).to(at::kFloat).contiguous();
  }

 private:
  at::Tensor m_mean;
  at::Tensor m_scale;
};

void initialize(FlatNetwork& network, TorchInitialization initialization,
                const at::Tensor& samples) {
  at::Tensor values;  // of some samples, layer by layer, for the kinks
  if (initialization == TorchInitialization::HeKinksAtSamples) {
    const std::int64_t picked = std::min<std::int64_t>(samples.size(0), 4096);
    values = samples.index_select(0, at::randperm(samples.size(0)).narrow(0, 0, picked));
  }
  for (std::int64_t l = 0; l < network.layers(); ++l) {
    at::Tensor& weight = network.weights()[l];
    at::Tensor& bias = network.biases()[l];
    const double fan_in = static_cast<double>(network.columns(l));
    const bool readout = l + 1 == network.layers();
    if (readout || initialization == TorchInitialization::TorchDefault) {
      weight.uniform_(-1.0 / std::sqrt(fan_in), 1.0 / std::sqrt(fan_in));
      bias.uniform_(-1.0 / std::sqrt(fan_in), 1.0 / std::sqrt(fan_in));
      continue;
    }
    weight.normal_(0.0, std::sqrt(2.0 / fan_in));
    if (initialization == TorchInitialization::He) {
      bias.zero_();
      continue;
    }
    const at::Tensor centres =
        values.index_select(0, at::randint(values.size(0), {network.rows(l)}, at::kLong));
    bias.copy_(-(weight * centres).sum(1));
    values = at::relu(at::addmm(bias, values, weight.t()));
  }
}

/// Rows evaluated together: enough for the BLAS, small enough for the cache.
constexpr std::int64_t evaluation_rows = 2048;

/// Output and last hidden features of all samples, in blocks.
void evaluate(FlatNetwork& network, const at::Tensor& samples, at::Tensor* output,
              at::Tensor* features) {
  const std::int64_t count = samples.size(0);
  if (output) *output = at::empty({count, network.sizes().outputs}, at::kFloat);
  if (features) *features = at::empty({count, network.sizes().width}, at::kFloat);
  for (std::int64_t begin = 0; begin < count; begin += evaluation_rows) {
    const std::int64_t rows = std::min(evaluation_rows, count - begin);
    at::Tensor value = samples.narrow(0, begin, rows);
    for (std::int64_t l = 0; l + 1 < network.layers(); ++l) {
      value = at::addmm(network.biases()[l], value, network.weights()[l].t()).relu_();
    }
    if (features) features->narrow(0, begin, rows).copy_(value);
    if (output) {
      at::Tensor part = output->narrow(0, begin, rows);
      at::addmm_out(part, network.biases().back(), value, network.weights().back().t());
    }
  }
}

double mean_square(const at::Tensor& values) {
  return values.to(at::kDouble).square().mean().item<double>();
}

double sum_square(const at::Tensor& values) {
  return values.to(at::kDouble).square().sum().item<double>();
}

void check(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

}  // namespace

std::string to_string(TorchStep step) {
  switch (step) {
    case TorchStep::Tutorial: return "tutorial";
    case TorchStep::FusedAdam: return "fused Adam";
    case TorchStep::HandWritten: return "hand-written backward";
  }
  return "unknown";
}

std::string to_string(TorchInitialization initialization) {
  switch (initialization) {
    case TorchInitialization::TorchDefault: return "torch default";
    case TorchInitialization::He: return "He";
    case TorchInitialization::HeKinksAtSamples: return "He, kinks at samples";
  }
  return "unknown";
}

void set_torch_threads(int threads) {
  at::set_num_threads(threads);
  // OpenBLAS on POSIX threads does not look at OpenMP's setting: without this "1 thread" would
  // be 2.
  if (auto* set = blas_function<void(int)>("openblas_set_num_threads")) set(threads);
}

bool torch_environment_is_clean() {
  return std::getenv("OPENBLAS_CORETYPE") == nullptr && std::getenv("OPENBLAS_L2_SIZE") == nullptr;
}

std::string torch_blas() {
  auto* config = blas_function<char*()>("openblas_get_config");
  if (config == nullptr) return "not OpenBLAS: slow";
  std::string text = config();
  if (auto* core = blas_function<char*()>("openblas_get_corename")) {
    if (text.find(core()) == std::string::npos) text += std::string(" ") + core();
  }
  if (auto* parallel = blas_function<int()>("openblas_get_parallel")) {
    const int kind = parallel();
    text += kind == 2 ? " (OpenMP)" : kind == 1 ? " (POSIX threads)" : " (serial)";
  }
  return text;
}

bool torch_blas_is_fastest() {
  auto* parallel = blas_function<int()>("openblas_get_parallel");
  return parallel != nullptr && parallel() == 2;
}

TorchThroughput torch_training_throughput(int inputs, int width, int hidden_layers, int outputs,
                                          int batch, int threads, double seconds, TorchStep step) {
  set_torch_threads(threads);
  keep_freed_memory();
  at::manual_seed(1);
  FlatNetwork network({inputs, width, hidden_layers, outputs});
  const at::Tensor input = at::randn({batch, inputs}, at::kFloat);
  const at::Tensor target = at::randn({batch, outputs}, at::kFloat);
  initialize(network, TorchInitialization::He, input);
  const auto stepper = make_stepper(step, network, {}, batch);
  return measure(batch, seconds, [&] { stepper->step(input, target, 1e-4); });
}

TorchThroughput torch_best_training_throughput(int inputs, int width, int hidden_layers,
                                               int outputs, int batch, int threads, double seconds,
                                               TorchStep* fastest) {
  TorchThroughput best;
  for (const TorchStep step : {TorchStep::Tutorial, TorchStep::FusedAdam, TorchStep::HandWritten}) {
    const TorchThroughput one = torch_training_throughput(inputs, width, hidden_layers, outputs,
                                                          batch, threads, seconds, step);
    if (one.samples_per_second <= best.samples_per_second) continue;
    best = one;
    if (fastest) *fastest = step;
  }
  return best;
}

TorchThroughput torch_inference_throughput(int inputs, int width, int hidden_layers, int outputs,
                                           int batch, int threads, double seconds) {
  set_torch_threads(threads);
  keep_freed_memory();
  at::InferenceMode guard;
  at::manual_seed(1);
  FlatNetwork network({inputs, width, hidden_layers, outputs});
  const at::Tensor input = at::randn({batch, inputs}, at::kFloat);
  initialize(network, TorchInitialization::He, input);
  std::vector<at::Tensor> values;
  for (std::int64_t l = 0; l < network.layers(); ++l) {
    values.push_back(at::empty({batch, network.rows(l)}, at::kFloat));
  }
  return measure(batch, seconds, [&] {
    for (std::int64_t l = 0; l < network.layers(); ++l) {
      at::addmm_out(values[l], network.biases()[l], l == 0 ? input : values[l - 1],
                    network.weights()[l].t());
      if (l + 1 < network.layers()) values[l].relu_();
    }
  });
}

TorchFitOptions torch_spectral_options() {
  TorchFitOptions options;
  options.epochs = 500;
  options.batch = 256;
  options.learning_rate = 4e-3;
  options.later_learning_rate = 3e-3;
  return options;
}

TorchFitOptions torch_terrain_options() {
  TorchFitOptions options;
  options.epochs = 30;
  options.batch = 256;
  options.learning_rate = 8e-3;
  options.later_learning_rate = 3e-3;
  options.input_gain = 2.0;
  return options;
}

TorchFitOptions torch_spectral_single_options() {
  TorchFitOptions options = torch_spectral_options();
  options.grades = 1;
  options.hidden_layers = 8;
  options.learning_rate = 2e-3;
  return options;
}

TorchFitOptions torch_terrain_single_options() {
  TorchFitOptions options = torch_terrain_options();
  options.grades = 1;
  options.hidden_layers = 8;
  options.learning_rate = 3e-3;
  return options;
}

TorchFit torch_multigrade(const TorchData& data, const TorchFitOptions& options) {
  check(data.inputs > 0 && data.outputs > 0, "TorchData: inputs and outputs must be > 0");
  check(data.train_samples > 1 && data.train_input && data.train_target,
        "TorchData: needs at least two training samples");
  check(options.grades > 0 && options.width > 0 && options.hidden_layers > 0,
        "TorchFitOptions: grades, width and hidden_layers must be > 0");
  check(options.batch > 0 && options.learning_rate > 0.0,
        "TorchFitOptions: batch and learning_rate must be > 0");
  check(options.epochs > 0 || options.time_limit_seconds > 0.0,
        "TorchFitOptions: epochs or time_limit_seconds must be > 0");
  check(options.validation_fraction >= 0.0 && options.validation_fraction < 1.0,
        "TorchFitOptions: validation_fraction must be in [0, 1)");

  const at::InferenceMode guard;
  const FlushDenormals flush_denormals;
  set_torch_threads(options.threads);
  keep_freed_memory();
  at::manual_seed(options.seed);

  const auto tensor = [](const double* values, std::int64_t rows, std::int64_t columns) {
    return at::from_blob(const_cast<double*>(values), {rows, columns}, at::kDouble);
  };
  at::Tensor train_input = tensor(data.train_input, data.train_samples, data.inputs);
  at::Tensor train_target = tensor(data.train_target, data.train_samples, data.outputs);
  const bool has_test = data.test_samples > 0 && data.test_input && data.test_target;

  TorchFit fit;
  auto start = Clock::now();
  const auto held_out = static_cast<std::int64_t>(options.validation_fraction *
                                                  static_cast<double>(data.train_samples));
  at::Tensor validation_input, validation_target;
  if (held_out > 0) {
    const at::Tensor order = at::randperm(data.train_samples);
    const at::Tensor kept = order.narrow(0, held_out, data.train_samples - held_out);
    const at::Tensor held = order.narrow(0, 0, held_out);
    validation_input = train_input.index_select(0, held);
    validation_target = train_target.index_select(0, held);
    train_input = train_input.index_select(0, kept);
    train_target = train_target.index_select(0, kept);
  }
  const std::int64_t samples = train_input.size(0);

  // Standardise in double: in float32 a longitude has too few digits left after its degrees.
  const Standardization standardization(train_input);
  const at::Tensor target_mean = train_target.mean(0);
  at::Tensor features = standardization.apply(train_input, options.input_gain);
  at::Tensor residual = train_target - target_mean;  // double: later residuals are tiny
  at::Tensor validation_features, validation_residual;
  if (held_out > 0) {
    validation_features = standardization.apply(validation_input, options.input_gain);
    validation_residual = validation_target - target_mean;
  }
  double setup_seconds = seconds_since(start);

  at::Tensor test_features, test_residual;
  double test_energy = 0.0;
  if (has_test) {
    test_features = standardization.apply(tensor(data.test_input, data.test_samples, data.inputs),
                                          options.input_gain);
    const at::Tensor test_target = tensor(data.test_target, data.test_samples, data.outputs);
    test_residual = test_target - target_mean;
    test_energy = sum_square(test_target);
  }
  const double train_energy = sum_square(train_target);

  for (int grade = 0; grade < options.grades; ++grade) {
    start = Clock::now();
    TorchGradeReport report;
    const double scale = std::sqrt(std::max(mean_square(residual), 1e-300));
    const at::Tensor target = (residual / scale).to(at::kFloat).contiguous();
    at::Tensor scaled_validation;
    if (held_out > 0) scaled_validation = (validation_residual / scale).to(at::kFloat);

    std::unique_ptr<Standardization> feature_standardization;
    if (grade > 0 && options.standardize_features) {
      feature_standardization = std::make_unique<Standardization>(features);
      features = feature_standardization->apply(features, 1.0);
      if (held_out > 0) {
        validation_features = feature_standardization->apply(validation_features, 1.0);
      }
    }

    FlatNetwork network({features.size(1), options.width, options.hidden_layers, data.outputs});
    initialize(network, grade == 0 ? options.initialization : options.later_initialization,
               features);
    HandWrittenStepper stepper(network, {options.beta1, options.beta2, options.epsilon},
                               options.batch);

    const std::int64_t batch = std::min<std::int64_t>(options.batch, samples);
    const std::int64_t batches = (samples + batch - 1) / batch;
    const double peak = grade > 0 && options.later_learning_rate > 0.0 ? options.later_learning_rate
                                                                       : options.learning_rate;
    const bool timed = options.time_limit_seconds > 0.0;
    const double total_steps = static_cast<double>(batches) * options.epochs;
    at::Tensor batch_input = at::empty({batch, features.size(1)}, at::kFloat);
    at::Tensor batch_target = at::empty({batch, data.outputs}, at::kFloat);
    at::Tensor best_parameters;
    double best_validation = std::numeric_limits<double>::infinity();
    int best_epoch = 0;
    double steps = 0.0;
    double progress = 0.0;
    for (int epoch = 0; progress < 1.0 && (timed || epoch < options.epochs); ++epoch) {
      ++report.epochs;
      const at::Tensor order = at::randperm(samples);
      for (std::int64_t b = 0; b < batches && progress < 1.0; ++b) {
        const std::int64_t begin = b * batch;
        const std::int64_t rows = std::min(batch, samples - begin);
        at::Tensor input = batch_input.narrow(0, 0, rows);
        at::Tensor part = batch_target.narrow(0, 0, rows);
        const at::Tensor chosen = order.narrow(0, begin, rows);
        at::index_select_out(input, features, 0, chosen);
        at::index_select_out(part, target, 0, chosen);
        const double cosine = 0.5 * (1.0 + std::cos(3.141592653589793 * progress));
        double rate = peak * (options.final_fraction + (1.0 - options.final_fraction) * cosine);
        if (progress < options.warmup_fraction) {
          rate *= std::max(progress, 1e-3) / options.warmup_fraction;
        }
        stepper.step(input, part, rate);
        steps += 1.0;
        progress = timed ? seconds_since(start) / options.time_limit_seconds : steps / total_steps;
      }
      if (held_out > 0) {
        at::Tensor output;
        evaluate(network, validation_features, &output, nullptr);
        const double error = mean_square(output - scaled_validation);
        if (error < best_validation) {
          best_validation = error;
          best_parameters = network.parameters().clone();
          best_epoch = epoch;
        } else if (options.patience > 0 && epoch - best_epoch >= options.patience) {
          break;
        }
      }
    }
    if (best_parameters.defined()) network.parameters().copy_(best_parameters);

    const bool last = grade + 1 == options.grades;
    const auto advance = [&](at::Tensor& inputs, at::Tensor& left) {
      at::Tensor output, next;
      evaluate(network, inputs, &output, last ? nullptr : &next);
      left = left - output.to(at::kDouble) * scale;
      inputs = next;
    };
    advance(features, residual);
    if (held_out > 0) advance(validation_features, validation_residual);
    report.seconds = seconds_since(start) + setup_seconds;
    setup_seconds = 0.0;

    report.train_rse = sum_square(residual) / train_energy;
    report.test_rse = std::numeric_limits<double>::quiet_NaN();
    if (has_test) {
      if (feature_standardization)
        test_features = feature_standardization->apply(test_features, 1.0);
      advance(test_features, test_residual);
      report.test_rse = sum_square(test_residual) / test_energy;
    }
    fit.seconds += report.seconds;
    fit.grades.push_back(report);
  }
  return fit;
}

}  // namespace mgdl_benchmark
