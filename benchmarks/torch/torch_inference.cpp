#include "torch_inference.hpp"

#include "torch_peer.hpp"

#include <torch/script.h>
#include <torch/torch.h>

#include <stdexcept>
#include <utility>

namespace mgdl_benchmark {
namespace {

/// outputs x inputs, as Torch holds weights.
struct Linear {
  at::Tensor weights, bias;
};

at::Tensor row(const std::vector<float>& values) {
  return at::from_blob(const_cast<float*>(values.data()),
                       {static_cast<std::int64_t>(values.size())}, at::kFloat)
      .clone();
}

}  // namespace

std::string to_string(TorchForward forward) {
  switch (forward) {
    case TorchForward::Eager: return "eager";
    case TorchForward::Frozen: return "TorchScript, frozen";
    case TorchForward::Optimised: return "TorchScript, optimised for inference";
    case TorchForward::OutVariants: return "ATen, no allocation";
  }
  return "unknown";
}

struct TorchInference::Implementation {
  TorchForward forward;
  int threads;
  at::Tensor input_mean, input_scale, output_mean, output_scale;
  std::vector<std::vector<Linear>> grades;
  std::vector<at::Tensor> inputs;
  torch::jit::Module script;
  at::Tensor result;
  std::vector<torch::jit::IValue> arguments = std::vector<torch::jit::IValue>(1);
  // Of OutVariants.
  at::Tensor standardised;
  std::vector<std::vector<at::Tensor>> values;

  void make_script() {
    torch::jit::Module module("mgdl");
    std::string text = "def forward(self, x):\n  h = (x - self.input_mean) / self.input_scale\n";
    module.register_buffer("input_mean", input_mean);
    module.register_buffer("input_scale", input_scale);
    module.register_buffer("output_mean", output_mean);
    module.register_buffer("output_scale", output_scale);
    for (std::size_t g = 0; g < grades.size(); ++g) {
      for (std::size_t l = 0; l < grades[g].size(); ++l) {
        const std::string id = std::to_string(g) + "_" + std::to_string(l);
        module.register_parameter("w" + id, grades[g][l].weights, false);
        module.register_parameter("b" + id, grades[g][l].bias, false);
        const std::string product = "torch.linear(h, self.w" + id + ", self.b" + id + ")";
        if (l + 1 < grades[g].size()) {
          text += "  h = torch.relu(" + product + ")\n";
        } else {
          text += (g == 0 ? "  y = " : "  y = y + ") + product + "\n";
        }
      }
    }
    module.define(text + "  return y * self.output_scale + self.output_mean\n");
    module.eval();
    script = torch::jit::freeze(module);
    if (forward == TorchForward::Optimised) script = torch::jit::optimize_for_inference(script);
  }

  at::Tensor eager(const at::Tensor& x) const {
    at::Tensor h = (x - input_mean) / input_scale;
    at::Tensor y;
    for (const auto& layers : grades) {
      for (std::size_t l = 0; l < layers.size(); ++l) {
        const at::Tensor product = at::linear(h, layers[l].weights, layers[l].bias);
        if (l + 1 < layers.size()) {
          h = at::relu(product);
        } else {
          y = y.defined() ? y + product : product;
        }
      }
    }
    return y * output_scale + output_mean;
  }

  at::Tensor& out_variants(const at::Tensor& x) {
    at::sub_out(standardised, x, input_mean);
    standardised.div_(input_scale);
    const at::Tensor* h = &standardised;
    for (std::size_t g = 0; g < grades.size(); ++g) {
      for (std::size_t l = 0; l < grades[g].size(); ++l) {
        at::Tensor& out = values[g][l];
        const Linear& layer = grades[g][l];
        if (x.dim() == 1) {
          at::addmv_out(out, layer.bias, layer.weights, *h);
        } else {
          at::addmm_out(out, layer.bias, *h, layer.weights.t());
        }
        if (l + 1 == grades[g].size()) {
          if (g > 0) out.add_(values[g - 1][l]);
        } else {
          h = &out.relu_();
        }
      }
    }
    return values.back().back().mul_(output_scale).add_(output_mean);
  }
};

TorchInference::TorchInference(const TorchGrades& model, TorchForward forward, int threads,
                               const float* X, std::int64_t samples, std::int64_t batch)
    : m_implementation(std::make_unique<Implementation>()) {
  Implementation& self = *m_implementation;
  const c10::InferenceMode guard;
  self.forward = forward;
  self.threads = threads;
  self.input_mean = row(model.input_mean);
  self.input_scale = row(model.input_scale);
  self.output_mean = row(model.output_mean);
  self.output_scale = row(model.output_scale);
  for (const auto& grade : model.grades) {
    auto& layers = self.grades.emplace_back();
    for (const auto& layer : grade) {
      layers.push_back(
          {at::from_blob(const_cast<float*>(layer.weights), {layer.inputs, layer.outputs},
                         at::kFloat)
               .t()
               .contiguous(),
           at::from_blob(const_cast<float*>(layer.bias), {layer.outputs}, at::kFloat).clone()});
    }
  }
  const auto d = static_cast<std::int64_t>(model.input_mean.size());
  const bool vectors = batch == 1 && forward == TorchForward::OutVariants;
  for (std::int64_t begin = 0; begin + batch <= samples; begin += batch) {
    const at::Tensor x =
        at::from_blob(const_cast<float*>(X + begin * d), {batch, d}, at::kFloat).clone();
    self.inputs.push_back(vectors ? x.reshape({d}) : x);
  }
  if (self.inputs.empty()) throw std::invalid_argument("fewer samples than a batch");
  if (forward == TorchForward::OutVariants) {
    self.standardised = at::empty_like(self.inputs.front());
    for (const auto& layers : self.grades) {
      auto& values = self.values.emplace_back();
      for (const auto& layer : layers) {
        const std::int64_t n = layer.weights.size(0);
        values.push_back(vectors ? at::empty({n}, at::kFloat) : at::empty({batch, n}, at::kFloat));
      }
    }
  } else if (forward != TorchForward::Eager) {
    self.make_script();
  }
}

TorchInference::~TorchInference() = default;

const float* TorchInference::predict(std::int64_t i) {
  Implementation& self = *m_implementation;
  if (at::get_num_threads() != self.threads) set_torch_threads(self.threads);
  const c10::InferenceMode guard;
  const at::Tensor& x = self.inputs[static_cast<std::size_t>(i) % self.inputs.size()];
  switch (self.forward) {
    case TorchForward::Eager: self.result = self.eager(x); break;
    case TorchForward::OutVariants: self.result = self.out_variants(x); break;
    default: {
      self.arguments[0] = x;
      self.result = self.script.forward(self.arguments).toTensor();
    }
  }
  return self.result.data_ptr<float>();
}

}  // namespace mgdl_benchmark
