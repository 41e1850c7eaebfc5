// A model whose sizes are known when the program is compiled: no heap, no exception, the same bits.

#include <array>
#include <cmath>
#include <iostream>

#include "mgdl/mgdl.hpp"
#include "mgdl/network/fixed_model.hpp"

int main() {
  Eigen::MatrixXf X(400, 2);
  mgdl::RandomStream random(2);
  for (auto& x : X.reshaped()) x = static_cast<float>(random.uniform(-1, 1));
  const Eigen::VectorXf Y = (3 * X.col(0)).array().sin() * X.col(1).array();
  const mgdl::GradientTrainer<float> grade({.width = 16, .hidden_layers = 2, .epochs = 60});
  const auto trained =
      mgdl::MultigradeTrainer<float>(grade, {.max_grades = 2, .seed = 4}).fit(X, Y).model;
  if (trained.grades() != 2) return 1;

  // Inputs, outputs, and the hidden layers of each grade; InvalidArgument if the model has others.
  using Model = mgdl::FixedModel<float, 2, 1, mgdl::FeatureLink::LastHidden,
                                 mgdl::HiddenLayers<16, 16>, mgdl::HiddenLayers<16, 16>>;
  static const Model model(trained);
  const std::array<float, 2> x{0.5F, -0.25F};
  const float y = model.predict(x)[0];      // std::span or std::array of 2 values; noexcept
  const float y1 = model.predict(x, 1)[0];  // the first grade only
  std::cout << y << " after two grades, " << y1 << " after one, in truth "
            << std::sin(1.5F) * -0.25F << '\n';

  const Eigen::MatrixXf row = Eigen::Map<const Eigen::RowVector2f>(x.data());
  return trained.predict(row)(0, 0) == y && trained.predict(row, 1)(0, 0) == y1 ? 0 : 1;
}
