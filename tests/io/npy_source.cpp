#include "mgdl/io/npy_source.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "io/npy_bytes.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"
#include "support/samples.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::bytes_of;
using mgdl::test::error_of;
using mgdl::test::npy_file;
using mgdl::test::npy_header;
using mgdl::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// Adds a folder's path to names of files.
template <class... Names>
std::vector<fs::path> in(const TemporaryFolder& folder, const Names&... names) {
  return {folder / names...};
}

template <class Scalar>
bool same_values(const mgdl::RowMatrix<Scalar>& a, const mgdl::RowMatrix<Scalar>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(Scalar)) == 0;
}

/// What read_npy makes of the files, one below the other.
template <class Scalar>
mgdl::RowMatrix<Scalar> whole(const std::vector<fs::path>& paths) {
  mgdl::RowMatrix<Scalar> all;
  for (const auto& path : paths) {
    const auto part = mgdl::read_npy<Scalar>(path);
    const Index rows = all.rows();
    all.conservativeResize(rows + part.rows(), part.cols());
    all.bottomRows(part.rows()) = part;
  }
  return all;
}

/// Reads all blocks of every length from every row on, and compares them with read_npy.
template <class Scalar>
void check_same(const std::vector<fs::path>& inputs, const std::vector<fs::path>& targets,
                const std::vector<fs::path>& weights = {}) {
  const mgdl::NpySource<Scalar> source(inputs, targets, weights);
  const auto X = whole<Scalar>(inputs);
  const auto Y = whole<Scalar>(targets);
  const mgdl::RowMatrix<Scalar> w =
      weights.empty() ? mgdl::RowMatrix<Scalar>::Ones(X.rows(), 1) : whole<Scalar>(weights);
  REQUIRE(source.size() == X.rows());
  REQUIRE(source.inputs() == X.cols());
  REQUIRE(source.outputs() == Y.cols());
  mgdl::SampleBuffer<Scalar> buffer;
  bool same = true;
  for (Index first = 0; first < X.rows(); ++first) {
    for (Index count = 1; first + count <= X.rows(); ++count) {
      const auto view = source.read(first, count, buffer);
      same = same && same_values<Scalar>(view.inputs, X.middleRows(first, count)) &&
             same_values<Scalar>(view.targets, Y.middleRows(first, count)) &&
             same_values<Scalar>(view.weights, w.middleRows(first, count));
    }
  }
  CHECK(same);
}

template <class Stored>
std::string matrix_bytes(const std::string& type, char order, Index rows, Index cols) {
  std::string data;
  for (Index k = 0; k < rows * cols; ++k) {
    const auto value = std::is_same_v<Stored, bool>
                           ? static_cast<Stored>(k % 3 == 1)
                           : static_cast<Stored>(std::is_floating_point_v<Stored>
                                                     ? -1.25 * static_cast<double>(k)
                                                     : static_cast<double>(5 * k + 3));
    data += bytes_of(value, order);
  }
  const std::string descr = (sizeof(Stored) == 1 ? "|" : std::string(1, order)) + type;
  const std::string shape = "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
  return npy_file(npy_header(descr, "False", shape), data);
}

template <class Stored>
void check_type(const std::string& type) {
  const TemporaryFolder folder;
  for (const char order : {'<', '>'}) {
    INFO(type << order);
    folder.write("x.npy", matrix_bytes<Stored>(type, order, 7, 3));
    folder.write("y.npy", matrix_bytes<Stored>(type, order, 7, 1));
    check_same<float>(in(folder, "x.npy"), in(folder, "y.npy"));
    check_same<double>(in(folder, "x.npy"), in(folder, "y.npy"));
  }
}

std::string opening_error(const std::vector<fs::path>& inputs, const std::vector<fs::path>& targets,
                          const std::vector<fs::path>& weights = {}) {
  return error_of([&] { mgdl::NpySource<double>(inputs, targets, weights); });
}

template <class Scalar = double>
std::string reading_error(const std::vector<fs::path>& inputs, const std::vector<fs::path>& targets,
                          const std::vector<fs::path>& weights = {}) {
  const mgdl::NpySource<Scalar> source(inputs, targets, weights);
  mgdl::SampleBuffer<Scalar> buffer;
  return error_of([&] { source.read(0, source.size(), buffer); });
}

/// A matrix of numbers that are all different, one of them -0.
template <class Scalar>
mgdl::Matrix<Scalar> numbers(Index rows, Index cols, double start = 0.5) {
  mgdl::Matrix<Scalar> values(rows, cols);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) {
      values(i, j) = static_cast<Scalar>(start + static_cast<double>(i * cols + j));
    }
  }
  values(rows / 2, cols - 1) = -Scalar(0);
  return values;
}

/// Bytes of this program in memory; 0 where the system does not say.
std::size_t resident() {
  std::ifstream in("/proc/self/statm");
  std::size_t all = 0, pages = 0;
  in >> all >> pages;
  return pages * 4096;
}

}  // namespace

TEST_CASE("a source has what read_npy reads, of every type and byte order", "[io/npy_source]") {
  check_type<float>("f4");
  check_type<double>("f8");
  check_type<std::int8_t>("i1");
  check_type<std::int16_t>("i2");
  check_type<std::int32_t>("i4");
  check_type<std::int64_t>("i8");
  check_type<std::uint8_t>("u1");
  check_type<std::uint16_t>("u2");
  check_type<std::uint32_t>("u4");
  check_type<std::uint64_t>("u8");
  check_type<bool>("b1");
}

TEST_CASE("files follow each other, whatever their types", "[io/npy_source]") {
  const TemporaryFolder folder;
  mgdl::write_npy(folder / "a.npy", numbers<float>(5, 2));
  mgdl::write_npy(folder / "none.npy", mgdl::Matrix<float>(0, 2));
  folder.write("b.npy", matrix_bytes<std::int16_t>("i2", '>', 3, 2));
  mgdl::write_npy(folder / "c.npy", numbers<double>(9, 2, -3.5));
  mgdl::write_npy(folder / "y1.npy", numbers<double>(10, 1));
  mgdl::write_npy_array(folder / "y2.npy",
                        mgdl::NpyArray<double>{{7}, std::vector<double>(7, 0.1)});
  mgdl::write_npy(folder / "w.npy", numbers<double>(17, 1, 0.25));
  const auto inputs = in(folder, "a.npy", "none.npy", "b.npy", "c.npy", "none.npy");
  const auto targets = in(folder, "y1.npy", "y2.npy");
  check_same<float>(inputs, targets);
  check_same<double>(inputs, targets);
  check_same<float>(inputs, targets, in(folder, "w.npy"));
  check_same<double>(inputs, targets, in(folder, "w.npy"));
  // The same file twice.
  check_same<double>(in(folder, "c.npy", "c.npy", "b.npy"),
                     in(folder, "y2.npy", "y2.npy", "y2.npy"));
}

TEST_CASE("rows of the right type are looked at in the file", "[io/npy_source]") {
  const TemporaryFolder folder;
  mgdl::write_npy(folder / "x4.npy", numbers<float>(6, 3));
  mgdl::write_npy(folder / "x8.npy", numbers<double>(6, 3));
  folder.write("odd.npy", matrix_bytes<float>("f4", '<', 6, 3));
  REQUIRE(fs::file_size(folder / "odd.npy") % 4 != 0);  // not aligned
  const auto targets = in(folder, "x4.npy");
  mgdl::SampleBuffer<float> buffer;
  const mgdl::NpySource<float> same(in(folder, "x4.npy"), targets);
  const auto view = same.read(1, 4, buffer);
  CHECK(buffer.inputs.size() == 0);
  // Every time at the same place, which is none of the buffer's.
  CHECK(view.inputs.data() + 3 == same.read(2, 3, buffer).inputs.data());
  for (const std::string other : {"x8.npy", "odd.npy"}) {
    const mgdl::NpySource<float> source(in(folder, other), targets);
    const auto copy = source.read(1, 4, buffer);
    CHECK(copy.inputs.data() == buffer.inputs.data());
  }
  const mgdl::NpySource<float> two(in(folder, "x4.npy", "x4.npy"), in(folder, "x4.npy", "x4.npy"));
  const auto across = two.read(5, 2, buffer);
  CHECK(across.inputs.data() == buffer.inputs.data());
  const auto second = two.read(6, 2, buffer);
  CHECK(second.inputs.data() != buffer.inputs.data());
}

TEST_CASE("a trainer's blocks are those of the files", "[io/npy_source]") {
  const TemporaryFolder folder;
  const Index n = 2 * mgdl::detail::kBlockRows + 17;
  mgdl::write_npy(folder / "x.npy", numbers<double>(n, 2));
  mgdl::write_npy(folder / "y.npy", numbers<float>(n, 1));
  const mgdl::NpySource<double> source(in(folder, "x.npy"), in(folder, "y.npy"));
  Index rows = 0, blocks = 0;
  mgdl::Samples<double>(source).for_each_block([&](const auto& view, Index first) {
    CHECK(first == rows);
    CHECK(view.inputs(0, 0) == 0.5 + 2.0 * static_cast<double>(first));
    rows += view.size();
    ++blocks;
  });
  CHECK(rows == n);
  CHECK(blocks == 3);
}

TEST_CASE("files that do not belong together are refused", "[io/npy_source]") {
  const TemporaryFolder folder;
  mgdl::write_npy(folder / "x.npy", numbers<double>(6, 3));
  mgdl::write_npy(folder / "y.npy", numbers<double>(6, 1));
  mgdl::write_npy(folder / "y5.npy", numbers<double>(5, 1));
  mgdl::write_npy(folder / "x2.npy", numbers<double>(6, 2));
  mgdl::write_npy(folder / "none.npy", mgdl::Matrix<double>(0, 3));
  folder.write("fortran.npy", npy_file(npy_header("<f8", "True", "(2, 2)"), std::string(32, '\0')));
  folder.write("cube.npy",
               npy_file(npy_header("<f8", "False", "(2, 1, 2)"), std::string(32, '\0')));
  folder.write("text.npy", "a,b\n1,2\n3,4\n");
  folder.write("short.npy", npy_file(npy_header("<f8", "False", "(9, 3)"), std::string(32, '\0')));
  const auto x = in(folder, "x.npy"), y = in(folder, "y.npy");
  const auto check = [](const std::string& error, const std::string& file,
                        const std::string& what) {
    CHECK_THAT(error, ContainsSubstring(file) && ContainsSubstring(what));
  };
  check(opening_error(x, in(folder, "y5.npy")), folder / "y5.npy", "6 rows, found 5");
  check(opening_error(x, in(folder, "y.npy", "y5.npy")), folder / "y5.npy", "6 rows, found 11");
  check(opening_error(x, y, in(folder, "y5.npy")), folder / "y5.npy", "6 rows, found 5");
  check(opening_error(x, y, x), folder / "x.npy", "1 columns, found 3");
  check(opening_error(in(folder, "x.npy", "x2.npy"), y), folder / "x2.npy", "3 columns, found 2");
  check(opening_error(in(folder, "fortran.npy"), y), folder / "fortran.npy", "ascontiguousarray");
  check(opening_error(in(folder, "cube.npy"), y), folder / "cube.npy", "1 or 2 dimensions");
  check(opening_error(in(folder, "text.npy"), y), folder / "text.npy", "a .npy file");
  check(opening_error(in(folder, "short.npy"), y), folder / "short.npy", "216 bytes of data");
  check(opening_error(in(folder, "nowhere.npy"), y), folder / "nowhere.npy", "readable file");
  check(opening_error({folder.path()}, y), folder.path().string(), "a directory");
  check(opening_error({"/dev/null"}, y), "/dev/null", "regular file");
  check(opening_error({}, y), "inputs", "no file");
  check(opening_error(x, {}), "targets", "no file");
  check(opening_error(in(folder, "none.npy"), y), folder / "none.npy", "0 x 3");
  folder.write("empty.npy", "");
  check(opening_error(in(folder, "empty.npy"), y), folder / "empty.npy", "0 bytes");
  // One row, or one column, is the same in both orders.
  folder.write("row.npy", npy_file(npy_header("<f8", "True", "(1, 4)"), std::string(32, '\0')));
  folder.write("col.npy", npy_file(npy_header("<f8", "True", "(4, 1)"), std::string(32, '\0')));
  check_same<double>(in(folder, "row.npy"), in(folder, "row.npy"));
  check_same<double>(in(folder, "col.npy"), in(folder, "col.npy"));

  const mgdl::NpySource<double> source(x, y);
  mgdl::SampleBuffer<double> buffer;
  for (const auto& [first, count] :
       std::vector<std::pair<Index, Index>>{{-1, 2}, {0, 0}, {0, 7}, {6, 1}, {5, 2}}) {
    check(error_of([&, f = first, c = count] { source.read(f, c, buffer); }), "rows",
          std::to_string(count) + " from row " + std::to_string(first));
  }
}

TEST_CASE("values that are no numbers are named where they are", "[io/npy_source]") {
  const TemporaryFolder folder;
  const Index n = 40000;
  mgdl::write_npy(folder / "good.npy", numbers<float>(10, 2));
  mgdl::write_npy(folder / "y.npy", numbers<float>(n + 10, 1));
  const auto check = [](const std::string& error, const std::string& file,
                        const std::string& what) {
    CHECK_THAT(error, ContainsSubstring(file) && ContainsSubstring(what));
  };
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    auto values = numbers<float>(n, 2);
    values(31234, 1) = bad;
    mgdl::write_npy(folder / "x4.npy", values);
    mgdl::write_npy(folder / "x8.npy", values.cast<double>().eval());
    const std::string found = std::isnan(bad) ? "found nan" : "found -inf";
    for (const std::string name : {"x4.npy", "x8.npy"}) {
      const auto inputs = in(folder, "good.npy", name);
      const auto y = in(folder, "y.npy");
      check(reading_error<float>(inputs, y), folder / name, found + " at row 31234, column 1");
      check(reading_error<double>(inputs, y), folder / name, found + " at row 31234, column 1");
      // Only for those who read it.
      const mgdl::NpySource<float> source(inputs, y);
      mgdl::SampleBuffer<float> buffer;
      source.read(0, 31244, buffer);
      source.read(31245, n - 31235, buffer);
      check(error_of([&] { source.read(31244, 1, buffer); }), folder / name, "row 31234");
    }
    check(reading_error<float>(in(folder, "y.npy"), in(folder, "good.npy", "x4.npy")),
          folder / "x4.npy", found);
  }

  // As read_npy says it.
  std::string whole_numbers;
  for (const std::int64_t value : {1, 2, 3, (1 << 24) + 1}) whole_numbers += bytes_of(value, '<');
  folder.write("i8.npy", npy_file(npy_header("<i8", "False", "(4,)"), whole_numbers));
  const Eigen::Vector4d large(1, 2, 1e300, 3);
  mgdl::write_npy(folder / "large.npy", large);
  const auto y = in(folder, "y4.npy");
  mgdl::write_npy(folder / "y4.npy", numbers<float>(4, 1));
  for (const std::string name : {"i8.npy", "large.npy"}) {
    const std::string expected = error_of([&] { mgdl::read_npy<float>(fs::path(folder / name)); });
    CHECK(reading_error<float>(in(folder, name), y) == expected);
    check_same<double>(in(folder, name), y);
  }

  const Eigen::Vector4f negative(1, 0, -0.5, 3);
  mgdl::write_npy(folder / "w.npy", negative);
  check(reading_error<float>(y, y, in(folder, "w.npy")), folder / "w.npy",
        "values >= 0, found -0.5 at row 2");
}

TEST_CASE("a file that changes is no longer read", "[io/npy_source]") {
  const TemporaryFolder folder;
  const auto values = numbers<double>(40000, 2);
  mgdl::write_npy(folder / "y.npy", numbers<double>(40000, 1));
  mgdl::SampleBuffer<double> buffer;
  const auto change = [&](const auto& how) {
    const fs::path path = folder / "x.npy";
    mgdl::write_npy(path, values);
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
    const mgdl::NpySource<double> source({path}, in(folder, "y.npy"));
    source.read(0, 10, buffer);
    how(path);
    return error_of([&] { source.read(39000, 10, buffer); });
  };
  CHECK_THAT(change([](const fs::path& path) { fs::resize_file(path, 1000); }),
             ContainsSubstring(folder / "x.npy") && ContainsSubstring("the 640128 bytes") &&
                 ContainsSubstring("found 1000"));
  CHECK_THAT(change([](const fs::path& path) { fs::resize_file(path, 0); }),
             ContainsSubstring("found 0"));
  CHECK_THAT(change([](const fs::path& path) { std::ofstream(path, std::ios::app) << "more"; }),
             ContainsSubstring("found 640132"));
  CHECK_THAT(change([](const fs::path& path) {
               std::fstream(path, std::ios::in | std::ios::out | std::ios::binary) << "\x93";
             }),
             ContainsSubstring(folder / "x.npy") && ContainsSubstring("written to"));

  // One that takes its place is another file.
  const fs::path path = folder / "x.npy";
  mgdl::write_npy(path, values);
  const mgdl::NpySource<double> source({path}, in(folder, "y.npy"));
  mgdl::write_npy(path, Eigen::MatrixXd::Zero(3, 3));
  CHECK(source.read(39000, 1, buffer).inputs(0, 1) == values(39000, 1));
  fs::remove(path);
  CHECK(source.read(29000, 1, buffer).inputs(0, 1) == values(29000, 1));
}

TEST_CASE("several threads read at a time", "[io/npy_source]") {
  const TemporaryFolder folder;
  const Index n = 3 * mgdl::detail::kBlockRows;
  mgdl::write_npy(folder / "x.npy", numbers<double>(n, 3));
  mgdl::write_npy(folder / "y.npy", numbers<float>(n, 1));
  const auto x = in(folder, "x.npy", "x.npy"), y = in(folder, "y.npy", "y.npy");
  const mgdl::NpySource<double> source(x, y);
  const auto X = whole<double>(x);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      mgdl::SampleBuffer<double> buffer;
      for (Index k = 0; k < 300; ++k) {
        const Index first = (7919 * k + 1000 * static_cast<Index>(t)) % (2 * n - 5000);
        const auto view = source.read(first, 5000, buffer);
        if (!same_values<double>(view.inputs, X.middleRows(first, 5000))) ++wrong[t];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("a file larger than memory may be does not come into it whole", "[io/npy_source]") {
  const TemporaryFolder folder;
  // Zeros that need no room on the disk.
  const Index n = Index{1} << 24, parts = 2;
  const auto zeros = [&](const std::string& name, Index cols) {
    std::string header =
        npy_header("<f4", "False", "(" + std::to_string(n) + ", " + std::to_string(cols) + ")");
    header.insert(header.size() - 1, std::string(118 - header.size(), ' '));
    folder.write(name, npy_file(header, ""));
    fs::resize_file(folder / name, 128 + static_cast<std::uint64_t>(4 * n * cols));
  };
  zeros("x.npy", 2);
  zeros("y.npy", 1);
  const std::vector<fs::path> x(parts, folder / "x.npy"), y(parts, folder / "y.npy");
  const mgdl::NpySource<float> source(x, y);
  mgdl::SampleBuffer<float> buffer;
  const std::size_t before = resident();
  std::size_t most = before;
  for (Index first = 0; first < source.size(); first += mgdl::detail::kBlockRows) {
    const Index count = std::min(mgdl::detail::kBlockRows, source.size() - first);
    const auto view = source.read(first, count, buffer);
    if (view.inputs.sum() != 0) FAIL("not zero");
    if (first % (Index{1} << 20) == 0) most = std::max(most, resident());
  }
  INFO((most - before) / 1048576 << " MiB");
  CHECK(most - before < std::size_t{100} << 20);  // of 384 MiB
  // Single rows, which bring more than themselves.
  std::size_t single = before;
  for (Index k = 0; k < 6000; ++k) {
    source.read(k * 1000003 % source.size(), 1, buffer);
    if (k % 500 == 499) single = std::max(single, resident());
  }
  INFO((single - before) / 1048576 << " MiB");
  CHECK(single - before < std::size_t{100} << 20);
}
