#pragma once

#include <cmath>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/simd.hpp"

namespace mgdl::detail {

/// Adam (Kingma & Ba, arXiv 1412.6980) on a vector of parameters, piece by piece:
///
///     m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
///     x = x - rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon).
///
/// Numbers so small that squares and products of them would be subnormal become zero: the weights
/// of units that weight decay has silenced fall geometrically, and arithmetic with subnormal
/// numbers is many times slower.
///
/// Offsets and counts are multiples of the register size.
template <class Scalar>
class Adam {
 public:
  Adam(Index size, double beta1, double beta2, double epsilon)
      : m_beta1(beta1), m_beta2(beta2), m_epsilon(epsilon) {
    m_mean.setZero(size);
    m_square.setZero(size);
  }

  /// Starts step t with the given learning rate; the pieces are updated after it.
  void begin_step(double learning_rate) noexcept {
    ++m_step;
    const auto t = static_cast<double>(m_step);
    const double correction = std::sqrt(1 - std::pow(m_beta2, t));
    // The bias corrections are folded into the rate and epsilon: the same step, two divisions less.
    m_rate = static_cast<Scalar>(learning_rate * correction / (1 - std::pow(m_beta1, t)));
    m_scaled_epsilon = static_cast<Scalar>(m_epsilon * correction);
  }

  /// Updates parameters[offset, offset + count); the loss has a penalty with gradient decay * x.
  void update(Index offset, Index count, const Scalar* gradient, Scalar* parameters, Scalar decay) {
    using P = Packet<Scalar>;
    const P b1 = packet::pset1<P>(static_cast<Scalar>(m_beta1));
    const P c1 = packet::pset1<P>(static_cast<Scalar>(1 - m_beta1));
    const P b2 = packet::pset1<P>(static_cast<Scalar>(m_beta2));
    const P c2 = packet::pset1<P>(static_cast<Scalar>(1 - m_beta2));
    const P rate = packet::pset1<P>(m_rate);
    const P epsilon = packet::pset1<P>(m_scaled_epsilon);
    const P shrink = packet::pset1<P>(decay);
    const P tiny = packet::pset1<P>(kTiny);
    const P tiny_square = packet::pset1<P>(kTiny * kTiny);
    const auto flushed = [](const P& value, const P& limit) {
      const P zero = packet::pset1<P>(Scalar(0));
      return packet::pselect(packet::pcmp_lt(packet::pabs(value), limit), zero, value);
    };
    for (Index i = offset; i < offset + count; i += kLanes<Scalar>) {
      const P x = packet::ploadu<P>(parameters + i);
      const P g = flushed(packet::pmadd(shrink, x, packet::ploadu<P>(gradient + i)), tiny);
      const P m = flushed(
          packet::pmadd(c1, g, packet::pmul(b1, packet::ploadu<P>(m_mean.data() + i))), tiny);
      const P v = flushed(packet::pmadd(packet::pmul(c2, g), g,
                                        packet::pmul(b2, packet::ploadu<P>(m_square.data() + i))),
                          tiny_square);
      packet::pstoreu(m_mean.data() + i, m);
      packet::pstoreu(m_square.data() + i, v);
      const P step = packet::pdiv(packet::pmul(rate, m), packet::padd(packet::psqrt(v), epsilon));
      packet::pstoreu(parameters + i, flushed(packet::psub(x, step), tiny));
    }
  }

  /// Forgets the moments of one parameter, for a unit that starts anew.
  void reset(Index i) noexcept {
    m_mean[i] = 0;
    m_square[i] = 0;
  }

 private:
  /// Its square is a thousand times the smallest normal number, or more.
  static constexpr Scalar kTiny = sizeof(Scalar) == sizeof(double) ? Scalar(1e-152) : Scalar(1e-17);

  double m_beta1;
  double m_beta2;
  double m_epsilon;
  long m_step = 0;
  Scalar m_rate = 0;
  Scalar m_scaled_epsilon = 0;
  AlignedVector<Scalar> m_mean;
  AlignedVector<Scalar> m_square;
};

}  // namespace mgdl::detail
