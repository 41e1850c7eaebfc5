#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "mgdl/convex/group_lasso/masked_products.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/tiled_cholesky.hpp"

/// \file
/// Two factorisations of K = I + sum_j eta_j A_j A_j' (n x n, A_j = D_j X) for a set of gates: one
/// of size n, one of the number of columns of the A_j. Both give K^-1 r and the matrix H_jk = sum_o
/// <phi_jo, K^-1 phi_ko>, phi_jo = A_j u_jo.

namespace mgdl::detail {

/// K itself, n x n. Because all groups share X, K = I + (X X') o (D diag(eta) D'), o the product by
/// entries: its cost does not grow with the number of columns of X.
template <class Real>
class SampleSystem {
 public:
  explicit SampleSystem(const MaskedProducts<Real>& products) : m_products(products) {}

  bool factor(ThreadPool& pool, const std::vector<Index>& gates, const Vector<double>& eta) {
    constexpr Index kTile = 128;
    const Index n = m_products.size();
    const auto& X = m_products.samples();
    const auto count = static_cast<Index>(gates.size());
    const Index tiles = (n + kTile - 1) / kTile;
    RowMatrix<Real> masks(n, count);
    std::vector<PackedOperand<Real>> packed_masks(static_cast<std::size_t>(tiles));
    std::vector<PackedOperand<Real>> packed_samples(static_cast<std::size_t>(tiles));
    const Vector<Real> root = eta.cwiseSqrt().cast<Real>();
    pool.parallel_for(tiles, [&](Index t, int) {
      const Index first = t * kTile;
      const Index rows = std::min(kTile, n - first);
      for (Index k = 0; k < count; ++k) {
        const std::uint64_t* bits = m_products.bits().pattern(gates[static_cast<std::size_t>(k)]);
        for (Index i = first; i < first + rows; ++i) {
          masks(i, k) = root[k] * Real(bits[i / 64] >> (i % 64) & 1u);
        }
      }
      const auto at = static_cast<std::size_t>(t);
      packed_masks[at].pack(count, rows, {masks.data() + first * count, 1, count});
      packed_samples[at].pack(X.cols(), rows, {X.data() + first * X.cols(), 1, X.cols()});
    });
    RowMatrix<Real> K = TiledCholesky<Real>::storage(n);
    for_each_lower_tile(pool, tiles, [&](Index i, Index j) {
      const Index rows = std::min(kTile, n - i * kTile);
      const Index cols = std::min(kTile, n - j * kTile);
      RowMatrix<Real> inner(rows, padded<Real>(cols));
      packed_samples[static_cast<std::size_t>(j)].multiply(
          rows, {X.data() + i * kTile * X.cols(), X.cols(), 1}, inner.data(), inner.cols(), false);
      Real* tile = K.data() + i * kTile * K.cols() + j * kTile;
      packed_masks[static_cast<std::size_t>(j)].multiply(
          rows, {masks.data() + i * kTile * count, count, 1}, tile, K.cols(), false);
      for (Index r = 0; r < rows; ++r) {
        for (Index s = 0; s < cols; ++s) tile[r * K.cols() + s] *= inner(r, s);
        if (i == j) tile[r * K.cols() + r] += Real(1);
      }
    });
    return m_factor.compute(pool, std::move(K));
  }

  /// r = K^-1 r, n x c.
  void apply(ThreadPool& pool, RowMatrix<double>& r) const {
    if (r.cols() == 1) {
      Vector<Real> column = r.col(0).template cast<Real>();
      m_factor.solve(pool, column);
      r.col(0) = column.template cast<double>();
      return;
    }
    PanelMatrix<Real> part(r);
    m_factor.solve(pool, part);
    for (Index i = 0; i < r.rows(); ++i) {
      for (Index o = 0; o < r.cols(); ++o) r(i, o) = static_cast<double>(part(i, o));
    }
  }

  /// Lower triangle of H.
  /// \param u  gates x (p c), entry r c + o of row k is entry r of u_ko
  Matrix<double> hessian(ThreadPool& pool, const std::vector<Index>& gates,
                         const RowMatrix<double>& u, Index c) const {
    const auto count = static_cast<Index>(gates.size());
    Matrix<double> H = Matrix<double>::Zero(count, count);
    PanelMatrix<Real> phi(m_products.size(), count);
    for (Index o = 0; o < c; ++o) {
      m_products.columns(pool, gates, u, o, c, phi);
      m_factor.solve_lower(pool, phi);
      phi.add_gram(pool, H, 1);
    }
    return H;
  }

 private:
  const MaskedProducts<Real>& m_products;
  TiledCholesky<Real> m_factor;
};

/// The Gram matrix G = A'A of the columns of the A_j of some gates, which grows.
template <class Real>
class GroupGram {
 public:
  explicit GroupGram(const MaskedProducts<Real>& products) : m_products(products) {}

  /// Gates that it holds.
  Index size() const noexcept { return static_cast<Index>(m_gates.size()); }
  /// Which of these `gate` is: its rows and columns are slot p .. slot p + p; -1: none.
  Index slot(Index gate) const noexcept {
    return at(gate) < m_slots.size() ? m_slots[at(gate)] : -1;
  }
  Real operator()(Index row, Index col) const noexcept { return m_gram(row, col); }
  const Real* row(Index row, Index col) const noexcept { return &m_gram(row, col); }
  /// The matrix itself, which is gone then.
  RowMatrix<Real> take() { return std::move(m_gram); }

  /// Makes sure that it holds these gates.
  void add(ThreadPool& pool, const std::vector<Index>& gates) {
    std::vector<Index> missing;
    for (const Index j : gates) {
      if (slot(j) < 0) missing.push_back(j);
    }
    if (missing.empty()) return;
    const Index p = m_products.dimension();
    const auto old = static_cast<Index>(m_gates.size());
    m_gates.insert(m_gates.end(), missing.begin(), missing.end());
    const auto total = static_cast<Index>(m_gates.size());
    for (Index k = old; k < total; ++k) {
      const Index gate = m_gates[at(k)];
      if (at(gate) >= m_slots.size()) m_slots.resize(at(gate) + 1, -1);
      m_slots[at(gate)] = k;
    }
    if (total * p > m_gram.rows()) {
      RowMatrix<Real> larger(total * p, total * p);
      larger.topLeftCorner(old * p, old * p) = m_gram.topLeftCorner(old * p, old * p);
      m_gram.swap(larger);
    }
    fill(pool, old, total);
  }

 private:
  static std::size_t at(Index k) noexcept { return static_cast<std::size_t>(k); }

  /// Blocks of the gates in slots first .. last with each other and with those before.
  void fill(ThreadPool& pool, Index first, Index last) {
    constexpr Index kGates = 32;                  // of a side of a tile
    constexpr Index kEntries = 4 * kLanes<Real>;  // of its blocks: its sums are at most 512 KiB
    const Index p = m_products.dimension();
    std::vector<std::pair<Index, Index>> entries;
    for (Index s = 0; s < p; ++s) {
      for (Index t = s; t < p; ++t) entries.emplace_back(s, t);
    }
    struct Tile {
      Index row, col, entry;
    };
    std::vector<Tile> tiles;
    for (Index row = first; row < last; row += kGates) {
      for (Index col = 0; col < std::min(last, row + kGates); col += kGates) {
        for (Index entry = 0; entry < std::ssize(entries); entry += kEntries) {
          tiles.push_back({row, col, entry});
        }
      }
    }
    pool.parallel_for(std::ssize(tiles), [&](Index task, int) {
      const Tile& tile = tiles[at(task)];
      const std::vector<std::pair<Index, Index>> part(
          entries.begin() + tile.entry,
          entries.begin() + std::min(std::ssize(entries), tile.entry + kEntries));
      std::vector<std::pair<Index, Index>> slots, gates;
      for (Index i = tile.row; i < std::min(last, tile.row + kGates); ++i) {
        for (Index j = tile.col; j < std::min(i + 1, tile.col + kGates); ++j) {
          slots.emplace_back(i * p, j * p);
          gates.emplace_back(m_gates[at(i)], m_gates[at(j)]);
        }
      }
      AlignedVector<Real> sums;
      m_products.gram(gates, part, sums);
      const Real* sum = sums.data();
      for (const auto& [i, j] : slots) {
        for (Index k = 0; k < std::ssize(part); ++k) {
          const auto [s, t] = part[at(k)];
          m_gram(i + s, j + t) = sum[k];
          m_gram(i + t, j + s) = sum[k];
          m_gram(j + s, i + t) = sum[k];
          m_gram(j + t, i + s) = sum[k];
        }
        sum += padded<Real>(std::ssize(part));
      }
    });
  }

  const MaskedProducts<Real>& m_products;
  std::vector<Index> m_gates;  // of the slots
  std::vector<Index> m_slots;  // of the gates, -1: none
  RowMatrix<Real> m_gram;
};

/// The same by way of the groups (Woodbury): K^-1 = I - A E (I + E G E)^-1 E A' with
/// E = diag(sqrt(eta)) and the Gram matrix G = A'A of the columns of all A_j, whose blocks are kept
/// from call to call.
template <class Real>
class GroupSystem {
 public:
  explicit GroupSystem(const MaskedProducts<Real>& products)
      : m_products(products), m_gram(products) {}

  /// Multiplications that factor() would take for these gates.
  double cost(const std::vector<Index>& gates) const {
    const double p = static_cast<double>(m_products.dimension());
    const double n = static_cast<double>(m_products.size());
    Index count = 0;
    for (const Index j : gates) count += m_gram.slot(j) < 0 ? 1 : 0;
    const double fresh = p * static_cast<double>(count);
    const double old = p * static_cast<double>(m_gram.size());
    const double all = p * static_cast<double>(gates.size());
    return n * fresh * (old + fresh / 2) / 2 + all * all * all / 6;
  }

  bool factor(ThreadPool& pool, const std::vector<Index>& gates, const Vector<double>& eta) {
    m_gram.add(pool, gates);
    const Index p = m_products.dimension();
    m_active = gates;
    m_root = eta.cwiseSqrt().cast<Real>();
    const auto count = static_cast<Index>(gates.size());
    RowMatrix<Real> T = TiledCholesky<Real>::storage(count * p);
    pool.parallel_for(count, [&](Index k, int) {
      for (Index l = 0; l <= k; ++l) {
        const Real factor = m_root[k] * m_root[l];
        for (Index r = 0; r < p; ++r) {
          const Real* from =
              m_gram.row(m_gram.slot(gates[at(k)]) * p + r, m_gram.slot(gates[at(l)]) * p);
          Real* to = &T(k * p + r, l * p);
          for (Index t = 0; t < p; ++t) to[t] = factor * from[t];
        }
      }
    });
    for (Index i = 0; i < T.rows(); ++i) T(i, i) += Real(1);
    return m_factor.compute(pool, std::move(T));
  }

  void apply(ThreadPool& pool, RowMatrix<double>& r) const {
    const Index c = r.cols();
    const Index p = m_products.dimension();
    const auto count = static_cast<Index>(m_active.size());
    const RowMatrix<Real> rows = r.template cast<Real>();
    RowMatrix<Real> correlation;
    m_products.correlate(pool, m_active, rows, correlation);
    correlation.array().colwise() *= m_root.array();
    if (c == 1) {
      Vector<Real> t = correlation.template reshaped<Eigen::RowMajor>();
      m_factor.solve(pool, t);
      correlation.template reshaped<Eigen::RowMajor>() = t;
    } else {
      PanelMatrix<Real> t(correlation.template reshaped<Eigen::RowMajor>(count * p, c));
      m_factor.solve(pool, t);
      for (Index k = 0; k < count; ++k) {
        for (Index i = 0; i < p * c; ++i) correlation(k, i) = t(k * p + i / c, i % c);
      }
    }
    correlation.array().colwise() *= m_root.array();
    RowMatrix<Real> sum;
    m_products.apply(pool, m_active, correlation, c, sum);
    for (Index i = 0; i < r.size(); ++i) r.data()[i] -= static_cast<double>(sum.data()[i]);
  }

  /// Lower triangle of H.
  Matrix<double> hessian(ThreadPool& pool, const std::vector<Index>& gates,
                         const RowMatrix<double>& u, Index c) {
    const auto count = static_cast<Index>(gates.size());
    Matrix<double> H = Matrix<double>::Zero(count, count);
    PanelMatrix<Real> phi(m_products.size(), count);
    // E A'phi_k: from the Gram matrix if it has the gate, else from the samples.
    PanelMatrix<Real> projected(static_cast<Index>(m_active.size()) * m_products.dimension(),
                                count);
    std::vector<Index> known, fresh;
    for (Index k = 0; k < count; ++k) (m_gram.slot(gates[at(k)]) >= 0 ? known : fresh).push_back(k);
    for (Index o = 0; o < c; ++o) {
      m_products.columns(pool, gates, u, o, c, phi);
      phi.add_gram(pool, H, 1);
      if (m_active.empty()) continue;
      project_known(pool, gates, known, u, o, c, projected);
      project_fresh(pool, fresh, phi, projected);
      m_factor.solve_lower(pool, projected);
      projected.add_gram(pool, H, -1);
    }
    return H;
  }

 private:
  static std::size_t at(Index k) noexcept { return static_cast<std::size_t>(k); }

  void project_known(ThreadPool& pool, const std::vector<Index>& gates,
                     const std::vector<Index>& columns, const RowMatrix<double>& u, Index o,
                     Index c, PanelMatrix<Real>& projected) const {
    const Index p = m_products.dimension();
    pool.parallel_for(std::ssize(columns), [&](Index task, int) {
      const Index k = columns[at(task)];
      const Index gate = m_gram.slot(gates[at(k)]) * p;
      Vector<Real> part(p);
      for (Index l = 0; l < std::ssize(m_active); ++l) {
        // Blocks are symmetric, so that rows may take the place of columns.
        part.array().setZero();  // setZero() of a vector may look like a change of size
        for (Index r = 0; r < p; ++r) {
          const Real factor = m_root[l] * static_cast<Real>(u(k, r * c + o));
          const Real* row = m_gram.row(m_gram.slot(m_active[at(l)]) * p + r, gate);
          for (Index t = 0; t < p; ++t) part[t] += factor * row[t];
        }
        for (Index r = 0; r < p; ++r) projected(l * p + r, k) = part[r];
      }
    });
  }

  void project_fresh(ThreadPool& pool, const std::vector<Index>& columns,
                     const PanelMatrix<Real>& phi, PanelMatrix<Real>& projected) const {
    if (columns.empty()) return;
    PanelMatrix<Real> chosen(phi.rows(), std::ssize(columns));
    PanelMatrix<Real> result(projected.rows(), chosen.cols());
    for (Index i = 0; i < phi.rows(); ++i) {
      for (Index k = 0; k < chosen.cols(); ++k) chosen(i, k) = phi(i, columns[at(k)]);
    }
    m_products.correlate_columns(pool, m_active, m_root, chosen, result);
    for (Index i = 0; i < result.rows(); ++i) {
      for (Index k = 0; k < result.cols(); ++k) projected(i, columns[at(k)]) = result(i, k);
    }
  }

  const MaskedProducts<Real>& m_products;
  GroupGram<Real> m_gram;
  std::vector<Index> m_active;  // gates that are factorised
  Vector<Real> m_root;          // their sqrt(eta)
  TiledCholesky<Real> m_factor;
};

/// K = I + sum_j eta_j A_j A_j' of a gated problem in whichever factorisation is cheapest: by
/// samples or by groups, in single precision when double would take long (what solves with it
/// corrects the rounding by conjugate gradients). An output bias is projected out of all of it.
template <class Real>
class DualSystem {
 public:
  /// \param products  to which it refers, as to `bias`
  /// \param bias      GroupLassoProblem::bias()
  /// \param outputs   c
  DualSystem(const MaskedProducts<Real>& products, const Vector<Real>& bias, Index outputs)
      : m_products(products),
        m_direction(bias),
        m_outputs(outputs),
        m_single(products.samples().template cast<float>(), products.bits()),
        m_samples_double(products),
        m_samples_single(m_single),
        m_groups_double(products),
        m_groups_single(m_single) {}
  DualSystem(const DualSystem&) = delete;
  DualSystem& operator=(const DualSystem&) = delete;

  /// Multiplications of factor(), about.
  double cost(const std::vector<Index>& gates) const {
    return std::min(samples_cost(gates), m_groups_double.cost(gates));
  }

  /// \param gates  those with eta > 0
  /// \param eta    their values
  /// \returns false if K is not positive definite in double either
  bool factor(ThreadPool& pool, const std::vector<Index>& gates, const Vector<Real>& eta) {
    const double by_samples = samples_cost(gates);
    const auto choose = [&](double by_groups, Form groups, Form samples) {
      return by_groups < by_samples ? groups : samples;
    };
    const double by_groups = m_groups_double.cost(gates);
    if (!m_needs_double && std::min(by_samples, by_groups) > kLongFactorisation) {
      m_form = choose(m_groups_single.cost(gates), Form::GroupsSingle, Form::SamplesSingle);
      if (compute(pool, gates, eta)) return true;
      m_needs_double = true;
    }
    m_form = choose(by_groups, Form::GroupsDouble, Form::SamplesDouble);
    return compute(pool, gates, eta);
  }

  /// Single precision turned out to be too little.
  /// \returns false if double is in use already
  bool use_double() noexcept {
    const bool change = !m_needs_double && is_single();
    m_needs_double = true;
    return change;
  }

  bool is_single() const noexcept {
    return m_form == Form::SamplesSingle || m_form == Form::GroupsSingle;
  }

  /// K^-1 r for residuals r (n x c) that are orthogonal to the bias.
  RowMatrix<Real> solve(ThreadPool& pool, RowMatrix<Real> r) const {
    visit([&](const auto& kernel) { kernel.apply(pool, r); });
    if (m_bias.size() > 0) {
      for (Index o = 0; o < r.cols(); ++o) {
        r.col(o) -= m_direction.dot(r.col(o)) / m_bias_energy * m_bias.col(0);
      }
      for (Index o = 0; o < r.cols(); ++o) r.col(o) -= m_direction.dot(r.col(o)) * m_direction;
    }
    return r;
  }

  /// K^-1 r as if there were no bias.
  void solve_unbiased(ThreadPool& pool, RowMatrix<Real>& r) const {
    visit([&](const auto& kernel) { kernel.apply(pool, r); });
  }

  /// Lower triangle of H_jk = sum_o <A_j u_jo, K^-1 A_k u_ko>.
  Matrix<Real> hessian(ThreadPool& pool, const std::vector<Index>& gates,
                       const RowMatrix<Real>& u) {
    const Index c = m_outputs;
    Matrix<Real> H;
    visit([&](auto& kernel) { H = kernel.hessian(pool, gates, u, c); });
    if (m_bias.size() == 0) return H;
    RowMatrix<Real> share;
    m_products.correlate(pool, gates, m_bias, share);
    for (Index o = 0; o < c; ++o) {
      Vector<Real> h = Vector<Real>::Zero(share.rows());
      for (Index r = 0; r < share.cols(); ++r) {
        h.array() += share.col(r).array() * u.col(r * c + o).array();
      }
      for (Index k = 0; k < h.size(); ++k) H.col(k) -= h[k] / m_bias_energy * h;
    }
    return H;
  }

 private:
  enum class Form { SamplesDouble, SamplesSingle, GroupsDouble, GroupsSingle };

  /// Multiplications that take some ten milliseconds.
  static constexpr double kLongFactorisation = 5e8;

  template <class Self, class Call>
  static void visit(Self& self, const Call& call) {
    switch (self.m_form) {
      case Form::SamplesDouble: return call(self.m_samples_double);
      case Form::SamplesSingle: return call(self.m_samples_single);
      case Form::GroupsDouble: return call(self.m_groups_double);
      case Form::GroupsSingle: return call(self.m_groups_single);
    }
  }
  template <class Call>
  void visit(const Call& call) {
    visit(*this, call);
  }
  template <class Call>
  void visit(const Call& call) const {
    visit(*this, call);
  }

  double samples_cost(const std::vector<Index>& gates) const {
    const auto n = static_cast<double>(m_products.size());
    const auto p = static_cast<double>(m_products.dimension());
    return n * n * (n / 6 + 0.5 * (static_cast<double>(gates.size()) + p));
  }

  bool compute(ThreadPool& pool, const std::vector<Index>& gates, const Vector<Real>& eta) {
    bool ok = false;
    visit([&](auto& kernel) { ok = kernel.factor(pool, gates, eta); });
    if (!ok || m_direction.size() == 0) return ok;
    m_bias = m_direction;
    visit([&](const auto& kernel) { kernel.apply(pool, m_bias); });
    m_bias_energy = m_direction.dot(m_bias.col(0));
    return m_bias_energy > 0;
  }

  const MaskedProducts<Real>& m_products;
  const Vector<Real>& m_direction;  // b, the unit vector of the bias
  Index m_outputs;
  MaskedProducts<float> m_single;
  SampleSystem<Real> m_samples_double;
  SampleSystem<float> m_samples_single;
  GroupSystem<Real> m_groups_double;
  GroupSystem<float> m_groups_single;
  Form m_form = Form::GroupsDouble;
  bool m_needs_double = false;
  RowMatrix<Real> m_bias;  // K^-1 b
  Real m_bias_energy = 0;
};

}  // namespace mgdl::detail
