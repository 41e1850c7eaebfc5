// Any bytes as a .npy file: refused, or written again and read with the same numbers.

#include "mgdl/io/npy.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <string>

#include "fuzz/fuzz.hpp"

namespace {

template <class Scalar>
void run(const std::string& bytes) {
  using mgdl::fuzz::require;
  try {
    std::istringstream in(bytes);
    const auto array = mgdl::read_npy_array<Scalar>(in, bytes.size(), "array");
    require(array.data.size() <= bytes.size(), "more values than bytes");
    std::ostringstream out;
    mgdl::write_npy_array(out, array);
    std::istringstream again(out.str());
    const auto same = mgdl::read_npy_array<Scalar>(again, out.str().size(), "again");
    require(same.shape == array.shape, "another shape");
    require(array.data.empty() || std::memcmp(same.data.data(), array.data.data(),
                                              array.data.size() * sizeof(Scalar)) == 0,
            "other values");
  } catch (const mgdl::InvalidArgument&) {
  }
  try {
    std::istringstream in(bytes);
    mgdl::read_npy<Scalar>(in, bytes.size(), "matrix");
  } catch (const mgdl::InvalidArgument&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  run<float>(bytes);
  run<double>(bytes);
  return 0;
}
