#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "command.hpp"
#include "mgdl/io/model_json.hpp"
#include "table.hpp"

namespace mgdl::command {
namespace {

struct InspectOptions {
  std::string model;
  bool json = false;
};

/// Sizes from the inputs over the hidden layers to the outputs.
template <class Scalar>
std::vector<Index> sizes_of(const ReluNetwork<Scalar>& network) {
  std::vector<Index> sizes{network.inputs()};
  for (const auto& layer : network.layers()) sizes.push_back(layer.outputs());
  return sizes;
}

template <class Scalar>
nlohmann::ordered_json json_of(const MultigradeModel<Scalar>& model) {
  auto grades = nlohmann::ordered_json::array();
  for (Index k = 1; k <= model.grades(); ++k) {
    const auto& grade = model.grade(k);
    grades.push_back({{"layers", sizes_of(grade.network)},
                      {"features", model.feature_count(k)},
                      {"train_rse", detail::json_number_or_null(grade.train_rse)},
                      {"validation_rse", detail::json_number_or_null(grade.validation_rse)},
                      {"parameters", grade.network.parameters()},
                      {"multiply_adds", grade.network.multiply_adds()}});
  }
  return {{"scalar", detail::scalar_name<Scalar>()},
          {"link", to_string(model.link())},
          {"inputs", model.inputs()},
          {"outputs", model.outputs()},
          {"parameters", model.parameters()},
          {"multiply_adds", model.multiply_adds()},
          {"grades", std::move(grades)}};
}

template <class Scalar>
void print(std::ostream& out, const MultigradeModel<Scalar>& model) {
  out << "inputs         " << model.inputs() << "\noutputs        " << model.outputs()
      << "\nscalar         " << detail::scalar_name<Scalar>() << "\nlink           "
      << to_string(model.link()) << "\nparameters     " << model.parameters() << "\nmultiply-adds  "
      << model.multiply_adds() << " for one sample\n\n";
  std::vector<std::vector<std::string>> rows{
      {"grade", "train RSE", "valid. RSE", "features", "parameters", "multiply-adds", "layers"}};
  for (Index k = 1; k <= model.grades(); ++k) {
    const auto& grade = model.grade(k);
    std::string layers;
    for (const Index size : sizes_of(grade.network)) {
      layers += (layers.empty() ? "" : " -> ") + std::to_string(size);
    }
    rows.push_back({std::to_string(k), error_text(grade.train_rse),
                    error_text(grade.validation_rse), std::to_string(model.feature_count(k)),
                    std::to_string(grade.network.parameters()),
                    std::to_string(grade.network.multiply_adds()), layers});
  }
  print_table(out, std::move(rows));
}

ExitCode run(const InspectOptions& options) {
  if (options.model.empty()) throw InvalidArgument("--model", "a value", "none");
  std::visit(
      [&](const auto& model) {
        if (options.json) {
          std::cout << json_of(model).dump(2) << '\n';
        } else {
          print(std::cout, model);
        }
      },
      read_any_model(options.model));
  return kOk;
}

}  // namespace

Command add_inspect(CLI::App& app) {
  CLI::App* flags = app.add_subcommand("inspect", "Shows what is in a model");
  auto options = std::make_shared<InspectOptions>();
  flags->add_option("--model", options->model, "model that mgdl fit has written")
      ->option_text("FILE");
  flags->add_flag("--json", options->json, "print JSON");
  flags->footer("Example:\n  mgdl inspect --model model.mgdl");
  return {flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
