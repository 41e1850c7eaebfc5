// A model in a program without a heap: a header that `mgdl export` has written, and nothing of the
// library. On a microcontroller the same three calls do.
//
// data/pressure.h has a model of two grades in 16 bits; of a model in a file,
//   mgdl export --model pressure.mgdl --format c-header --number int16 --lower 0 --upper 100
//     --name pressure --output pressure.h
// writes such a header.

#include <cmath>
#include <cstdio>

#include "data/pressure.h"

namespace {

/// Vapour pressure of water in kPa at t degrees Celsius (Magnus).
double vapour_pressure(double t) { return 0.61094 * std::exp(17.625 * t / (t + 243.04)); }

}  // namespace

int main() {
  if (const int failed = pressure_self_test()) {
    std::printf("self-test: vector %d is wrong\n", failed);
    return 1;
  }
  double worst[3] = {};
  for (int i = 0; i <= 1000; ++i) {
    const float t = 0.1F * static_cast<float>(i);
    for (int k = 0; k <= 2; ++k) {
      float y[1];
      pressure_predict_grades(&t, k, y);
      worst[k] = std::fmax(worst[k], std::fabs(static_cast<double>(y[0]) - vapour_pressure(t)));
    }
  }
  for (int k = 0; k <= 2; ++k) {
    std::printf("%d grades: largest error %.3f kPa of 101 kPa\n", k, worst[k]);
  }
  return worst[2] < 0.3 && worst[2] < worst[1] ? 0 : 1;
}
