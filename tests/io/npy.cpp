// Lets a test forbid Eigen to allocate, in builds without assertions too.
#include <stdexcept>
#define EIGEN_RUNTIME_NO_MALLOC
#define eigen_assert(condition) \
  if (!(condition)) throw std::logic_error(#condition)

#include "mgdl/io/npy.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/npy_bytes.hpp"
#include "io/npy_golden.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using namespace std::string_literals;

using mgdl::test::bytes_of;
using mgdl::test::Golden;
using mgdl::test::golden_files;
using mgdl::test::golden_values;
using mgdl::test::npy_file;
using mgdl::test::npy_header;

namespace {

template <class Scalar>
mgdl::Matrix<Scalar> read(const std::string& bytes) {
  std::istringstream in(bytes);
  return mgdl::read_npy<Scalar>(in, bytes.size(), "x.npy");
}

template <class Scalar>
mgdl::NpyArray<Scalar> read_array(const std::string& bytes) {
  std::istringstream in(bytes);
  return mgdl::read_npy_array<Scalar>(in, bytes.size(), "x.npy");
}

/// The message of the InvalidArgument that reading must end in; any other outcome fails the test.
template <class Scalar = double>
std::string error_of_npy(const std::string& bytes) {
  std::string messages[2];
  try {
    read<Scalar>(bytes);
  } catch (const mgdl::InvalidArgument& error) {
    messages[0] = error.what();
  }
  try {
    read_array<Scalar>(bytes);
    messages[1] = messages[0];  // the reader of arrays accepts more shapes
  } catch (const mgdl::InvalidArgument& error) {
    messages[1] = error.what();
  }
  if (messages[0] != messages[1]) FAIL("different: " << messages[0] << " / " << messages[1]);
  if (messages[0].empty()) FAIL("no error");
  return messages[0];
}

/// Reads a 3 x 2 and a 2 x 3 x 2 array of distinct values in every byte order, memory order and
/// version.
template <class Stored, class Scalar>
void check_read_type(const std::string& type) {
  const auto value = [](int k) {
    return static_cast<Stored>(std::is_same_v<Stored, bool> ? k % 3 == 1 : 5 * k + 3);
  };
  for (const char order : {'<', '>'}) {
    for (const bool fortran : {false, true}) {
      for (const int version : {1, 2, 3}) {
        std::string matrix_data, array_data;
        for (int k = 0; k < 6; ++k) {
          matrix_data += bytes_of(value(fortran ? k % 3 * 2 + k / 3 : k), order);
        }
        for (int k = 0; k < 12; ++k) {
          const int c_position = k % 2 * 6 + k / 2 % 3 * 2 + k / 6;
          array_data += bytes_of(value(fortran ? c_position : k), order);
        }
        const std::string descr = (sizeof(Stored) == 1 ? "|" : std::string(1, order)) + type;
        const std::string word = fortran ? "True" : "False";
        const auto matrix =
            read<Scalar>(npy_file(npy_header(descr, word, "(3, 2)"), matrix_data, version));
        const auto array =
            read_array<Scalar>(npy_file(npy_header(descr, word, "(2, 3, 2)"), array_data, version));
        INFO(descr << " fortran " << fortran << " version " << version);
        REQUIRE((matrix.rows() == 3 && matrix.cols() == 2));
        REQUIRE(array.shape == std::vector<mgdl::Index>{2, 3, 2});
        REQUIRE(array.data.size() == 12);
        bool equal = true;
        for (int k = 0; k < 6; ++k)
          equal = equal && matrix(k / 2, k % 2) == static_cast<Scalar>(value(k));
        for (int k = 0; k < 12; ++k)
          equal = equal && array.data[static_cast<std::size_t>(k)] == static_cast<Scalar>(value(k));
        CHECK(equal);
      }
    }
  }
}

template <class Scalar>
void check_all_types() {
  check_read_type<float, Scalar>("f4");
  check_read_type<double, Scalar>("f8");
  check_read_type<std::int8_t, Scalar>("i1");
  check_read_type<std::int16_t, Scalar>("i2");
  check_read_type<std::int32_t, Scalar>("i4");
  check_read_type<std::int64_t, Scalar>("i8");
  check_read_type<std::uint8_t, Scalar>("u1");
  check_read_type<std::uint16_t, Scalar>("u2");
  check_read_type<std::uint32_t, Scalar>("u4");
  check_read_type<std::uint64_t, Scalar>("u8");
  check_read_type<bool, Scalar>("b1");
}

template <class Derived>
std::string written_npy(const Eigen::DenseBase<Derived>& matrix) {
  std::ostringstream out;
  mgdl::write_npy(out, matrix);
  return out.str();
}

/// A name in the temporary folder, removed at the end.
class TemporaryPath {
 public:
  TemporaryPath()
      : m_path(std::filesystem::temp_directory_path() /
               ("mgdl-npy-" + std::to_string(std::random_device()()) + ".npy")) {}
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;
  ~TemporaryPath() { std::filesystem::remove_all(m_path); }
  const std::filesystem::path& operator*() const { return m_path; }

 private:
  std::filesystem::path m_path;
};

}  // namespace

TEST_CASE("reads files written by NumPy", "[io/npy]") {
  std::size_t types = 0;
  for (const Golden& golden : golden_files()) {
    INFO(golden.start);
    const mgdl::Matrix<double> values = read<double>(golden.bytes());
    const mgdl::NpyArray<double> array = read_array<double>(golden.bytes());
    const std::vector<double> expected = golden_values(golden.type);
    REQUIRE((values.rows() == 2 && values.cols() == 3));
    CHECK(array.data == expected);
    for (int k = 0; k < 6; ++k) {
      const double found = values(k / 3, k % 3);
      CHECK(found == expected[static_cast<std::size_t>(k)]);
      CHECK(std::signbit(found) == std::signbit(expected[static_cast<std::size_t>(k)]));
    }
    ++types;
  }
  CHECK(types == 22);
}

TEST_CASE("reads every type, byte order, memory order and version", "[io/npy]") {
  check_all_types<float>();
  check_all_types<double>();
}

TEST_CASE("writes what NumPy writes", "[io/npy]") {
  const mgdl::RowMatrix<float> f4{{1.5f, -2.25f, 3e-45f}, {3.4028235e38f, -0.0f, 7.0f}};
  const mgdl::Matrix<double> f8{{1.5, -2.25, 5e-324}, {1.7976931348623157e308, -0.0, 7.0}};
  const std::string f4_file = golden_files()[0].bytes();
  CHECK(written_npy(f4) == f4_file);
  CHECK(written_npy(mgdl::Matrix<float>(f4)) == f4_file);  // the storage order does not show
  CHECK(written_npy(f4.array() * 1.0f) == f4_file);
  CHECK(written_npy(mgdl::Matrix<float>(f4.transpose()).transpose()) == f4_file);
  CHECK(written_npy(f8).substr(128) == golden_files()[2].rest.substr(1));
}

TEST_CASE("what is written is read back bit for bit", "[io/npy]") {
  using Limits = std::numeric_limits<double>;
  // Rows above and below the block that conversion works in, and matrices without elements.
  for (const auto& [rows, cols] : std::vector<std::pair<int, int>>{{1, 1},
                                                                   {5, 3},
                                                                   {1, 70000},
                                                                   {70000, 1},
                                                                   {3, 40000},
                                                                   {40000, 3},
                                                                   {2, 32768},
                                                                   {0, 4},
                                                                   {4, 0}}) {
    mgdl::Matrix<double> matrix(rows, cols);
    for (mgdl::Index k = 0; k < matrix.size(); ++k)
      matrix.data()[k] = 1.0 / static_cast<double>(k + 3);
    if (matrix.size() >= 6) {
      matrix.reshaped().head(6) << Limits::denorm_min(), Limits::max(), Limits::lowest(), -0.0,
          Limits::infinity(), Limits::min();
    }
    const std::string bytes = written_npy(matrix);
    CHECK((bytes.size() - static_cast<std::size_t>(matrix.size()) * 8) % 64 == 0);
    const mgdl::Matrix<double> back = read<double>(bytes);
    INFO(rows << " x " << cols);
    REQUIRE((back.rows() == rows && back.cols() == cols));
    const auto size = static_cast<std::size_t>(matrix.size()) * sizeof(double);
    CHECK((size == 0 || std::memcmp(back.data(), matrix.data(), size) == 0));
  }
  for (const std::vector<mgdl::Index>& shape : std::vector<std::vector<mgdl::Index>>{
           {}, {3}, {2, 3, 5}, {20, 30, 11, 13}, {0, 7, 2}, {7, 0}}) {
    mgdl::Index count = 1;
    for (const mgdl::Index size : shape) count *= size;
    mgdl::NpyArray<float> array{shape, std::vector<float>(static_cast<std::size_t>(count))};
    for (std::size_t k = 0; k < array.data.size(); ++k) array.data[k] = static_cast<float>(k) - 7;
    std::ostringstream out;
    mgdl::write_npy_array(out, array);
    CHECK(read_array<float>(out.str()).shape == array.shape);
    CHECK(read_array<float>(out.str()).data == array.data);
  }
}

TEST_CASE("a large Fortran-ordered array is transposed across blocks", "[io/npy]") {
  constexpr int a = 40, b = 50, c = 60;
  std::string data;
  for (int k = 0; k < a * b * c; ++k) data += bytes_of(k, '<');
  const auto array = read_array<double>(npy_file(npy_header("<i4", "True", "(40, 50, 60)"), data));
  bool equal = true;
  for (int i = 0; i < a; ++i) {
    for (int j = 0; j < b; ++j) {
      for (int k = 0; k < c; ++k) {
        equal = equal &&
                array.data[static_cast<std::size_t>((i * b + j) * c + k)] == i + a * (j + b * k);
      }
    }
  }
  CHECK(equal);
}

TEST_CASE("a one-dimensional array is a column", "[io/npy]") {
  const std::string data = bytes_of(1.0f, '<') + bytes_of(2.0f, '<') + bytes_of(3.0f, '<');
  for (const char* word : {"False", "True"}) {
    const auto column = read<double>(npy_file(npy_header("<f4", word, "(3,)"), data));
    CHECK(column == Eigen::Vector3d(1, 2, 3));
  }
}

TEST_CASE("the header may be laid out in any way Python allows", "[io/npy]") {
  const std::string data = "\1\2\3"s;
  for (const std::string text :
       {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}",
        "{'shape':(3L,),'descr':'|u1','fortran_order':False}",
        " { \"fortran_order\" : True ,\n\"shape\" : ( 3 , 1 , ) , \"descr\" : \"=u1\" , } \t "}) {
    CHECK(read<float>(npy_file(text, data)) == Eigen::Vector3f(1, 2, 3));
  }
}

TEST_CASE("values that the result cannot hold are refused", "[io/npy]") {
  const auto error_at_1 = [](const std::string& descr, const std::string& good,
                             const std::string& bad, auto scalar) {
    const std::string start = npy_header(descr, "False", "(2,)");
    const std::string where =
        "element 1 (byte " + std::to_string(10 + start.size() + good.size()) + ")";
    const std::string message = error_of_npy<decltype(scalar)>(npy_file(start, good + bad));
    CHECK_THAT(message, ContainsSubstring(where));
    read<decltype(scalar)>(npy_file(start, good + good));
  };
  const auto i8 = [](std::int64_t value) { return bytes_of(value, '<'); };
  const std::int64_t exact = std::int64_t{1} << 53;
  error_at_1("<i8", i8(exact + 2), i8(exact + 1), double{});
  error_at_1("<i8", i8(-exact), i8(-exact - 1), double{});
  error_at_1("<i8", i8(std::numeric_limits<std::int64_t>::min()),
             i8(std::numeric_limits<std::int64_t>::max()), double{});
  error_at_1("<u8", bytes_of(~std::uint64_t{2047}, '<'), bytes_of(~std::uint64_t{0}, '<'),
             double{});
  error_at_1(">i4", bytes_of(1 << 24, '>'), bytes_of((1 << 24) + 1, '>'), float{});
  error_at_1("<f8", bytes_of(0.1, '<'), bytes_of(3.5e38, '<'), float{});
  error_at_1("<f8", bytes_of(3.4028234663852886e38, '<'), bytes_of(-1e300, '<'), float{});
  error_at_1("|b1", "\1", "\2", double{});

  // Far behind the pieces that are converted at a time.
  const std::string start = npy_header("<i8", "False", "(50000,)");
  std::string many(8 * 50000, '\0');
  many.replace(8 * 49999, 8, i8(exact + 1));
  CHECK_THAT(error_of_npy(npy_file(start, many)),
             ContainsSubstring("found 9007199254740993 at element 49999 (byte " +
                               std::to_string(10 + start.size() + 8 * 49999) + ")"));

  const double infinity = std::numeric_limits<double>::infinity();
  const auto special = read<float>(
      npy_file(npy_header("<f8", "False", "(3,)"),
               bytes_of(std::nan(""), '<') + bytes_of(-infinity, '<') + bytes_of(1e-60, '<')));
  CHECK(std::isnan(special(0)));
  CHECK(special(1) == -std::numeric_limits<float>::infinity());
  CHECK(special(2) == 0);
}

TEST_CASE("hostile headers are refused before anything is allocated", "[io/npy]") {
  const auto check = [](const std::string& bytes, const std::string& expected) {
    Eigen::internal::set_is_malloc_allowed(false);
    const std::string message = error_of_npy(bytes);
    Eigen::internal::set_is_malloc_allowed(true);
    CHECK_THAT(message, ContainsSubstring("x.npy: expected "));
    CHECK_THAT(message, ContainsSubstring(expected));
  };
  const std::string data(8, '\0');
  const auto shape = [&](const std::string& text) {
    return npy_file(npy_header("<f8", "False", text), data);
  };
  check(shape("(1152921504606846975,)"),
        "9223372036854775800 bytes of data for 'shape' (1152921504606846975,) of 8-byte elements, "
        "found 8");
  check(shape("(1099511627776, 65536)"), "8-byte elements, found 8");
  check(shape("(4294967296, 4294967296)"),
        "elements, found 'shape' (4294967296, 4294967296) at header key 'shape'");
  check(shape("(9223372036854775807, 2)"), "header key 'shape'");
  check(shape("(9223372036854775808,)"), "sizes of at most 9223372036854775807");
  check(shape("(0, 4611686018427387904, 4611686018427387904)"), "header key 'shape'");
  check(shape("(2,)"), "16 bytes of data");
  check(shape("(0,)"), "0 bytes of data");
  check(shape("(-1,)"), "sizes from 0 in 'shape', found \"-1,)");
  check(shape("(1.0,)"), "',' in a 'shape' of one dimension");
  check(shape("(1)"), "',' in a 'shape' of one dimension");
  check(shape("[1]"), "'('");
  check(shape("(1,"), "sizes from 0");
  check(shape("(1, 1 1)"), "')'");
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "1, ";
  check(shape(many + ")"), "at most 64 dimensions");

  for (const std::string type : {"|O", "O", "<O"}) {
    check(npy_file(npy_header(type, "False", "(1,)"), data), "pickled Python objects");
  }
  for (const std::string type :
       {"<f2", "<f16", "<c8", "<U2", "|S8", "<M8", "<i3", "f8", "", "<", "!f8", "< f8", "<f8 "}) {
    check(npy_file(npy_header(type, "False", "(1,)"), data), "'descr' to be one of f4 f8");
  }
  check(npy_file("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", data),
        "a structured type");
  check(npy_file(npy_header("<f8", "false", "(1,)"), data),
        "'fortran_order' to be True or False, found \"false");
  check(npy_file("{'descr': '<f8', 'shape': (1,), }", data),
        "header key 'fortran_order', found none");
  check(npy_file("{'fortran_order': False, 'shape': (1,), }", data),
        "header key 'descr', found none");
  check(npy_file("{'descr': '<f8', 'fortran_order': False}", data),
        "header key 'shape', found none");
  check(npy_file("{'descr': '<f8', 'extra': 1}", data), "each once, found \"extra\" at byte 27");
  check(npy_file("{'descr': '<f8', 'descr': '<f8'}", data),
        "each once, found \"descr\" at byte 27");
  check(npy_file("{'descr' '<f8'}", data), "':' in the header");
  check(npy_file("{'descr", data), "a closing quote");
  check(npy_file("{descr: 1}", data), "a key in quotes");
  check(npy_file("", data), "'{' in the header, found the end of the header at byte 10");
  check(npy_file(npy_header("<f8", "False", "(1,)") + "x", data), "only spaces behind");

  const std::string good = npy_file(npy_header("<f8", "False", "(1,)"), data);
  read<double>(good);
  check(good + '\0', "8 bytes of data for 'shape' (1,) of 8-byte elements, found 9");
  check("PK\3\4" + good, "a .npy file");
  check("\x93NUMPY\4" + good.substr(7), "version 1.0, 2.0 or 3.0, found 4.0 at byte 6");
  check("\x93NUMPY\1\1" + good.substr(8), "found 1.1");
  check("\x93NUMPY\2\0\xff\xff\xff\xff"s + good, "a header of at most");
  check("\x93NUMPY\2\0\0\0\1\0"s + std::string(70000, ' '),
        "at most 65535 bytes, found 65536 at byte 8");
  check("\x93NUMPY\1\0\xff\xff"s + good, "found 65535 at byte 8");
  CHECK_THAT(
      [&] {
        try {
          read<double>(npy_file(npy_header("<f8", "False", "()"), data));
        } catch (const mgdl::InvalidArgument& e) {
          return std::string(e.what());
        }
        return std::string();
      }(),
      ContainsSubstring(
          "an array of 1 or 2 dimensions, found 0 dimensions, () at header key 'shape'"));
  CHECK_THROWS_AS(read<double>(npy_file(npy_header("<f8", "False", "(1, 1, 1)"), data)),
                  mgdl::InvalidArgument);
  CHECK(read_array<double>(npy_file(npy_header("<f8", "False", "()"), data)).data ==
        std::vector<double>{0.0});
}

TEST_CASE("a truncated or corrupted file never does harm", "[io/npy]") {
  const std::string good = golden_files()[0].bytes();
  for (std::size_t length = 0; length < good.size(); ++length) error_of_npy(good.substr(0, length));

  // A stream that ends before its announced size.
  for (std::size_t length = 0; length < good.size(); ++length) {
    std::istringstream in(good.substr(0, length));
    CHECK_THROWS_WITH(mgdl::read_npy<double>(in, good.size(), "x.npy"),
                      ContainsSubstring(length < 128 ? "a readable header" : "readable data"));
  }
  // Any byte may become any other: an error, or the six elements that are there.
  std::size_t errors = 0;
  for (std::size_t i = 0; i < 128; ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string bad = good;
      bad[i] = static_cast<char>(value);
      try {
        const auto array = read_array<float>(bad);
        if (array.data.size() != 6) FAIL("byte " << i << " = " << value);
      } catch (const mgdl::InvalidArgument&) {
        ++errors;
      }
    }
  }
  CHECK(errors > 30000);
}

TEST_CASE("files: read, replace, refuse", "[io/npy]") {
  const TemporaryPath path;
  const mgdl::Matrix<float> first{{1, 2, 3}, {4, 5, 6}};
  mgdl::write_npy(*path, first);
  CHECK(mgdl::read_npy<float>(*path) == first);
  mgdl::write_npy_array(*path, mgdl::NpyArray<double>{{1, 2, 2}, {1, 2, 3, 4}});
  CHECK(mgdl::read_npy_array<double>(*path).data == std::vector<double>{1, 2, 3, 4});

  for (const mgdl::NpyArray<double>& wrong : {mgdl::NpyArray<double>{{2, 2}, {1, 2, 3}},
                                              {{-1, -1}, {1}},
                                              {{0}, {1}},
                                              {{mgdl::Index{1} << 62, 4}, {}}}) {
    CHECK_THROWS_AS(mgdl::write_npy_array(*path, wrong), mgdl::InvalidArgument);
  }
  CHECK(mgdl::read_npy_array<double>(*path).data ==
        std::vector<double>{1, 2, 3, 4});  // still there

  const std::filesystem::path folder = std::filesystem::temp_directory_path();
  CHECK_THROWS_WITH(mgdl::read_npy<float>(folder), ContainsSubstring("a directory"));
  CHECK_THROWS_AS(mgdl::read_npy<float>(folder / "mgdl-does-not-exist.npy"), mgdl::InvalidArgument);
  CHECK_THROWS_AS(mgdl::read_npy_array<float>(folder / "mgdl-does-not-exist.npy"),
                  mgdl::InvalidArgument);
}

TEST_CASE("NPY: what NumPy writes and nobody reads here is refused with the way out", "[io/npy]") {
  for (const std::string type : {"<f2", ">f2", "<f16", "<c8", "<c16"}) {
    CHECK_THAT(error_of_npy(npy_file(npy_header(type, "False", "(1,)"), std::string(16, '\0'))),
               ContainsSubstring("found \"" + type + "\" (x.astype('f8') in NumPy makes one"));
  }
  for (const std::string type : {"<U5", "|S3", "<M8[ns]"}) {
    CHECK_THAT(error_of_npy(npy_file(npy_header(type, "False", "(1,)"), std::string(16, '\0'))),
               ContainsSubstring("\"" + type + "\""));
  }
  for (const std::string start : {"PK\x03\x04", "PK\x05\x06"}) {
    CHECK_THAT(error_of_npy(start + std::string(100, 'x')),
               ContainsSubstring("numpy.save writes it, found a zip file, as .npz files are"));
  }
}
