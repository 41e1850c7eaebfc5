#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The samples as certificates see them, and what gates do to them. Everything is made anew from
/// inputs and gate vectors.

namespace mgdl::detail {

/// Samples that are treated together.
inline constexpr Index kCertifyRows = 256;

/// X~ (n x p), column after column, with rows of zeros up to a multiple of kCertifyRows.
class CertifySamples {
 public:
  CertifySamples(const RowMatrix<double>& inputs, bool bias)
      : m_size(inputs.rows()), m_inputs(inputs.cols()), m_bias(bias) {
    m_values.setZero(blocks() * kCertifyRows, dimension());
    m_values.topLeftCorner(m_size, m_inputs) = inputs;
    if (bias) m_values.col(m_inputs).head(m_size).setOnes();
    m_norms.setZero(m_values.rows());
    for (Index i = 0; i < m_size; ++i) {
      for (Index k = 0; k < dimension(); ++k) m_norms[i] = std::hypot(m_norms[i], m_values(i, k));
    }
  }

  Index size() const noexcept { return m_size; }
  Index dimension() const noexcept { return m_inputs + (m_bias ? 1 : 0); }
  Index blocks() const noexcept { return (m_size + kCertifyRows - 1) / kCertifyRows; }
  /// Samples of block b.
  Index rows(Index b) const noexcept { return std::min(kCertifyRows, m_size - b * kCertifyRows); }

  /// X~ with the rows of zeros.
  const Matrix<double>& values() const noexcept { return m_values; }
  /// X~ of the samples of block b, and rows of zeros: kCertifyRows x p.
  auto block(Index b) const { return m_values.middleRows(b * kCertifyRows, kCertifyRows); }
  /// |x~_i|, zero behind the samples.
  const Vector<double>& norms() const noexcept { return m_norms; }

  /// 1[x~_i . gate >= 0] for the rows of block b, as numbers: the definition of Gates.
  void pattern(Index b, const double* gate, double* mask) const {
    std::array<double, kCertifyRows> value{};
    for (Index k = 0; k < m_inputs; ++k) {
      const double* x = m_values.col(k).data() + b * kCertifyRows;
      const double g = gate[k];
      for (std::size_t i = 0; i < value.size(); ++i) value[i] = std::fma(x[i], g, value[i]);
    }
    const double last = m_bias ? gate[m_inputs] : 0;
    for (std::size_t i = 0; i < value.size(); ++i) mask[i] = value[i] + last >= 0 ? 1.0 : 0.0;
  }

 private:
  Index m_size;
  Index m_inputs;
  bool m_bias;
  Matrix<double> m_values;
  Vector<double> m_norms;
};

/// How far v is outside of the cone of a gate's pattern: the largest -s_i x~_i.v / (|x~_i| |v|),
/// s_i = 1 for the active samples and -1 for the others; 0 inside.
///
/// \param cosines  x~_i.v / (|x~_i| |v|) for all rows of samples.values()
/// \param enough   stop with this value as soon as the violation has reached it
inline double cone_violation(const CertifySamples& samples, const double* gate,
                             const Vector<double>& cosines, double enough) {
  std::array<double, kCertifyRows> mask;
  double violation = 0;
  for (Index b = 0; b < samples.blocks() && violation < enough; ++b) {
    samples.pattern(b, gate, mask.data());
    const double* cosine = cosines.data() + b * kCertifyRows;
    for (std::size_t i = 0; i < mask.size(); ++i) {
      violation = std::max(violation, mask[i] > 0 ? -cosine[i] : cosine[i]);
    }
  }
  return std::min(violation, enough);
}

/// x~_i.v / (|x~_i| |v|) for all rows of samples.values(); zero for rows and vectors of zeros.
inline Vector<double> cosines(const CertifySamples& samples, const Vector<double>& v) {
  const double norm = v.norm();
  if (norm == 0) return Vector<double>::Zero(samples.values().rows());
  const Vector<double> products = samples.values() * (v / norm);
  return (samples.norms().array() > 0).select(products.cwiseQuotient(samples.norms()), 0);
}

}  // namespace mgdl::detail
