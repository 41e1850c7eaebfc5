#include "mgdl/core/observer.hpp"

#include <cmath>

#include "support/catch.hpp"

TEST_CASE("what a caller does not set is recognisable as unset", "[core/observer]") {
  const mgdl::Progress progress;
  CHECK(progress.event == mgdl::Progress::Event::Iteration);
  CHECK(progress.grade == 0);
  CHECK(progress.max_grades == 0);
  CHECK(progress.iteration == 0);
  CHECK(progress.max_iterations == 0);
  CHECK(std::isnan(progress.objective));
  CHECK(std::isnan(progress.validation));
  CHECK(progress.elapsed_seconds == 0);
  CHECK(progress.samples_per_second == 0);
}

TEST_CASE("an observer may be empty or any callable", "[core/observer]") {
  CHECK_FALSE(mgdl::Observer());
  mgdl::Index seen = 0;
  const mgdl::Observer observer = [&](const mgdl::Progress& progress) {
    seen = progress.iteration;
    return progress.iteration < 3 ? mgdl::Action::Continue : mgdl::Action::Stop;
  };
  mgdl::Progress progress;
  progress.iteration = 2;
  CHECK(observer(progress) == mgdl::Action::Continue);
  progress.iteration = 3;
  CHECK(observer(progress) == mgdl::Action::Stop);
  CHECK(seen == 3);
}
