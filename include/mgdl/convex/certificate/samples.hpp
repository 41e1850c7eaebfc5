#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The samples as certificates see them, and what gates do to them. Everything is made anew from
/// inputs and gate vectors.

namespace mgdl::detail {

/// Samples that are treated together.
inline constexpr Index kCertifyRows = 256;

/// Whether a norm that was computed by squares lost nothing by overflow or underflow.
inline bool has_safe_square(double norm) noexcept {
  constexpr double kLargest = 1e140;
  return norm < kLargest && norm > 1 / kLargest;
}

/// X~ (n x p), column after column, with rows of zeros up to a multiple of kCertifyRows.
template <class Real>
class CertifySamples {
 public:
  CertifySamples(const RowMatrix<Real>& inputs, bool bias)
      : m_size(inputs.rows()), m_inputs(inputs.cols()), m_bias(bias) {
    m_values.setZero(blocks() * kCertifyRows, dimension());
    m_values.topLeftCorner(m_size, m_inputs) = inputs;
    if (bias) m_values.col(m_inputs).head(m_size).setOnes();
    m_norms = m_values.rowwise().norm();
    for (Index i = 0; i < m_size; ++i) {
      if (!has_safe_square(m_norms[i])) m_norms[i] = m_values.row(i).stableNorm();
    }
  }

  Index size() const noexcept { return m_size; }
  Index dimension() const noexcept { return m_inputs + (m_bias ? 1 : 0); }
  Index blocks() const noexcept { return (m_size + kCertifyRows - 1) / kCertifyRows; }
  /// Samples of block b.
  Index rows(Index b) const noexcept { return std::min(kCertifyRows, m_size - b * kCertifyRows); }

  /// X~ with the rows of zeros.
  const Matrix<Real>& values() const noexcept { return m_values; }
  /// X~ of the samples of block b, and rows of zeros: kCertifyRows x p.
  auto block(Index b) const { return m_values.middleRows(b * kCertifyRows, kCertifyRows); }
  /// |x~_i|, zero behind the samples.
  const Vector<Real>& norms() const noexcept { return m_norms; }

  /// 1[x~_i . gate >= 0] for the rows of block b, as numbers: the definition of Gates.
  void pattern(Index b, const Real* gate, Real* mask) const {
    std::array<Real, kCertifyRows> value{};
    for (Index k = 0; k < m_inputs; ++k) {
      const Real* x = m_values.col(k).data() + b * kCertifyRows;
      const Real g = gate[k];
      for (std::size_t i = 0; i < value.size(); ++i) value[i] = std::fma(x[i], g, value[i]);
    }
    const Real last = m_bias ? gate[m_inputs] : 0;
    for (std::size_t i = 0; i < value.size(); ++i) mask[i] = value[i] + last >= 0 ? 1.0 : 0.0;
  }

 private:
  Index m_size;
  Index m_inputs;
  bool m_bias;
  Matrix<Real> m_values;
  Vector<Real> m_norms;
};

/// Euclidean norm, also of numbers whose squares overflow or vanish.
template <class Values>
double safe_norm(const Values& values) {
  const double norm = values.norm();
  return has_safe_square(norm) ? norm : values.stableNorm();
}

/// How far v is outside of the cone of a gate's pattern: the largest -s_i x~_i.v / (|x~_i| |v|),
/// s_i = 1 for the active samples and -1 for the others; 0 inside.
///
/// \param cosines  x~_i.v / (|x~_i| |v|) for all rows of samples.values()
/// \param enough   stop with this value as soon as the violation has reached it
template <class Real>
Real cone_violation(const CertifySamples<Real>& samples, const Real* gate,
                    const Vector<Real>& cosines, Real enough) {
  std::array<Real, kCertifyRows> mask;
  Real violation = 0;
  for (Index b = 0; b < samples.blocks() && violation < enough; ++b) {
    samples.pattern(b, gate, mask.data());
    const Real* cosine = cosines.data() + b * kCertifyRows;
    for (std::size_t i = 0; i < mask.size(); ++i) {
      violation = std::max(violation, mask[i] > 0 ? -cosine[i] : cosine[i]);
    }
  }
  return std::min(violation, enough);
}

/// x~_i.v / (|x~_i| |v|) for all rows of samples.values(); zero for rows and vectors of zeros.
template <class Real>
Vector<Real> cosines(const CertifySamples<Real>& samples, const Vector<Real>& v) {
  const Real norm = safe_norm(v);
  if (norm == 0) return Vector<Real>::Zero(samples.values().rows());
  const Vector<Real> products = samples.values() * (v / norm);
  return (samples.norms().array() > 0).select(products.cwiseQuotient(samples.norms()), 0);
}

}  // namespace mgdl::detail

/// \file
/// Whether data, gates and solution fit together.

namespace mgdl::detail {

template <class Real>
void require_gates(const Dataset<Real>& data, const Gates& gates) {
  require_rows("X", gates.samples(), data.size());
  require_cols("X", gates.dimension() - (gates.bias() ? 1 : 0), data.inputs().cols());
}

/// What both kinds of solution have in common.
template <class Solution>
void require_penalty_and_bias(const std::string& name, const Solution& solution, Index outputs) {
  require_option(solution.lambda >= 0 && std::isfinite(solution.lambda), (name + ".lambda").c_str(),
                 "a finite value >= 0", solution.lambda);
  solution.loss.validate(name + ".loss");
  require_cols(name + ".bias", outputs, solution.bias.cols());
  require_finite(name + ".bias", solution.bias);
  if (!solution.output_bias && (solution.bias.array() != 0).any()) {
    throw InvalidArgument(name + ".bias", "zeros where the problem has no output bias",
                          to_text(solution.bias));
  }
}

/// A list of gates: `minimum` <= k < P.
inline void require_indices(const std::string& name, const std::vector<Index>& indices,
                            Index minimum, Index patterns) {
  for (std::size_t k = 0; k < indices.size(); ++k) {
    if (indices[k] >= minimum && indices[k] < patterns) continue;
    throw InvalidArgument(
        name, "gates from " + std::to_string(minimum) + " to " + std::to_string(patterns - 1),
        std::to_string(indices[k]), "position " + std::to_string(k));
  }
}

template <class Real>
void require_solution(const GatedSolution& solution, const Gates& gates, Index outputs) {
  const std::string name = "GatedSolution";
  require_penalty_and_bias(name, solution, outputs);
  const auto count = static_cast<Index>(solution.active.size());
  require_indices(name + ".active", solution.active, 0, gates.size());
  for (std::size_t k = 1; k < solution.active.size(); ++k) {
    if (solution.active[k] > solution.active[k - 1]) continue;
    throw InvalidArgument(name + ".active", "ascending gates", std::to_string(solution.active[k]),
                          "position " + std::to_string(k));
  }
  require_rows(name + ".coefficients", count * gates.dimension(), solution.coefficients.rows());
  if (count > 0) require_cols(name + ".coefficients", outputs, solution.coefficients.cols());
  require_finite(name + ".coefficients", solution.coefficients);
}

/// \param dimension  p
template <class Real>
void require_solution(const ReluSolution& solution, Index dimension, Index outputs) {
  const std::string name = "ReluSolution";
  require_penalty_and_bias(name, solution, outputs);
  require_rows(name + ".output", solution.hidden.rows(), solution.output.rows());
  if (solution.hidden.rows() > 0) {
    require_cols(name + ".hidden", dimension, solution.hidden.cols());
    require_cols(name + ".output", outputs, solution.output.cols());
  }
  require_finite(name + ".hidden", solution.hidden);
  require_finite(name + ".output", solution.output);
}

/// A neuron has the gate -1 if it belongs to none.
inline void require_neuron_gates(const ReluSolution& solution, const Gates& gates) {
  require_rows("ReluSolution.gates", solution.hidden.rows(), std::ssize(solution.gates));
  require_indices("ReluSolution.gates", solution.gates, -1, gates.size());
}

}  // namespace mgdl::detail

/// \file
/// The sums over samples of a certificate: what a solution predicts, and X~' D_j N.

namespace mgdl::detail {

/// Gates that are treated together.
inline constexpr Index kCertifyGates = 256;

/// X~ v for the samples of block b.
template <class Real>
void multiply(const CertifySamples<Real>& samples, Index b, const Vector<Real>& v,
              Vector<Real>& product) {
  product.setZero(kCertifyRows);
  for (Index k = 0; k < samples.dimension(); ++k) product += v[k] * samples.block(b).col(k);
}

/// Fills n x c predictions block by block: predict(b, sum) adds up those of block b.
template <class Real, class Predict>
RowMatrix<Real> predict_blocks(const CertifySamples<Real>& samples, Index outputs, ThreadPool& pool,
                               const Predict& predict) {
  RowMatrix<Real> prediction(samples.size(), outputs);
  pool.parallel_for(samples.blocks(), [&](Index b, int) {
    Matrix<Real> sum = Matrix<Real>::Zero(kCertifyRows, outputs);
    predict(b, sum);
    prediction.middleRows(b * kCertifyRows, samples.rows(b)) = sum.topRows(samples.rows(b));
  });
  return prediction;
}

/// sum_j D_j X~ U_j, n x c, without the output bias.
template <class Real>
RowMatrix<Real> predict_gated(const CertifySamples<Real>& samples, const Gates& gates,
                              const GatedSolution& solution, Index outputs, ThreadPool& pool) {
  return predict_blocks<Real>(samples, outputs, pool, [&](Index b, Matrix<Real>& sum) {
    Vector<Real> mask(kCertifyRows);
    Vector<Real> linear;
    for (Index k = 0; k < std::ssize(solution.active); ++k) {
      const Index gate = solution.active[static_cast<std::size_t>(k)];
      samples.pattern(b, gates.vectors().row(gate).data(), mask.data());
      for (Index o = 0; o < outputs; ++o) {
        multiply<Real>(samples, b, solution.block(k).col(o), linear);
        sum.col(o) += mask.cwiseProduct(linear);
      }
    }
  });
}

/// sum_k max(0, X~ hidden_k) output_k, n x c, without the output bias.
template <class Real>
RowMatrix<Real> predict_relu(const CertifySamples<Real>& samples, const ReluSolution& solution,
                             Index outputs, ThreadPool& pool) {
  return predict_blocks<Real>(samples, outputs, pool, [&](Index b, Matrix<Real>& sum) {
    Vector<Real> linear;
    for (Index k = 0; k < solution.hidden.rows(); ++k) {
      multiply<Real>(samples, b, solution.hidden.row(k), linear);
      linear = linear.cwiseMax(0);
      for (Index o = 0; o < outputs; ++o) sum.col(o) += solution.output(k, o) * linear;
    }
  });
}

/// The patterns of gates over samples, found from the gates' vectors.
template <class Real>
class CertifyPatterns {
 public:
  CertifyPatterns(const CertifySamples<Real>& samples, const Gates& gates, ThreadPool& pool)
      : m_gates(gates.size()), m_words(samples.blocks() * kWords) {
    m_bits.resize(static_cast<std::size_t>(m_gates * m_words));
    pool.parallel_for(m_gates, [&](Index j, int) {
      std::array<Real, kCertifyRows> mask;
      for (Index b = 0; b < samples.blocks(); ++b) {
        samples.pattern(b, gates.vectors().row(j).data(), mask.data());
        for (Index k = 0; k < kWords; ++k) {
          std::uint64_t word = 0;
          for (Index i = 0; i < 64; ++i) {
            word |= std::uint64_t{mask[static_cast<std::size_t>(64 * k + i)] > 0} << i;
          }
          m_bits[static_cast<std::size_t>(j * m_words + b * kWords + k)] = word;
        }
      }
    });
  }

  Index gates() const noexcept { return m_gates; }

  /// D_j for the 64 rows from 64 w on, as bits.
  std::uint64_t word(Index j, Index w) const noexcept {
    return m_bits[static_cast<std::size_t>(j * m_words + w)];
  }

  /// D_j for the rows of block b, as numbers.
  void pattern(Index j, Index b, Real* mask) const noexcept {
    for (Index k = 0; k < kWords; ++k) {
      const std::uint64_t word = m_bits[static_cast<std::size_t>(j * m_words + b * kWords + k)];
      for (Index i = 0; i < 64; ++i) mask[64 * k + i] = (word >> i & 1u) != 0 ? 1.0 : 0.0;
    }
  }

 private:
  static constexpr Index kWords = kCertifyRows / 64;

  Index m_gates;
  Index m_words;                      // of a gate
  std::vector<std::uint64_t> m_bits;  // gate after gate
};

/// X~' D_j N for all gates j, in double.
///
/// Four samples at a time: of their x~_i N_i' all 16 sums are made, among which the bits of a gate
/// choose. A sum takes 3 additions there, 15 for the fours of 64 samples, 3 for these of a block,
/// and one for each block.
///
/// \param N  n x q
template <class Real>
Matrix<Real> quick_products(const CertifySamples<Real>& samples,
                            const CertifyPatterns<Real>& patterns, const RowMatrix<Real>& N,
                            ThreadPool& pool) {
  constexpr Index kWide = 8;
  constexpr Index kFours = 16;  // in a word
  using Sums = Eigen::Array<Real, kWide, 1>;
  const Index p = samples.dimension();
  const Index q = N.cols();
  const Index parts = (p * q + kWide - 1) / kWide;
  const Index tasks = (patterns.gates() + kCertifyGates - 1) / kCertifyGates;
  Matrix<Real> products(p * q, patterns.gates());
  pool.parallel_for(tasks, [&](Index task, int) {
    const Index first = task * kCertifyGates;
    const Index count = std::min(kCertifyGates, patterns.gates() - first);
    Matrix<Real> terms = Matrix<Real>::Zero(parts * kWide, 64);  // x~_i N_i', one sample a column
    Matrix<Real> total = Matrix<Real>::Zero(parts * kWide, count);
    Matrix<Real> block(parts * kWide, count);
    std::vector<Sums> table(static_cast<std::size_t>(kFours * 16));
    for (Index b = 0; b < samples.blocks(); ++b) {
      block.setZero();
      for (Index row = 0; row < samples.rows(b); row += 64) {
        const Index start = b * kCertifyRows + row;
        const Index rows = std::min<Index>(64, samples.rows(b) - row);
        for (Index o = 0; o < q; ++o) {
          for (Index i = 0; i < rows; ++i) {
            terms.col(i).segment(o * p, p) = samples.values().row(start + i) * N(start + i, o);
          }
        }
        terms.rightCols(64 - rows).setZero();
        for (Index part = 0; part < parts; ++part) {
          for (Index four = 0; four < kFours; ++four) {
            Sums* sums = table.data() + four * 16;
            sums[0].setZero();
            for (Index i = 0; i < 4; ++i) {
              const auto term = terms.col(4 * four + i).template segment<kWide>(part * kWide);
              for (Index k = 0; k < Index{1} << i; ++k) {
                sums[(Index{1} << i) + k] = sums[k] + term.array();
              }
            }
          }
          for (Index j = 0; j < count; ++j) {
            std::uint64_t bits = patterns.word(first + j, start / 64);
            Sums chosen = table[bits & 15u];
            for (Index four = 1; four < kFours; ++four) {
              bits >>= 4;
              chosen += table[static_cast<std::size_t>(four * 16) + (bits & 15u)];
            }
            block.col(j).template segment<kWide>(part * kWide).array() += chosen;
          }
        }
      }
      total += block;
    }
    products.middleCols(first, count) = total.topRows(p * q);
  });
  return products;
}

/// The same with sums in long double: a hundred times slower.
template <class Real>
Matrix<Real> accurate_products(const CertifySamples<Real>& samples,
                               const CertifyPatterns<Real>& patterns, const RowMatrix<Real>& N,
                               ThreadPool& pool) {
  const Index p = samples.dimension();
  const Index q = N.cols();
  Matrix<Real> products(p * q, patterns.gates());
  pool.parallel_for(patterns.gates(), [&](Index j, int) {
    std::array<Real, kCertifyRows> mask;
    std::vector<long double> sums(static_cast<std::size_t>(p * q));
    for (Index b = 0; b < samples.blocks(); ++b) {
      patterns.pattern(j, b, mask.data());
      for (Index i = 0; i < samples.rows(b); ++i) {
        if (mask[static_cast<std::size_t>(i)] == 0) continue;
        const Index row = b * kCertifyRows + i;
        std::size_t k = 0;
        for (Index o = 0; o < q; ++o) {
          for (Index l = 0; l < p; ++l) {
            sums[k++] += static_cast<long double>(samples.values()(row, l)) * N(row, o);
          }
        }
      }
    }
    for (Index k = 0; k < p * q; ++k) {
      products(k, j) = static_cast<Real>(sums[static_cast<std::size_t>(k)]);
    }
  });
  return products;
}

/// X~' D_j N for all gates j, with what rounding can have changed them by.
template <class Real>
struct GateProducts {
  Matrix<Real> values;    ///< column j holds the p x q matrix, column by column
  RowVector<Real> error;  ///< q: bound of the length of the error of a column of X~' D_j N

  /// The same for the Frobenius norm of `count` columns, from `first` on.
  Real error_of(Index first, Index count) const { return error.segment(first, count).norm(); }
};

/// In double; where inputs are so large, or cancel so, that the result would be off by more than
/// 1e-8 of the largest one, with more digits.
///
/// A sum of m terms is off by at most m units in the last place of the sum of absolute values, a
/// product by one: sum_i |x~_i| |N_i| for all patterns.
///
/// \param N  n x q
template <class Real>
GateProducts<Real> gate_products(const CertifySamples<Real>& samples,
                                 const CertifyPatterns<Real>& patterns, const RowMatrix<Real>& N,
                                 ThreadPool& pool) {
  constexpr Real kUsable = 1e-8;
  const Index p = samples.dimension();
  const Index q = N.cols();
  const RowVector<Real> sizes = samples.norms().head(samples.size()).transpose() * N.cwiseAbs();
  const auto error = [&](Index roundings, long double epsilon) {
    return static_cast<Real>(static_cast<long double>(roundings) * epsilon / 2) * sizes;
  };
  GateProducts<Real> result{quick_products(samples, patterns, N, pool),
                            error(3 + 15 + kCertifyRows / 64 + samples.blocks() + 2,
                                  std::numeric_limits<Real>::epsilon())};
  for (Index o = 0; o < q; ++o) {
    const Real largest = result.values.middleRows(o * p, p).colwise().norm().maxCoeff();
    if (result.error[o] <= kUsable * largest) continue;
    result.values = accurate_products(samples, patterns, N, pool);
    result.error = error(samples.size() + 2, std::numeric_limits<long double>::epsilon());
    for (Index k = 0; k < q; ++k) {  // rounded to Real in the end
      result.error[k] += std::numeric_limits<Real>::epsilon() *
                         result.values.middleRows(k * p, p).colwise().norm().maxCoeff();
    }
    break;
  }
  return result;
}

/// For every neuron the violation of the cone of its gate, and of these the largest; for a neuron
/// without a gate (-1) that of the nearest cone. Among these is the one of neurons that are active
/// nowhere: gates leave its pattern out, because it contributes nothing.
template <class Real>
Real largest_violation(const CertifySamples<Real>& samples, const Gates& gates,
                       const ReluSolution& solution, ThreadPool& pool) {
  std::vector<Real> violations(solution.gates.size());
  pool.parallel_for(std::ssize(violations), [&](Index k, int) {
    const Index gate = solution.gates[static_cast<std::size_t>(k)];
    const Vector<Real> cosine = cosines<Real>(samples, solution.hidden.row(k).transpose());
    Real violation = gate >= 0 ? 1 : std::max(0.0, cosine.maxCoeff());
    for (Index j = 0; j < gates.size() && violation > 0; ++j) {
      if (gate >= 0 && gate != j) continue;
      violation = cone_violation<Real>(samples, gates.vectors().row(j).data(), cosine, violation);
    }
    violations[static_cast<std::size_t>(k)] = violation;
  });
  Real largest = 0;
  for (const Real violation : violations) largest = std::max(largest, violation);
  return largest;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template RowMatrix<double> predict_gated(const CertifySamples<double>&, const Gates&,
                                                const GatedSolution&, Index, ThreadPool&);
extern template RowMatrix<double> predict_relu(const CertifySamples<double>&, const ReluSolution&,
                                               Index, ThreadPool&);
extern template double largest_violation(const CertifySamples<double>&, const Gates&,
                                         const ReluSolution&, ThreadPool&);
}  // namespace mgdl::detail
#endif
