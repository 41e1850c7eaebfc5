// Runs a fuzz target on files that are there: with compilers that have no fuzzer, and in every
// test.
//
//   <program> <folder>...

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "mgdl/io/file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  int count = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      const std::string bytes = mgdl::read_file(entry.path());
      try {
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
        ++count;
      } catch (const std::exception& error) {
        std::cerr << entry.path() << ": " << error.what() << '\n';
        return 1;
      }
    }
  }
  std::cout << count << " files\n";
  return count > 0 ? 0 : 1;
}
