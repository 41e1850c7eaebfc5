#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// \file
/// The peer of the latency benchmark: a trained model, evaluated by C++ libtorch in every way that
/// its users have. Plain C++17, for the reasons that torch_peer.hpp gives.

namespace mgdl_benchmark {

/// h -> h W + b; the pointers are valid while a TorchInference is made.
struct TorchLayer {
  int inputs = 0;
  int outputs = 0;
  const float* weights = nullptr;  ///< inputs x outputs, row-major
  const float* bias = nullptr;     ///< outputs
};

/// A model whose grades take the last hidden values of the grade before.
struct TorchGrades {
  std::vector<float> input_mean, input_scale;
  std::vector<float> output_mean, output_scale;
  std::vector<std::vector<TorchLayer>> grades;  ///< the last layer of each is its readout
};

/// How the forward pass is written.
enum class TorchForward {
  Eager,        ///< linear and relu, as a Module's forward does, in inference mode
  Frozen,       ///< TorchScript with its weights as constants (torch::jit::freeze)
  Optimised,    ///< the same after torch::jit::optimize_for_inference
  OutVariants,  ///< ATen calls into tensors made once; a matrix-vector product for one sample
};

std::string to_string(TorchForward forward);

/// A model with its inputs as tensors, so that neither is made while time is taken.
class TorchInference {
 public:
  /// \param X        samples x inputs, row-major; copied
  /// \param samples  a multiple of `batch`
  TorchInference(const TorchGrades& model, TorchForward forward, int threads, const float* X,
                 std::int64_t samples, std::int64_t batch);
  ~TorchInference();

  /// Outputs of batch number i (batch x outputs, row-major), valid until the next call.
  const float* predict(std::int64_t i);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> m_implementation;
};

}  // namespace mgdl_benchmark
