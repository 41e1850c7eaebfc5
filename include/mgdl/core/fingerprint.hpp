#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Which samples a claim is about.

namespace mgdl::detail {

/// The hash function SHA-256. Source: FIPS 180-4.
class Sha256 {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (const std::byte byte : bytes) {
      m_block[m_used++] = std::to_integer<std::uint8_t>(byte);
      if (m_used == m_block.size()) take_block();
    }
    m_count += bytes.size();
  }

  /// Of all that was added, in 64 hexadecimal digits. Nothing can be added afterwards.
  std::string finish() {
    const std::uint64_t bits = 8 * m_count;
    constexpr std::size_t kLength = 8;
    m_block[m_used++] = 0x80;
    if (m_used > m_block.size() - kLength) {
      std::fill(m_block.begin() + static_cast<std::ptrdiff_t>(m_used), m_block.end(),
                std::uint8_t{0});
      take_block();
    }
    std::fill(m_block.begin() + static_cast<std::ptrdiff_t>(m_used), m_block.end(),
              std::uint8_t{0});
    for (std::size_t i = 0; i < kLength; ++i) {
      m_block[m_block.size() - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
    }
    take_block();
    std::string text;
    for (const std::uint32_t word : m_state) {
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    }
    return text;
  }

 private:
  void take_block() noexcept {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 16; ++i) {
      for (std::size_t b = 0; b < 4; ++b) w[i] = w[i] << 8 | m_block[4 * i + b];
    }
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t a = w[i - 15];
      const std::uint32_t b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto s = m_state;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t first = s[7] +
                                  (std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25)) +
                                  ((s[4] & s[5]) ^ (~s[4] & s[6])) + kConstants[i] + w[i];
      const std::uint32_t second =
          (std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22)) +
          ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      s = {first + second, s[0], s[1], s[2], s[3] + first, s[4], s[5], s[6]};
    }
    for (std::size_t i = 0; i < s.size(); ++i) m_state[i] += s[i];
    m_used = 0;
  }

  static constexpr std::array<std::uint32_t, 64> kConstants{
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
      0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
      0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
      0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
      0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
      0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
      0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
      0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
      0xc67178f2};

  std::array<std::uint32_t, 8> m_state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> m_block{};
  std::size_t m_used = 0;
  std::uint64_t m_count = 0;
};

/// Numbers as their bytes, little-endian.
class ByteList {
 public:
  void add(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
      m_bytes.push_back(static_cast<std::byte>(value >> shift & 0xff));
    }
  }

  /// As float64. Zero has one sign.
  template <class Scalar>
  void add_number(Scalar value) {
    add(std::bit_cast<std::uint64_t>(static_cast<double>(value) + 0.0));
  }

  /// Into the hash, and out of here.
  void flush(Sha256& hash) {
    hash.add(m_bytes);
    m_bytes.clear();
  }

 private:
  std::vector<std::byte> m_bytes;
};

template <class Scalar>
void add_rows(Sha256& hash, const SampleView<Scalar>& rows) {
  ByteList bytes;
  for (Index i = 0; i < rows.size(); ++i) {
    for (Index j = 0; j < rows.inputs.cols(); ++j) bytes.add_number(rows.inputs(i, j));
    for (Index j = 0; j < rows.targets.cols(); ++j) bytes.add_number(rows.targets(i, j));
    bytes.flush(hash);
  }
}

template <class Scalar>
void add_samples(Sha256& hash, const Samples<Scalar>& samples) {
  ByteList sizes;
  for (const Index size : {samples.size(), samples.input_count(), samples.output_count()}) {
    sizes.add(static_cast<std::uint64_t>(size));
  }
  sizes.flush(hash);
  if (samples.size() <= kBlockRows) {
    std::vector<Index> rows(static_cast<std::size_t>(samples.size()));
    std::iota(rows.begin(), rows.end(), Index{0});
    add_rows(hash, gather(samples, rows).view());
    return;
  }
  std::vector<char> own;  // digests of this rank's blocks
  samples.for_each_block([&](const SampleView<Scalar>& block, Index) {
    Sha256 digest;
    add_rows(digest, block);
    const std::string text = digest.finish();
    own.insert(own.end(), text.begin(), text.end());
  });
  if (samples.ranks() != nullptr) own = gather_all(*samples.ranks(), own);
  hash.add(std::as_bytes(std::span(own)));
}

inline std::string short_hash(Sha256& hash) { return hash.finish().substr(0, 32); }

/// \param validation  may be null
template <class Scalar>
std::string fingerprint(const Samples<Scalar>& train, const Samples<Scalar>* validation) {
  Sha256 hash;
  add_samples(hash, train);
  if (validation != nullptr) add_samples(hash, *validation);
  return short_hash(hash);
}

}  // namespace mgdl::detail

namespace mgdl {

/// A short name of samples, by which one can tell whether two claims are about the same ones: the
/// first 32 hexadecimal digits of the SHA-256 of n, d and c as unsigned 64-bit integers and then,
/// sample by sample, its d inputs and c targets as float64, all little-endian, -0 as 0. Of more
/// than 16384 samples, what comes behind the sizes are the digests of such sequences of numbers, in
/// 64 hexadecimal digits each, of one block of 16384 samples after the other. Weights play no part.
/// A validation part comes behind the training part, in the same form.
template <class Scalar>
std::string fingerprint(const Dataset<Scalar>& data) {
  return detail::fingerprint<Scalar>(data, nullptr);
}

/// The same of both parts.
template <class Scalar>
std::string fingerprint(const DataSplit<Scalar>& data) {
  if (!data.validation) return fingerprint(data.train);
  const Samples<Scalar> validation(*data.validation);
  return detail::fingerprint<Scalar>(data.train, &validation);
}

/// The same of samples that need not be in memory; `validation` may be null.
/// \param ranks  who read a part each, and all get the name; null: this process reads all
template <class Scalar>
std::string fingerprint(const SampleSource<Scalar>& train,
                        const SampleSource<std::type_identity_t<Scalar>>* validation = nullptr,
                        Communicator* ranks = nullptr) {
  const Samples<Scalar> samples(train, ranks);
  if (validation == nullptr) return detail::fingerprint<Scalar>(samples, nullptr);
  const Samples<Scalar> held_out(*validation, ranks);
  return detail::fingerprint<Scalar>(samples, &held_out);
}

/// The same of all samples.
template <class Scalar>
std::string fingerprint(const DataFolds<Scalar>& data) {
  return fingerprint(data.all);
}

}  // namespace mgdl
