#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// Which side of its kink a hinge is active on: (x - tau)_+ or (tau - x)_+.
enum class HingeSide { Right, Left };

/// A local maximum of |sum_i N_i h(x_i)| over hinges h of norm one.
struct HingePeak {
  double kink = 0;
  double value = 0;     ///< > 0
  double sign = 1;      ///< of the sum
  Index place = 0;      ///< of the kink: a sample, or the one before the gap that it is in
  bool inside = false;  ///< whether it is in a gap
};

/// A dual point N seen by every neuron there is: the correlations sum_i N_i max(0, a x_i + b).
///
/// The kink of a neuron lies before, in or behind one of the gaps between samples. As the kink
/// moves through a gap, z(tau) = sum_i N_i h(x_i) is linear for hinges h of slope one, so that the
/// largest |z(tau)| / |(1, tau)| of a gap is at one of its ends or where the derivative z' (1 +
/// tau^2) - z tau, which is linear too, changes its sign. Neurons that are active on all samples
/// have the correlation M . (a, b), M = sum_i N_i (x_i, 1), whose maximum is |M| if M itself is
/// such a neuron.
class DualFunction {
 public:
  /// \param samples  kept by reference
  /// \param N        one value a sample
  DualFunction(const TrendSamples& samples, const Vector<double>& N) : m_samples(&samples) {
    const Index m = samples.size();
    for (Profile* profile : {&m_right, &m_left}) {
      profile->value.resize(m);
      profile->slope.resize(m - 1);
    }
    const auto sweep = [&](Profile& profile, Index first, Index step) {
      Sum slope;
      Sum value;
      profile.value[first] = 0;
      for (Index i = first, k = 1; k < m; ++k, i += step) {
        slope.add(N[i]);
        value.add(std::abs(samples.x[i + step] - samples.x[i]) * slope.value());
        profile.slope[std::min(i, i + step)] = static_cast<double>(step) * slope.value();
        profile.value[i + step] = value.value();
      }
      slope.add(N[first + step * (m - 1)]);
      return slope.value();
    };
    sweep(m_left, 0, 1);
    m_constant = sweep(m_right, m - 1, -1);
    m_linear = m_right.value[0] + samples.x[0] * m_constant;
  }

  /// Largest |sum_i N_i max(0, a x_i + b)| over all |(a, b)| = 1. N is feasible where this is at
  /// most lambda.
  double norm() const {
    double largest = affine_peak().value;
    const auto raise = [&](HingeSide side) {
      const Profile& z = profile(side);
      largest = std::max(largest, (z.value.array().abs() / m_samples->norm.array()).maxCoeff());
      for (Index gap = 0; gap + 1 < m_samples->size(); ++gap) {
        HingePeak peak;
        if (inner_peak(z, gap, peak)) largest = std::max(largest, peak.value);
      }
    };
    raise(HingeSide::Right);
    raise(HingeSide::Left);
    return largest;
  }

  /// Calls visit(peak) for every local maximum above `threshold`, kinks strictly between the first
  /// and the last sample.
  template <class Visit>
  void for_each_peak(HingeSide side, double threshold, const Visit& visit) const {
    const Profile& z = profile(side);
    const Index m = m_samples->size();
    const auto at = [&](Index i) { return std::abs(z.value[i]) / m_samples->norm[i]; };
    double before = -1;  // of the piece (sample or inside of a gap) to the left
    bool rising = false;
    HingePeak last;
    const auto next = [&](const HingePeak& peak) {
      if (peak.value > before) {
        rising = true;
      } else {
        if (rising && before > threshold) visit(last);
        rising = false;
      }
      before = peak.value;
      last = peak;
    };
    for (Index i = 0; i < m; ++i) {
      if (i > 0 && i + 1 < m) next({m_samples->x[i], at(i), std::copysign(1.0, z.value[i]), i});
      HingePeak peak;
      if (i + 1 < m && inner_peak(z, i, peak)) next(peak);
    }
    next({0, -1});
  }

  /// Direction (a, b) of norm one and correlation, in absolute value, of the best neuron that is
  /// active on all samples and has no kink at the first or last of them; value 0 if there is none.
  struct AffinePeak {
    double a = 0;
    double b = 0;
    double value = 0;
    double sign = 1;  ///< of the correlation
  };
  AffinePeak affine_peak() const {
    const double first = m_linear * m_samples->x[0] + m_constant;
    const double last = m_linear * m_samples->x[m_samples->size() - 1] + m_constant;
    if (!((first > 0 && last > 0) || (first < 0 && last < 0))) return {};
    const double value = std::hypot(m_linear, m_constant);
    const double sign = first > 0 ? 1 : -1;
    return {sign * m_linear / value, sign * m_constant / value, value, sign};
  }

  /// The correlation of a hinge of slope one with its kink at sample i.
  double at(HingeSide side, Index i) const { return profile(side).value[i]; }
  /// Its largest absolute value where the kink is at sample i, for a norm of one.
  double relative(HingeSide side, Index i) const {
    return std::abs(at(side, i)) / m_samples->norm[i];
  }
  /// sum_i N_i over the samples on that side of a gap.
  double sum_beside(HingeSide side, Index gap) const {
    return side == HingeSide::Right ? -m_right.slope[gap] : m_left.slope[gap];
  }
  /// The maximum strictly inside a gap, if there is one.
  bool peak_inside(HingeSide side, Index gap, HingePeak& peak) const {
    return inner_peak(profile(side), gap, peak);
  }

  /// Smallest sign z(tau) / |(1, tau)| over the samples strictly between two kinks; infinity if
  /// there are none.
  double smallest_between(HingeSide side, double sign, double from, double to) const {
    const auto& x = m_samples->x;
    const double* begin = std::upper_bound(x.data(), x.data() + x.size(), from);
    double smallest = std::numeric_limits<double>::infinity();
    for (Index i = begin - x.data(); i < x.size() && x[i] < to; ++i) {
      smallest = std::min(smallest, sign * profile(side).value[i] / m_samples->norm[i]);
    }
    return smallest;
  }

 private:
  struct Profile {
    Vector<double> value;  // z at the samples
    Vector<double> slope;  // z' in the gaps
  };

  /// A sum that carries its rounding errors along (Neumaier).
  class Sum {
   public:
    void add(double v) {
      const double sum = m_sum + v;
      m_error += std::abs(m_sum) >= std::abs(v) ? (m_sum - sum) + v : (v - sum) + m_sum;
      m_sum = sum;
    }
    double value() const { return m_sum + m_error; }

   private:
    double m_sum = 0;
    double m_error = 0;
  };

  const Profile& profile(HingeSide side) const {
    return side == HingeSide::Right ? m_right : m_left;
  }

  /// Whether a gap has its largest value inside, and where.
  bool inner_peak(const Profile& z, Index gap, HingePeak& peak) const {
    const auto derivative = [&](Index i) {
      return z.slope[gap] * m_samples->norm[i] * m_samples->norm[i] - z.value[i] * m_samples->x[i];
    };
    const double left = derivative(gap);
    const double right = derivative(gap + 1);
    if (!((left > 0 && right < 0) || (left < 0 && right > 0))) return false;
    const double width = m_samples->x[gap + 1] - m_samples->x[gap];
    const double step = width * (left / (left - right));
    peak.kink = m_samples->x[gap] + step;
    const double value = (z.value[gap] + z.slope[gap] * step) / hinge_norm(peak.kink);
    peak.value = left > 0 ? value : -value;
    peak.sign = left > 0 ? 1 : -1;
    peak.place = gap;
    peak.inside = true;
    return peak.kink > m_samples->x[gap] && peak.kink < m_samples->x[gap + 1];
  }

  const TrendSamples* m_samples;
  Profile m_right;
  Profile m_left;
  double m_constant = 0;  // sum_i N_i
  double m_linear = 0;    // sum_i N_i x_i
};

}  // namespace mgdl::detail
