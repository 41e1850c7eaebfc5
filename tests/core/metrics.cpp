#include "mgdl/core/metrics.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "support/samples.hpp"

using mgdl::compute_metrics;
using mgdl::Matrix;
using mgdl::Metrics;
using mgdl::Vector;
using mgdl::test::error_of;

namespace {

bool near(double found, double expected) {
  return std::abs(found - expected) <= 1e-14 * std::abs(expected);
}

}  // namespace

TEMPLATE_TEST_CASE("metrics by hand", "[core/metrics]", float, double) {
  const Matrix<TestType> target{{1, 2}, {-3, 4}, {5, -6}};
  const Matrix<TestType> prediction{{2, 2}, {-3, 1}, {7, -7}};  // errors 1 0, 0 -3, 2 -1
  const Metrics plain = compute_metrics(prediction, target);
  CHECK(near(plain.rse, 15.0 / 91));
  CHECK(near(plain.rmse, std::sqrt(15.0 / 6)));
  CHECK(near(plain.mae, 7.0 / 6));
  CHECK(near(plain.max, 3));
  CHECK(near(plain.psnr, -20 * std::log10(plain.rmse)));
  CHECK(near(compute_metrics(prediction, target, {}, 255).psnr, 20 * std::log10(255 / plain.rmse)));

  // Weights in any unit; a sample without weight has no influence, not even by a NaN.
  Matrix<TestType> hole = prediction;
  hole(1, 0) = std::numeric_limits<TestType>::quiet_NaN();
  for (const TestType unit : {TestType(1), TestType(0.25)}) {
    const Vector<TestType> weights = unit * Vector<TestType>{{3, 0, 1}};
    const Metrics weighted = compute_metrics(hole, target, weights);
    CHECK(near(weighted.rse, (3.0 + 5) / (3 * 5 + 61)));
    CHECK(near(weighted.rmse, std::sqrt(8.0 / 8)));
    CHECK(near(weighted.mae, 6.0 / 8));
    CHECK(near(weighted.max, 2));
  }
  CHECK(near(compute_metrics(mgdl::RowMatrix<TestType>(prediction), 1 * target).rse, 15.0 / 91));
}

TEMPLATE_TEST_CASE("metrics of outputs on their own", "[core/metrics]", float, double) {
  const Matrix<TestType> target{{1, 2}, {-3, 4}, {5, -6}};
  const Matrix<TestType> prediction{{2, 2}, {-3, 1}, {7, -7}};  // squares of errors: 5 and 10
  const Metrics plain = compute_metrics(prediction, target);
  REQUIRE(plain.output_rmse.size() == 2);
  CHECK(near(plain.output_rmse[0], std::sqrt(5.0 / 3)));
  CHECK(near(plain.output_rmse[1], std::sqrt(10.0 / 3)));
  // Means 1 and 0, squares around them 32 and 56.
  CHECK(near(plain.r2, 1 - (5.0 / 32 + 10.0 / 56) / 2));
  // In units 1/2 and 4: squares of errors 20 and 10 / 16, of targets 140 and 56 / 16.
  const mgdl::RowVector<TestType> scale{{TestType(0.5), 4}};
  const Metrics scaled = compute_metrics(prediction, target, {}, 1, scale);
  CHECK(near(scaled.rse, (20 + 10.0 / 16) / (140 + 56.0 / 16)));
  CHECK(scaled.r2 == plain.r2);
  CHECK(scaled.rmse == plain.rmse);
  CHECK(compute_metrics(prediction, target, {}, 1, 8 * scale).rse == scaled.rse);

  // An offset changes the RSE, and nothing of R2; a constant output has none.
  Matrix<TestType> far_target = target.array() + 1024;
  Matrix<TestType> far_prediction = prediction.array() + 1024;
  const Metrics far = compute_metrics(far_prediction, far_target);
  CHECK(near(far.r2, plain.r2));
  CHECK(far.rse < 1e-3 * plain.rse);
  far_target.col(1).setConstant(7);
  CHECK(near(compute_metrics(far_prediction, far_target).r2, 1 - 5.0 / 32));
  far_target.col(0).setConstant(7);
  CHECK(std::isnan(compute_metrics(far_prediction, far_target).r2));
  // The mean is the best constant.
  const Matrix<TestType> mean = target.colwise().mean().replicate(3, 1);
  CHECK(std::abs(compute_metrics(mean, target).r2) < 1e-6);
  const Vector<TestType> weights{{3, 0, 1}};
  CHECK(near(compute_metrics(prediction, target, weights).r2, 1 - (7.0 / 12 + 1.0 / 48) / 2));
  CHECK(error_of([&] { compute_metrics(target, target, {}, 1, mgdl::RowVector<TestType>(3)); }) ==
        "scale: expected 2 columns, found 3");
}

TEMPLATE_TEST_CASE("metrics of perfect and of impossible fits", "[core/metrics]", float, double) {
  const Matrix<TestType> target{{1, 2, 3}, {4, 5, 6}};
  const Metrics perfect = compute_metrics(target, target);
  CHECK(perfect.rse == 0);
  CHECK(perfect.rmse == 0);
  CHECK(perfect.mae == 0);
  CHECK(perfect.max == 0);
  CHECK(perfect.psnr == std::numeric_limits<double>::infinity());

  const Matrix<TestType> zero = Matrix<TestType>::Zero(2, 3);
  CHECK(compute_metrics(zero, zero).rse == 0);
  const Metrics impossible = compute_metrics(target, zero);
  CHECK(impossible.rse == std::numeric_limits<double>::infinity());
  CHECK(near(impossible.rmse, std::sqrt(91.0 / 6)));
  CHECK(compute_metrics(zero, target).rse == 1);
}

TEMPLATE_TEST_CASE("a NaN anywhere shows in every metric", "[core/metrics]", float, double) {
  const Matrix<TestType> target{{1, 2, 3}, {4, 5, 6}};
  for (mgdl::Index k = 0; k < target.size(); ++k) {
    Matrix<TestType> broken = 2 * target;
    broken.data()[k] = std::numeric_limits<TestType>::quiet_NaN();
    for (const Metrics& metrics :
         {compute_metrics(broken, target), compute_metrics(target, broken)}) {
      CAPTURE(k);
      CHECK(std::isnan(metrics.rse));
      CHECK(std::isnan(metrics.rmse));
      CHECK(std::isnan(metrics.mae));
      CHECK(std::isnan(metrics.max));
      CHECK(std::isnan(metrics.psnr));
    }
  }
  Matrix<TestType> infinite = target;
  infinite(1, 1) = std::numeric_limits<TestType>::infinity();
  CHECK(compute_metrics(infinite, target).rmse == std::numeric_limits<double>::infinity());
  CHECK(compute_metrics(infinite, target).max == std::numeric_limits<double>::infinity());
}

TEST_CASE("squares that are not representable", "[core/metrics]") {
  const Matrix<double> target{{1, 2}, {-3, 4}, {5, -6}};
  const Matrix<double> prediction{{2, 2}, {-3, 1}, {7, -7}};
  for (const double unit : {1e-300, 1e-200, 1e200, 1e300}) {
    CAPTURE(unit);
    const Metrics metrics = compute_metrics(prediction * unit, target * unit);
    CHECK(near(metrics.rse, 15.0 / 91));
    CHECK(near(metrics.rmse, std::sqrt(15.0 / 6) * unit));
    CHECK(near(metrics.mae, 7.0 / 6 * unit));
    CHECK(near(metrics.max, 3 * unit));
  }
}

TEST_CASE("PSNR", "[core/metrics]") {
  CHECK(near(mgdl::psnr(0.1), 20));
  CHECK(near(mgdl::psnr(1, 1000), 60));
  CHECK(mgdl::psnr(0, 5) == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(mgdl::psnr(std::nan(""))));
}

TEMPLATE_TEST_CASE("metrics of what does not match", "[core/metrics]", float, double) {
  using M = Matrix<TestType>;
  using V = Vector<TestType>;
  const M target = M::Ones(4, 2);
  const auto message = [](const M& prediction, const M& y, const V& weights = {}) {
    return error_of([&] { compute_metrics(prediction, y, weights); });
  };
  CHECK(message(M::Ones(3, 2), target) == "prediction: expected 4 rows, found 3");
  CHECK(message(M::Ones(4, 3), target) == "prediction: expected 2 columns, found 3");
  CHECK(message(M(0, 2), M(0, 2)) == "target: expected at least one value, found 0 x 2");
  CHECK(message(target, target, V::Ones(3)) == "weights: expected 4 rows, found 3");
  CHECK(message(target, target, V{{1, -1, 1, 1}}) ==
        "weights: expected values >= 0, found -1 at row 1");
  CHECK(message(target, target, V::Zero(4)) == "weights: expected a positive sum, found all zero");
}
