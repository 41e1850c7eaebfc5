#include "mgdl/io/safetensors.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/io/model/content.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::SafeTensors;
using mgdl::Tensor;
using mgdl::TensorType;

namespace {

std::string file_of(const std::string& header, const std::string& data = {},
                    std::int64_t extra_length = 0) {
  const std::uint64_t length = header.size() + static_cast<std::uint64_t>(extra_length);
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return file + header + data;
}

SafeTensors parse_tensors(const std::string& file) {
  return mgdl::parse_safetensors(std::as_bytes(std::span(file)), "f");
}

std::string error_of_tensors(const std::string& file) {
  try {
    parse_tensors(file);
  } catch (const mgdl::FormatError& error) {
    return error.what();
  }
  return "no error";
}

std::string written_tensors(const SafeTensors& content) {
  std::ostringstream out;
  mgdl::write_safetensors(out, content);
  return out.str();
}

template <class Number>
Tensor tensor(TensorType type, std::vector<Index> shape, const std::vector<Number>& values) {
  return {type, std::move(shape), std::as_bytes(std::span(values))};
}

bool same(const Tensor& a, const Tensor& b) {
  return a.type == b.type && a.shape == b.shape && a.data.size() == b.data.size() &&
         (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0);
}

const std::string kOne = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";

}  // namespace

TEST_CASE("the layout of a safetensors file is the one of its specification", "[io/safetensors]") {
  const std::vector<float> values{1, -2};
  SafeTensors content;
  content.metadata["k"] = "v";
  content.tensors["w"] = tensor(TensorType::F32, {1, 2}, values);
  const std::string header =
      R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  CHECK(written_tensors(content) == file_of(header + std::string(8 - header.size() % 8, ' '),
                                            std::string("\0\0\x80\x3f\0\0\0\xc0", 8)));
}

TEST_CASE("tensors of all types and shapes come back", "[io/safetensors]") {
  const std::vector<std::uint8_t> bytes(96, 7);
  SafeTensors content;
  content.metadata = {{"", "empty key"}, {"caf\xc3\xa9", "\"quoted\"\n"}};
  const auto add = [&](TensorType type, std::vector<Index> shape) {
    std::size_t size = size_of(type);
    for (const Index n : shape) size *= static_cast<std::size_t>(n);
    content.tensors[std::string("t.") + to_string(type) + std::to_string(content.tensors.size())] =
        {type, std::move(shape), std::as_bytes(std::span(bytes)).first(size)};
  };
  for (int i = 0; i <= static_cast<int>(TensorType::F64); ++i) {
    add(static_cast<TensorType>(i), {3, 4});
  }
  add(TensorType::F64, {});
  add(TensorType::F32, {0});
  add(TensorType::F32, {5, 0, 7});
  add(TensorType::U8, {1, 1, 2, 3, 4, 1});
  const std::string file = written_tensors(content);
  CHECK(written_tensors(content) == file);
  const SafeTensors found = parse_tensors(file);
  CHECK(found.metadata == content.metadata);
  REQUIRE(found.tensors.size() == content.tensors.size());
  for (const auto& [name, expected] : content.tensors) {
    INFO(name);
    REQUIRE(found.tensors.contains(name));
    const Tensor& tensor = found.tensors.at(name);
    CHECK(same(tensor, expected));
    // Borrowed, and aligned from the beginning of the file.
    const auto offset = reinterpret_cast<const char*>(tensor.data.data()) - file.data();
    CHECK((tensor.data.empty() || (offset >= 8 && offset <= std::ssize(file))));
    CHECK(offset % static_cast<std::ptrdiff_t>(size_of(tensor.type)) == 0);
  }
  CHECK(parse_tensors(file_of("{}")).tensors.empty());
  CHECK(parse_tensors(file_of("{} ")).metadata.empty());
  CHECK(parse_tensors(written_tensors({})).tensors.empty());
}

TEST_CASE("what is no safetensors file is refused", "[io/safetensors]") {
  const std::string two = R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  const auto one = [](const std::string& fields) { return R"({"a":{)" + fields + "}}"; };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "f: expected 8 bytes, the length of the header, found 0"},
      {"1234567", "found 7"},
      {file_of(""), "expected a JSON object, found nothing at byte 8"},
      {file_of("{}", "", 1), "expected a header of 3 bytes, found 2 at byte 8"},
      {file_of("{}", "", 100'000'000), "expected a header of at most 100000000 bytes"},
      {std::string(8, '\xff') + "{}", "found 18446744073709551615 at byte 0"},
      {file_of(" {}"), "expected a JSON object, found \" \" at byte 8"},
      {file_of("[]"), "expected a JSON object, found \"[\" at byte 8"},
      {file_of("{"), "expected a JSON object, found another text at byte 9"},
      {file_of("{}x"), "found another text at byte 10"},
      {file_of("{}{}"), "found another text"},
      {file_of("{\"a\xff\":" + two + "}", "xx"), "found another text at byte 11"},
      {file_of(R"({"a":1})"), "expected an object, found 1 at tensor a"},
      {file_of(R"({"a":null})"), "expected an object, found null at tensor a"},
      {file_of(R"({"a":[1]})"), "expected an object, found a list at tensor a"},
      {file_of(R"({"a":"x"})"), "expected an object, found \"x\" at tensor a"},
      {file_of(R"({"a":{}})"),
       "expected dtype, shape and two data_offsets, found less at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":[2])"), "xx"), "found less at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":[2],"data_offsets":[0])"), "xx"), "found less"},
      {file_of(one(R"("dtype":"U8","shape":[2],"data_offsets":[0,2,2])"), "xx"),
       "expected a list of two offsets, found more than two offsets at tensor a"},
      {file_of(one(R"("dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2])"), "xx"),
       "expected dtype, shape and data_offsets, each once, found \"dtype\" at tensor a"},
      {file_of(one(R"("x":1,"dtype":"U8","shape":[2],"data_offsets":[0,2])"), "xx"),
       "each once, found \"x\" at tensor a"},
      {file_of(one(R"("dtype":"F7","shape":[2],"data_offsets":[0,2])"), "xx"),
       "expected a type that is known, found \"F7\" at tensor a"},
      {file_of(one(R"("dtype":8,"shape":[2],"data_offsets":[0,2])"), "xx"),
       "expected a type that is known, found 8 at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":2,"data_offsets":[0,2])"), "xx"),
       "expected a list of at most 32 sizes, found 2 at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":[-2],"data_offsets":[0,2])"), "xx"), "found -2"},
      {file_of(one(R"("dtype":"U8","shape":[2.0],"data_offsets":[0,2])"), "xx"), "found \"2.0\""},
      {file_of(one(R"("dtype":"U8","shape":["2"],"data_offsets":[0,2])"), "xx"), "found \"2\""},
      {file_of(one(R"("dtype":"U8","shape":[[2]],"data_offsets":[0,2])"), "xx"), "found a list"},
      {file_of(one(R"("dtype":"U8","shape":[{}],"data_offsets":[0,2])"), "xx"), "found an object"},
      {file_of(one(R"("dtype":"U8","shape":[true],"data_offsets":[0,2])"), "xx"), "found true"},
      {file_of(one(R"("dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,2])"), "xx"),
       "found 18446744073709551615"},
      {file_of(one(R"("dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,2])"), "xx"),
       "found \"99999999999999999999\""},
      {file_of(one(R"("dtype":"U8","shape":[3],"data_offsets":[0,2])"), "xx"),
       "expected 3 bytes for its shape, found 2 bytes at tensor a"},
      {file_of(one(R"("dtype":"U16","shape":[2],"data_offsets":[0,2])"), "xx"),
       "expected 4 bytes for its shape, found 2 bytes at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":[2],"data_offsets":[1,3])"), "xxx"),
       "expected data from byte 0, found 1 to 3 at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])"), "x"),
       "expected 2 bytes of data, found 1 at tensor a"},
      {file_of(one(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])"), "xxx"),
       "expected 2 bytes of data, as the tensors have, found 3"},
      {file_of("{}", "x"), "expected 0 bytes of data, as the tensors have, found 1"},
      {file_of(R"({"a":)" + two + R"(,"a":)" + two + "}", "xx"),
       "expected every name once, found twice at tensor a"},
      // Overlap, gap, and the same bytes twice.
      {file_of(R"({"a":)" + two + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
               "xxx"),
       "expected data from byte 2, found 1 to 3 at tensor b"},
      {file_of(R"({"a":)" + two + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
               "xxxxx"),
       "expected data from byte 2, found 3 to 5 at tensor b"},
      {file_of(R"({"a":)" + two + R"(,"b":)" + two + "}", "xx"),
       "expected data from byte 2, found 0 to 2 at tensor b"},
      {file_of(R"({"__metadata__":1})"), "expected an object, found 1 at metadata"},
      {file_of(R"({"__metadata__":{"k":1}})"), "expected a text, found 1 at metadata k"},
      {file_of(R"({"__metadata__":{"k":{}}})"), "expected a text, found an object at metadata k"},
      {file_of(R"({"__metadata__":{"k":["x"]}})"), "expected a text, found a list at metadata k"},
      {file_of(R"({"__metadata__":{"k":"x","k":"y"}})"),
       "expected every key once, found twice at metadata k"},
      {file_of(R"({"__metadata__":{},"__metadata__":{}})"), "found twice at metadata"},
  };
  for (const auto& [file, message] : cases) {
    CAPTURE(file);
    CHECK_THAT(error_of_tensors(file), ContainsSubstring(message));
  }
  CHECK(error_of_tensors(file_of(kOne, "xx")) == "no error");
}

TEST_CASE("a header may claim anything and is refused at once", "[io/safetensors]") {
  const std::string huge = "1152921504606846976";  // 2^60
  const auto one = [](const std::string& shape, const std::string& end) {
    return file_of(R"({"a":{"dtype":"F64","shape":[)" + shape + R"(],"data_offsets":[0,)" + end +
                   "]}}");
  };
  CHECK_THAT(error_of_tensors(one(huge, huge)),
             ContainsSubstring("bytes of data, found 0 at tensor a"));
  CHECK_THAT(error_of_tensors(one(huge, "0")), ContainsSubstring("found 0 bytes at tensor a"));
  // The product overflows to 0, and to what is there.
  CHECK_THAT(error_of_tensors(one("4294967296,4294967296", "0")),
             ContainsSubstring("expected a shape that fits, found 0 bytes at tensor a"));
  CHECK_THAT(error_of_tensors(one(huge + ",2,2,0", "0")), ContainsSubstring("a shape that fits"));
  CHECK_THAT(error_of_tensors(one("1" + std::string(100000, '0'), "0")),
             ContainsSubstring("tensor a"));
  std::string sizes = "1";
  for (int i = 1; i < 32; ++i) sizes += ",1";
  CHECK_THAT(error_of_tensors(one(sizes, "8")),
             ContainsSubstring("expected 8 bytes of data, found 0"));
  CHECK_THAT(error_of_tensors(one(sizes + ",1", "8")),
             ContainsSubstring("found more than 32 sizes"));
  CHECK_THAT(error_of_tensors(file_of(std::string(50'000'000, '{'))),
             ContainsSubstring("at byte "));
  CHECK_THAT(error_of_tensors(file_of(R"({"a":)" + std::string(1'000'000, '['))),
             ContainsSubstring("found a list at tensor a"));
}

TEST_CASE("a safetensors file that is cut or longer is refused", "[io/safetensors]") {
  const std::vector<double> values{1, 2, 3, 4, 5, 6};
  SafeTensors content;
  content.metadata["k"] = "v";
  content.tensors["w"] = tensor(TensorType::F64, {2, 3}, values);
  content.tensors["e"] = tensor(TensorType::F32, {0}, std::vector<float>());
  const std::string file = written_tensors(content);
  REQUIRE(error_of_tensors(file) == "no error");
  for (std::size_t size = 0; size < file.size(); ++size) {
    INFO(size);
    CHECK(error_of_tensors(file.substr(0, size)) != "no error");
  }
  CHECK_THAT(error_of_tensors(file + "x"), ContainsSubstring("bytes of data, as the tensors have"));
}

TEST_CASE("what cannot be written is said before anything is", "[io/safetensors]") {
  const std::vector<float> values{1, 2};
  const auto error = [](const std::string& name, const std::string& text, Tensor tensor) {
    SafeTensors content;
    content.tensors[name] = std::move(tensor);
    content.metadata["k"] = text;
    std::ostringstream out;
    const std::string message =
        mgdl::test::error_of([&] { mgdl::write_safetensors(out, content); });
    CHECK(out.str().empty());
    return message;
  };
  CHECK(error("w", "", tensor(TensorType::F32, {3}, values)) ==
        "tensor w: expected 12 bytes, found 8 bytes");
  CHECK(error("w", "", tensor(TensorType::F32, {-2}, values)) ==
        "tensor w: expected a smaller shape, found 8 bytes");
  CHECK(error("__metadata__", "", tensor(TensorType::F32, {2}, values)) ==
        "tensor: expected another name, found __metadata__");
  CHECK(error("w", "caf\xe9", tensor(TensorType::F32, {2}, values)) ==
        "names and metadata: expected UTF-8, found other bytes");
}

TEST_CASE("the checksum is the CRC-32 of zlib", "[io/crc32]") {
  const auto crc = [](const std::string& text) {
    mgdl::detail::Crc32 parts;
    for (const char c : text) parts.add(std::string_view(&c, 1));
    mgdl::detail::Crc32 whole;
    whole.add(text);
    CHECK(parts.value() == whole.value());
    return whole.value();
  };
  CHECK(crc("") == 0);
  CHECK(crc("123456789") == 0xCBF43926);  // the check value of the CRC catalogue
  CHECK(crc("The quick brown fox jumps over the lazy dog") == 0x414FA339);
}
