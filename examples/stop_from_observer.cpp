// An observer sees every epoch and every grade, and may end the training: because a user asked, a
// deadline came, or the result is good enough. What was reached until then is kept.

#include <iomanip>
#include <iostream>

#include "mgdl/mgdl.hpp"

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(1000, -1, 1);
  const Eigen::VectorXd y = (40 * x.array().square()).cos();

  // Stops in the middle of the second grade, as soon as that has halved what the first one left.
  mgdl::Index calls = 0;
  const auto observer = [&](const mgdl::Progress& progress) {
    ++calls;
    if (progress.event == mgdl::Progress::Event::Grade) {
      std::cout << "grade " << progress.grade << ": RSE " << std::scientific << std::setprecision(2)
                << progress.objective << '\n';
      return mgdl::Action::Continue;
    }
    if (progress.iteration % 20 == 0) {
      std::cout << "  epoch " << progress.iteration << " of " << progress.max_iterations << ": "
                << std::fixed << std::setprecision(3) << progress.objective
                << " of the residual left\n";
    }
    const bool enough = progress.grade == 2 && progress.objective < 0.5;
    return enough ? mgdl::Action::Stop : mgdl::Action::Continue;
  };

  mgdl::GradientTrainer<double> grades({.width = 24, .epochs = 60});
  mgdl::MultigradeTrainer trainer(grades, {.max_grades = 5, .seed = 1, .observer = observer});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report << "calls: " << calls << '\n';

  // The grade that was cut short is part of the model: it ended with its best epoch.
  const bool stopped = report.termination == mgdl::Termination::StoppedByObserver;
  const bool kept = model.grades() == 2 && model.grade(2).train_rse < model.grade(1).train_rse;
  return stopped && kept && is_usable(report.termination) ? 0 : 1;
}
