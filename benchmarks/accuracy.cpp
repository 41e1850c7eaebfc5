// Every kind of grade on every problem, beside one deep network of the same code and the published
// figures: test error after each grade, seconds, parameters, multiply-adds of one prediction.
//
//   benchmark_accuracy [<problem>...] [--only <trainer>] [--seeds N] [--pictures <folder>]
//                      [--json <file>] [--markdown <file>]
//
// Problems: decrease, manifold, pictures (all .npy files of the folder, gray from 0 to 1), gd,
// constant, increase, varying. Every trainer stops by the same validation samples: those of the
// problem, for pictures a tenth of the training pixels. `single` is one network, as deep as the
// published one, and has as long as `gradient` took. With several seeds: medians.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "mgdl/convex.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/mgdl.hpp"
#include "problems.hpp"

namespace {

using mgdl::Index;
using mgdl_benchmark::median;
using mgdl_benchmark::Problem;
using mgdl_benchmark::SpectralKind;

// The gradient needs many steps and few digits: single precision. The others are in double.
using Trainer = mgdl::AnyGradeTrainer<float>;

/// Figures of the authors, after each grade; empty: none.
struct Published {
  std::vector<double> grades;
  std::string network = {};
  double seconds = std::numeric_limits<double>::quiet_NaN();
};

struct Task {
  Problem problem;
  /// What errors mean: "RSE", "MSE" or "PSNR" (dB, higher is better).
  std::string measure;
  Published multigrade, single;
  /// Of `gradient` and of the gradient grades of mixes.
  mgdl::GradientOptions gradient;
  /// Gradient grades at most.
  Index grades = 4;
  /// Seconds for `convex` and for `constructive`, which would go on for long; `auto` has twice as
  /// many.
  double limit = 10;
  /// Depth and width of `single`.
  Index single_layers = 8;
  Index single_width = 256;
};

/// One fit, or the medians of several.
struct Result {
  std::vector<double> errors;         ///< on the test samples, after each grade
  std::vector<double> grade_seconds;  ///< from the start to the end of each grade
  double seconds = 0;                 ///< of the whole fit, with grades that were not kept
  Index parameters = 0;
  Index multiply_adds = 0;
  std::string note;  ///< what the grades were, if not all alike; the certificate of the first one
};

double measured(const std::string& measure, const mgdl::Metrics& metrics) {
  const double mse = metrics.rmse * metrics.rmse;
  if (measure == "MSE") return mse;
  if (measure == "PSNR") return -10 * std::log10(mse);
  return metrics.rse;
}

template <class Scalar>
mgdl::DataSplit<Scalar> samples(const Problem& problem) {
  const auto cast = [](const Eigen::MatrixXd& X, const Eigen::MatrixXd& Y) {
    return mgdl::Dataset<Scalar>(X.template cast<Scalar>(), Y.template cast<Scalar>());
  };
  mgdl::Dataset<Scalar> train = cast(problem.train_input, problem.train_target);
  if (problem.validation_input.rows() == 0) return mgdl::split(std::move(train), 0.1, 0);
  return {std::move(train), cast(problem.validation_input, problem.validation_target)};
}

std::string describe(const mgdl::MultigradeReport& report) {
  std::ostringstream text;
  std::string last;
  int repeated = 0;
  const auto flush = [&] {
    if (repeated > 0) text << (text.str().empty() ? "" : ", ") << repeated << " x " << last;
  };
  for (const auto& grade : report.grades) {
    if (!grade.kept) continue;
    if (grade.fit.trainer != last) {
      flush();
      last = grade.fit.trainer;
      repeated = 0;
    }
    ++repeated;
  }
  flush();
  for (const auto& grade : report.grades) {
    if (grade.kept && grade.fit.certificate) {
      char gap[64];
      std::snprintf(gap, sizeof gap, "; gap %.1e", grade.fit.certificate->relative_gap());
      text << gap;
      break;
    }
  }
  return text.str();
}

template <class Scalar>
Result fit(const Task& task, std::vector<mgdl::AnyGradeTrainer<Scalar>> trainers, Index grades,
           std::uint64_t seed, double time_limit) {
  mgdl::MultigradeTrainer<Scalar> trainer(
      std::move(trainers),
      {.max_grades = grades, .patience = 2, .time_limit_seconds = time_limit, .seed = seed});
  const auto data = samples<Scalar>(task.problem);
  const double start = mgdl_benchmark::now_seconds();
  const auto outcome = trainer.fit(data);
  Result result;
  result.seconds = mgdl_benchmark::now_seconds() - start;
  const mgdl::Matrix<Scalar> X = task.problem.test_input.template cast<Scalar>();
  for (Index k = 1; k <= outcome.model.grades(); ++k) {
    const Eigen::MatrixXd prediction = outcome.model.predict(X, k).template cast<double>();
    result.errors.push_back(
        measured(task.measure, mgdl::compute_metrics(prediction, task.problem.test_target)));
  }
  double elapsed = 0;
  for (const auto& grade : outcome.report.grades) {
    elapsed += grade.seconds;
    if (!grade.kept) continue;
    result.parameters += grade.parameters;
    result.grade_seconds.push_back(elapsed);
  }
  result.multiply_adds = outcome.model.multiply_adds();
  result.note = describe(outcome.report);
  return result;
}

/// A row of the table: a name and how to train.
struct Contender {
  std::string name;
  std::function<Result(const Task&, std::uint64_t seed)> run;
};

/// One input: every kink, and noise-free targets need next to no penalty. What is left after that
/// is fitted with the usual one.
template <class Scalar>
std::vector<mgdl::AnyGradeTrainer<Scalar>> convex_grades(const Task& task) {
  mgdl::ConvexTrainerOptions first;
  if (task.problem.train_input.cols() == 1) first.solver.lambda_ratio = 1e-9;
  return {mgdl::ConvexTrainer<Scalar>(first), mgdl::ConvexTrainer<Scalar>()};
}

std::vector<Contender> contenders() {
  const double forever = std::numeric_limits<double>::infinity();
  // The gradient's grades and the deep network share one time, which the first of them sets.
  const auto gradient_seconds = std::make_shared<double>(0);
  std::vector<Contender> list;
  list.push_back({"gradient", [=](const Task& task, std::uint64_t seed) {
                    Result result = fit<float>(task, {mgdl::GradientTrainer<float>(task.gradient)},
                                               task.grades, seed, forever);
                    *gradient_seconds = result.seconds;
                    return result;
                  }});
  list.push_back({"single", [=](const Task& task, std::uint64_t seed) {
                    mgdl::GradientOptions deep = task.gradient;
                    deep.hidden_layers = task.single_layers;
                    deep.width = task.single_width;
                    deep.learning_rate = 1e-3;  // of 3e-4, 1e-3, 3e-3 the best for pictures
                    deep.epochs = 1000000;      // the time ends it
                    const double limit = *gradient_seconds > 0 ? *gradient_seconds : 60;
                    return fit<float>(task, {mgdl::GradientTrainer<float>(deep)}, 1, seed, limit);
                  }});
  list.push_back({"sampled", [=](const Task& task, std::uint64_t seed) {
                    return fit<double>(task, {mgdl::SampledTrainer<double>({.width = 1024})}, 4,
                                       seed, forever);
                  }});
  list.push_back({"convex", [=](const Task& task, std::uint64_t seed) {
                    return fit<double>(task, convex_grades<double>(task), 4, seed, task.limit);
                  }});
  list.push_back({"constructive", [=](const Task& task, std::uint64_t seed) {
                    return fit<double>(task, {mgdl::ConstructiveTrainer<double>({.hats = 128})},
                                       256, seed, task.limit);
                  }});
  list.push_back({"sampled, gradient", [=](const Task& task, std::uint64_t seed) {
                    return fit<float>(task,
                                      {mgdl::SampledTrainer<float>({.width = 512}),
                                       mgdl::GradientTrainer<float>(task.gradient)},
                                      task.grades, seed, forever);
                  }});
  list.push_back({"auto", [=](const Task& task, std::uint64_t seed) {
                    const auto automatic = [&](const Trainer& convex) {
                      // From the cheapest on: over all kinks of one input, convex grades are.
                      std::vector<Trainer> candidates{mgdl::SampledTrainer<float>({.width = 1024}),
                                                      convex,
                                                      mgdl::GradientTrainer<float>(task.gradient)};
                      if (task.problem.train_input.cols() == 1) {
                        std::swap(candidates[0], candidates[1]);
                      }
                      return mgdl::AutoTrainer<float>(candidates);
                    };
                    const auto convex = convex_grades<float>(task);
                    return fit<float>(task, {automatic(convex[0]), automatic(convex[1])}, 4, seed,
                                      2 * task.limit);
                  }});
  return list;
}

Task sines(Problem problem) {
  Task task{std::move(problem), "RSE", {}, {}, {}};
  task.gradient.width = 128;
  task.gradient.hidden_layers = 2;
  task.gradient.epochs = 150;
  task.gradient.learning_rate = 1e-3;
  return task;
}

std::vector<Task> tasks(const std::vector<std::string>& names, const std::string& pictures) {
  std::vector<Task> list;
  for (const auto& name : names) {
    if (name == "decrease") {
      Task task = sines(mgdl_benchmark::spectral(SpectralKind::Decrease));
      task.multigrade = {{0.666, 0.0806, 1.96e-4, 6.54e-6}, "4 grades of 2x256", 27629};
      task.single = {{5.9e-3}, "8x256", 32054};
      list.push_back(task);
    } else if (name == "constant") {
      Task task = sines(mgdl_benchmark::spectral(SpectralKind::Constant));
      task.single = {{0.118}, "8x256"};
      list.push_back(task);
    } else if (name == "increase") {
      list.push_back(sines(mgdl_benchmark::spectral(SpectralKind::Increase)));
    } else if (name == "varying") {
      list.push_back(sines(mgdl_benchmark::spectral(SpectralKind::Varying)));
    } else if (name == "gd") {
      Task task = sines(mgdl_benchmark::gd_synthetic());
      task.measure = "MSE";
      task.multigrade = {{0.440, 0.112, 3.19e-3, 8.4e-5}, "4 grades of 1x32", 2680};
      task.single = {{0.284}, "4x32", 4836};
      task.single_layers = 4;
      task.single_width = 32;
      task.gradient.width = 32;
      task.gradient.hidden_layers = 1;
      task.gradient.optimizer = mgdl::Optimizer::Lbfgs;
      task.gradient.epochs = 2000;
      task.gradient.starts = 16;
      task.gradient.start_ridge = 0.1;
      task.gradient.feature_floor = 1e-2;
      task.gradient.weight_decay = 1e-7;
      list.push_back(task);
    } else if (name == "manifold") {
      Task task = sines(mgdl_benchmark::manifold());
      task.multigrade = {{2.11e-4}, "4 grades of 2x256, the last one", 15969};
      task.single = {{0.543}, "8x256", 29052};
      task.gradient.width = 256;
      task.gradient.epochs = 75;
      list.push_back(task);
    } else if (name == "pictures") {
      std::vector<std::filesystem::path> files;
      if (std::filesystem::is_directory(pictures)) {
        for (const auto& file : std::filesystem::directory_iterator(pictures)) {
          if (file.path().extension() == ".npy") files.push_back(file.path());
        }
      }
      std::sort(files.begin(), files.end());
      if (files.empty()) {
        std::fprintf(stderr, "benchmark_accuracy: no pictures in '%s'\n", pictures.c_str());
      }
      for (const auto& file : files) {
        Task task{mgdl_benchmark::picture(file.stem().string(), mgdl::read_npy<double>(file)),
                  "PSNR",
                  {},
                  {},
                  {}};
        task.gradient.width = 128;
        task.gradient.hidden_layers = 3;
        task.gradient.epochs = 60;
        task.gradient.weight_decay = 1e-5;  // of 0, 1e-5, 1e-4 the best for `single` too
        task.grades = 3;
        task.limit = 5;
        task.single_width = 128;
        list.push_back(task);
      }
    } else {
      std::fprintf(stderr, "benchmark_accuracy: unknown problem '%s'\n", name.c_str());
      std::exit(2);
    }
  }
  return list;
}

/// Medians, grade by grade as far as all seeds have one; what was kept last in the last place.
Result medians(const std::vector<Result>& runs) {
  Result result = runs.front();
  const auto pick = [&](auto&& value) {
    std::vector<double> values;
    for (const auto& run : runs) values.push_back(static_cast<double>(value(run)));
    return median(values);
  };
  std::size_t grades = runs.front().errors.size();
  for (const auto& run : runs) grades = std::min(grades, run.errors.size());
  result.errors.resize(grades);
  result.grade_seconds.resize(grades);
  for (std::size_t k = 0; k < grades; ++k) {
    const auto place = [&](const Result& run) {  // the last of one is the last of all
      return k + 1 < grades ? k : run.errors.size() - 1;
    };
    result.errors[k] = pick([&](const Result& run) { return run.errors[place(run)]; });
    result.grade_seconds[k] =
        pick([&](const Result& run) { return run.grade_seconds[place(run)]; });
  }
  result.seconds = pick([](const Result& run) { return run.seconds; });
  result.parameters = static_cast<Index>(pick([](const Result& run) { return run.parameters; }));
  result.multiply_adds =
      static_cast<Index>(pick([](const Result& run) { return run.multiply_adds; }));
  return result;
}

std::string number(const char* format, double value) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// At most the first two and the last two of many.
std::string list(const char* format, const std::vector<double>& values) {
  std::string text;
  for (std::size_t k = 0; k < values.size(); ++k) {
    if (values.size() > 6 && k == 2) {
      text += ", ...";
      k = values.size() - 2;
    }
    text += (text.empty() ? "" : ", ") + number(format, values[k]);
  }
  return text.empty() ? "-" : text;
}

std::string row(const Task& task, const std::string& name, const Result& result, bool counted) {
  std::ostringstream text;
  text << "| " << task.problem.name << " | " << task.measure << " | " << name << " | "
       << list(task.measure == "PSNR" ? "%.2f" : "%.3g", result.errors) << " | "
       << list("%.3g", result.grade_seconds) << " | " << number("%.3g", result.seconds) << " | ";
  if (counted) {
    text << result.parameters << " | " << result.multiply_adds;
  } else {
    text << "- | -";
  }
  text << " | " << result.note << " |\n";
  return text.str();
}

std::string published_row(const Task& task, const char* name, const Published& figures) {
  if (figures.grades.empty()) return "";
  Result result;
  result.errors = figures.grades;
  result.seconds = figures.seconds;
  result.note = figures.network;
  return row(task, name, result, false);
}

nlohmann::json to_json(const Published& figures) {
  if (figures.grades.empty()) return nullptr;
  nlohmann::json json = {{"network", figures.network}, {"test_errors", figures.grades}};
  if (std::isfinite(figures.seconds)) json["seconds"] = figures.seconds;
  return json;
}

nlohmann::json to_json(const std::string& name, const Result& result, std::size_t seeds) {
  return {{"trainer", name},
          {"grades", result.note},
          {"test_errors", result.errors},
          {"grade_seconds", result.grade_seconds},
          {"seconds", result.seconds},
          {"parameters", result.parameters},
          {"multiply_adds", result.multiply_adds},
          {"seeds", seeds}};
}

void write(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) {
    std::fprintf(stderr, "benchmark_accuracy: cannot write '%s'\n", path.c_str());
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  int seeds = 1;
  std::string pictures = "pictures", json_path, markdown_path;
  std::vector<std::string> names, only;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&] {
      if (i + 1 >= argc) {
        std::fprintf(stderr, "benchmark_accuracy: %s needs a value\n", argument.c_str());
        std::exit(2);
      }
      return std::string(argv[++i]);
    };
    if (argument == "--seeds") {
      seeds = std::max(1, std::atoi(value().c_str()));
    } else if (argument == "--only") {
      only.push_back(value());
    } else if (argument == "--pictures") {
      pictures = value();
    } else if (argument == "--json") {
      json_path = value();
    } else if (argument == "--markdown") {
      markdown_path = value();
    } else {
      names.push_back(argument);
    }
  }
  if (names.empty()) {
    names = {"decrease", "manifold", "pictures", "gd", "constant", "increase", "varying"};
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines appear as they come, in a file too

  std::string markdown;
  const auto print = [&](const std::string& text) {
    std::fputs(text.c_str(), stdout);
    markdown += text;
  };
  print(
      "| problem | measure | trainer | test error after each grade | seconds until then | seconds "
      "in all | "
      "parameters | multiply-adds | grades |\n|---|---|---|---|---|---|---|---|---|\n");
  nlohmann::json json = nlohmann::json::array();
  for (const Task& task : tasks(names, pictures)) {
    nlohmann::json entry = {{"problem", task.problem.name},
                            {"measure", task.measure},
                            {"published_multigrade", to_json(task.multigrade)},
                            {"published_single", to_json(task.single)},
                            {"results", nlohmann::json::array()}};
    print(published_row(task, "published multigrade", task.multigrade));
    print(published_row(task, "published single", task.single));
    if (task.problem.train_input.cols() == 1) {
      const mgdl::RowMatrix<double> line = mgdl_benchmark::interpolated(task.problem);
      const mgdl::RowMatrix<double> targets = task.problem.test_target;
      Result yardstick;
      yardstick.errors = {measured(task.measure, mgdl::compute_metrics(line, targets))};
      yardstick.seconds = std::numeric_limits<double>::quiet_NaN();
      print(row(task, "linear interpolation", yardstick, false));
    }
    for (const auto& contender : contenders()) {
      if (!only.empty() && std::find(only.begin(), only.end(), contender.name) == only.end()) {
        continue;
      }
      std::vector<Result> runs;
      for (int seed = 0; seed < seeds; ++seed) {
        runs.push_back(contender.run(task, static_cast<std::uint64_t>(seed)));
      }
      const Result result = medians(runs);
      print(row(task, contender.name, result, true));
      entry["results"].push_back(to_json(contender.name, result, runs.size()));
    }
    json.push_back(std::move(entry));
    // After every problem, so that an interrupted run keeps what it has.
    write(markdown_path, markdown);
    write(json_path, json.dump(2) + "\n");
  }
}
