#include "mgdl/core/fingerprint.hpp"

#include <span>
#include <string>
#include <utility>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"
#include "support/catch.hpp"

using mgdl::Index;

namespace {

std::string sha256(const std::string& text) {
  mgdl::detail::Sha256 hash;
  // In two pieces: where they meet plays no part.
  const std::span<const char> all(text);
  hash.add(std::as_bytes(all.first(text.size() / 3)));
  hash.add(std::as_bytes(all.subspan(text.size() / 3)));
  return hash.finish();
}

}  // namespace

TEST_CASE("Sha256 is that of FIPS 180-4", "[core/fingerprint]") {
  const auto a = [](std::size_t count) { return std::string(count, 'a'); };
  for (const auto& [text, hash] : {
           std::pair{a(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
           {std::string("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
           {a(55), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
           {a(56), "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
           {a(64), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
           {a(1000), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"},
       }) {
    CHECK(sha256(text) == hash);
  }
}

TEST_CASE("A fingerprint tells samples apart, as docs/format.md says", "[core/fingerprint]") {
  mgdl::Matrix<double> X(3, 2);
  X << 1, -2.5, 0.1, 3, -0.0, 1e300;
  mgdl::Matrix<double> Y(3, 1);
  Y << 4, 5, -6;
  const mgdl::Dataset<double> all(X, Y);
  const mgdl::DataSplit<double> parts{all.subset({0, 1}), all.subset({2})};
  // By hashlib, in Python.
  CHECK(mgdl::fingerprint(all) == "17a7b9ec1a5e62f62d8770ae04a56f3e");
  CHECK(mgdl::fingerprint(parts) == "7566c527f5f6d444ca1f9b186625c9d3");
  CHECK(mgdl::fingerprint(mgdl::DataSplit<double>{all, std::nullopt}) == mgdl::fingerprint(all));
  const mgdl::Dataset<float> narrow(X.topRows(2).cast<float>(), Y.topRows(2).cast<float>());
  CHECK(mgdl::fingerprint(narrow) == "e0536b4975ded6170d3f40f7a12a60f3");
  // The same numbers in double.
  CHECK(mgdl::fingerprint(mgdl::Dataset<double>(narrow.inputs().cast<double>(),
                                                narrow.targets().cast<double>())) ==
        mgdl::fingerprint(narrow));
  // Of folds, that of all samples; weights play no part, anything else does.
  CHECK(mgdl::fingerprint(mgdl::folds(all, 3, 7)) == mgdl::fingerprint(all));
  CHECK(mgdl::fingerprint(mgdl::Dataset<double>(X, Y, Eigen::Vector3d(1, 2, 3))) ==
        mgdl::fingerprint(all));
  CHECK(mgdl::fingerprint(all.subset({1, 0, 2})) != mgdl::fingerprint(all));
  for (Index i = 0; i < 3; ++i) {
    mgdl::Matrix<double> other = X;
    other(i, 1) *= 1 + 1e-15;
    CHECK(mgdl::fingerprint(mgdl::Dataset<double>(other, Y)) != mgdl::fingerprint(all));
    mgdl::Matrix<double> others = Y;
    others(i, 0) *= 1 + 1e-15;
    CHECK(mgdl::fingerprint(mgdl::Dataset<double>(X, others)) != mgdl::fingerprint(all));
  }
  X(2, 0) = 0;  // instead of -0
  CHECK(mgdl::fingerprint(mgdl::Dataset<double>(X, Y)) == mgdl::fingerprint(all));
}
