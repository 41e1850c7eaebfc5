// Model files of every released version, which every later one has to read: see docs/format.md.

#include <filesystem>
#include <string>
#include <variant>

#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/training/verify_model.hpp"
#include "support/catch.hpp"

using mgdl::Index;
namespace fs = std::filesystem;

TEST_CASE("files of released versions are read, and what they claim holds", "[io/model_released]") {
  const fs::path folder = fs::path(MGDL_TEST_DIR) / "io/released";
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".mgdl") continue;
    INFO(entry.path());
    ++count;
    std::visit(
        [&](const auto& saved) {
          using Scalar = typename std::remove_cvref_t<decltype(saved.model)>::Scalar;
          CHECK(saved.model.inputs() == 2);
          CHECK(saved.model.outputs() == 2);
          REQUIRE(saved.model.grades() == 2);
          REQUIRE(saved.report);
          CHECK(saved.report->seed == 7);
          CHECK(saved.report->validation_fraction == 0.25);
          CHECK(saved.report->options["trainer"][0] == "convex");
          REQUIRE(saved.report->grades[0].fit.certificate);
          CHECK(saved.report->grades[0].fit.witness);

          const auto [X, Y] =
              mgdl::split_targets(mgdl::read_csv<Scalar>(folder / "samples.csv"), {"u", "v"});
          const auto data = mgdl::split(mgdl::Dataset<Scalar>(X, Y),
                                        saved.report->validation_fraction, saved.report->seed);
          const auto found = mgdl::verify_model(saved.model, data, saved.report->grades);
          INFO(found);
          CHECK(found.valid());
          CHECK(found.grades[0].certificate);
        },
        mgdl::load_any_model(entry.path()));
  }
  CHECK(count >= 2);
}
