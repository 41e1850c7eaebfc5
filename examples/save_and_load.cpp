// Saves a model, loads it, and goes on training as if nothing had been in between.

#include <cmath>
#include <filesystem>
#include <iostream>

#include "mgdl/io/model_file.hpp"
#include "mgdl/mgdl.hpp"

namespace {

mgdl::MultigradeTrainer<double> trainer(mgdl::Index grades) {
  mgdl::GradientTrainer<double> grade({.width = 24, .epochs = 60});
  return mgdl::MultigradeTrainer(grade, {.max_grades = grades, .seed = 11});
}

}  // namespace

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(300, 0, 2);
  const Eigen::VectorXd y = (3 * x.array()).sin() + 0.3 * (40 * x.array()).cos();
  const mgdl::DataSplit<double> data{{x, y}, std::nullopt};
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "save_and_load.mgdl";

  const auto half = trainer(2).fit(data);
  const mgdl::FitSummary summary = mgdl::summarise(half);
  mgdl::save_model(path, half.model, &summary);  // the report may be left out

  const auto [model, report, intervals, names] = mgdl::load_model<double>(path);
  std::cout << path << " has " << std::filesystem::file_size(path) << " bytes and "
            << model.grades() << " grades" << (intervals ? " and prediction intervals" : "")
            << ":\n";
  for (const mgdl::GradeReport& grade : report->grades) {
    std::cout << "  " << grade.fit.trainer << ", training RSE " << grade.train_rse << '\n';
  }
  const auto continued = trainer(2).resume(model, data);
  const bool same_bits = continued.model == trainer(4).fit(data).model;
  std::cout << "2 more grades: " << (same_bits ? "the same bits as" : "not the same as")
            << " 4 grades at once\n";

  // A file that is damaged is refused, and nothing is returned.
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  bool refused = false;
  try {
    mgdl::load_model<double>(path);
  } catch (const mgdl::FormatError& error) {
    std::cout << error.what() << '\n';
    refused = true;
  }
  std::filesystem::remove(path);
  return same_bits && refused ? 0 : 1;
}
