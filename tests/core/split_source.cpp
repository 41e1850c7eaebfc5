#include "mgdl/core/split_source.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "support/made_source.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::SampleBuffer;
using mgdl::SplitSource;
using mgdl::detail::kBlockRows;
using mgdl::test::in_memory;
using mgdl::test::MadeSource;

TEST_CASE("a source in two parts", "[core/split_source]") {
  const Index n = 3 * kBlockRows + 100;
  const MadeSource<double> source(n);
  using Part = SplitSource<double>::Part;
  const SplitSource<double> train(source, 0.2, 7, Part::Train);
  const SplitSource<double> held_out(source, 0.2, 7, Part::HeldOut);
  CHECK(train.size() + held_out.size() == n);
  CHECK(std::abs(static_cast<double>(held_out.size()) - 0.2 * static_cast<double>(n)) <
        5 * std::sqrt(0.16 * static_cast<double>(n)));
  const auto a = in_memory<double>(train);
  const auto b = in_memory<double>(held_out);
  std::vector<double> both(a.inputs().col(0).begin(), a.inputs().col(0).end());
  both.insert(both.end(), b.inputs().col(0).begin(), b.inputs().col(0).end());
  const auto all = in_memory<double>(source);
  std::vector<double> expected(all.inputs().col(0).begin(), all.inputs().col(0).end());
  std::sort(both.begin(), both.end());
  std::sort(expected.begin(), expected.end());
  CHECK(both == expected);
  const auto parts = mgdl::split_by_row(all, 0.2, 7);
  CHECK(parts.train.inputs() == a.inputs());
  CHECK(parts.train.weights() == a.weights());
  CHECK(parts.validation->targets() == b.targets());
  const std::vector<Index> some{0, 30000, 17, 17, a.size() - 1};
  SampleBuffer<double> gathered;
  train.gather(some, gathered);
  for (Index i = 0; i < 5; ++i) {
    CHECK(gathered.inputs.row(i) == a.inputs().row(some[static_cast<std::size_t>(i)]));
  }
  // Whatever is asked for is the same.
  SampleBuffer<double> buffer;
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 1},
                                     {kBlockRows - 3000, 5000},
                                     {a.size() - 10, 10},
                                     {13000, 20000}}) {
    const auto view = train.read(first, count, buffer);
    CHECK(view.inputs == a.inputs().middleRows(first, count));
    CHECK(view.targets == a.targets().middleRows(first, count));
  }
  CHECK_THROWS_WITH(SplitSource<double>(source, 1, 7, Part::Train), ContainsSubstring("(0, 1)"));
  CHECK_THROWS_WITH(SplitSource<double>(MadeSource<double>(2), 0.01, 7, Part::HeldOut),
                    ContainsSubstring("a sample in each part"));
}
