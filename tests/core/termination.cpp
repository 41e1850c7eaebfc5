#include "mgdl/core/termination.hpp"

#include <set>
#include <sstream>
#include <string>

#include "support/catch.hpp"

using mgdl::Termination;

namespace {

constexpr Termination all[] = {
    Termination::NotRun,         Termination::ToleranceReached,  Termination::MaxIterations,
    Termination::ValidationStop, Termination::Plateau,           Termination::NoProgress,
    Termination::TimeLimit,      Termination::StoppedByObserver, Termination::NumericalFailure};

}  // namespace

TEST_CASE("every termination has its own name", "[core/termination]") {
  std::set<std::string> names;
  for (const Termination termination : all) {
    const std::string name = to_string(termination);
    CHECK(name != "unknown");
    names.insert(name);

    std::ostringstream out;
    out << termination;
    CHECK(out.str() == name);
  }
  CHECK(names.size() == std::size(all));
  CHECK(std::string(to_string(Termination::ToleranceReached)) == "ToleranceReached");
  CHECK(std::string(to_string(Termination{99})) == "unknown");
}

TEST_CASE("only what never ran or failed numerically cannot be used", "[core/termination]") {
  for (const Termination termination : all) {
    const bool expected =
        termination != Termination::NotRun && termination != Termination::NumericalFailure;
    CAPTURE(termination);
    CHECK(is_usable(termination) == expected);
  }
  STATIC_REQUIRE(is_usable(Termination::StoppedByObserver));
  STATIC_REQUIRE_FALSE(is_usable(Termination::NotRun));
}
