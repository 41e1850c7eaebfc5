#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "support/samples.hpp"

/// \file
/// A model and a report in which nothing is like anything else: no two sizes, no default.

namespace mgdl::test {

template <class Derived>
void fill(Eigen::PlainObjectBase<Derived>& values, RandomStream& random) {
  for (Index i = 0; i < values.size(); ++i) {
    values.data()[i] =
        static_cast<typename Derived::Scalar>(random.normal() * std::exp2(random.uniform(-8, 8)));
  }
}

template <class Scalar>
DenseLayer<Scalar> any_layer(Index inputs, Index outputs, RandomStream& random) {
  RowMatrix<Scalar> weights(inputs, outputs);
  RowVector<Scalar> bias(outputs);
  fill(weights, random);
  fill(bias, random);
  return {weights, bias};
}

template <class Scalar>
Standardizer<Scalar> any_standardizer(Index columns, RandomStream& random) {
  RowVector<Scalar> mean(columns);
  RowVector<Scalar> scale(columns);
  fill(mean, random);
  fill(scale, random);
  return {mean, scale.cwiseAbs()};
}

/// Two grades, 3 inputs, 2 outputs, and the numbers that are easily lost.
template <class Scalar>
MultigradeModel<Scalar> saved_model(FeatureLink link = FeatureLink::LastHiddenAndInput) {
  RandomStream random(seed());
  MultigradeModel<Scalar> model(any_standardizer<Scalar>(3, random),
                                any_standardizer<Scalar>(2, random), link);
  RowMatrix<Scalar> weights(3, 5);
  fill(weights, random);
  weights(0, 1) = std::numeric_limits<Scalar>::denorm_min();
  weights(2, 0) = Scalar(-0.0);
  RowVector<Scalar> bias(5);
  bias << 1, 2, Scalar(1) / 3, -4, 0;
  model.add_grade(
      {ReluNetwork<Scalar>(
           {{weights, bias}, any_layer<Scalar>(5, 4, random), any_layer<Scalar>(4, 2, random)}),
       1.0 / 3, std::numeric_limits<double>::quiet_NaN(), "00112233445566778899aabbccddeeff"});
  const Index features = model.feature_count(1);
  model.add_grade({ReluNetwork<Scalar>(
                       {any_layer<Scalar>(features, 6, random), any_layer<Scalar>(6, 2, random)}),
                   1e-300, std::numeric_limits<double>::infinity()});
  return model;
}

/// Of saved_model(): a gated certificate for the first grade, one over all patterns for the second.
inline FitSummary saved_report() {
  RandomStream random(seed(), 1);
  FitSummary report;
  report.termination = Termination::ValidationStop;
  report.message = "It is \"over\".";
  report.initial_rse = 0.9;
  report.seed = 18446744073709551615u;
  report.validation_fraction = 0.3;
  report.options["width"] = 21;
  report.options["trainer"] = {"convex", "auto"};
  report.parameters = 1;  // and other fields that a model file does not keep
  report.seconds = 2;
  for (const int k : {1, 2}) {
    GradeReport& grade = report.grades.emplace_back();
    grade.fit.trainer = k == 1 ? "gated 1x4" : "convex 1x6";
    grade.train_max_error = 22.5 * k;
    grade.validation_max_error = 23.5 * k;
    grade.pointwise_growth = -0.25 / k;
    grade.pointwise_drop = k == 1 ? 0.75 : 0;
    grade.parameters = 17 + k;
    grade.fit.termination = k == 1 ? Termination::TimeLimit : Termination::ToleranceReached;
    grade.fit.message = k == 1 ? "first" : "second";
    grade.fit.certificate =
        Certificate{4.0 * k,
                    3.0 * k,
                    0.125 * k,
                    8.0 * k,
                    0.0625 * k,
                    1e-22 * k,
                    k == 1 ? PatternScope::SampledPatterns : PatternScope::AllPatterns,
                    k == 1 ? DualBound::SpectralRelaxation : DualBound::Exact,
                    k == 1 ? 7 : 0};
    CertificateWitness& witness = grade.fit.witness.emplace();
    witness.columns = k == 1 ? std::vector<Index>{0, 2} : std::vector<Index>{1, 2, 4};
    witness.unit = std::exp2(-3 * k);
    witness.bias = k == 1;
    witness.output_bias = k == 2;
    witness.separate_outputs = k == 1;
    witness.scope = k == 1 ? PatternScope::AllPatterns : PatternScope::SampledPatterns;
    if (k == 1) {
      witness.gates = normal_matrix<RowMatrix<double>>(7, 3, random);
      GatedSolution& gated = witness.gated.emplace();
      gated.lambda = grade.fit.certificate->lambda;
      gated.active = {1, 5};
      gated.coefficients = normal_matrix<Matrix<double>>(6, 2, random);
      gated.bias = normal_matrix<RowVector<double>>(1, 2, random);
      gated.output_bias = true;
    } else {
      witness.dual = normal_matrix<RowMatrix<double>>(8, 2, random);
    }
  }
  report.grades[1].fit.trials = {{"sampled 1x8", 0.75, 24.5}, {"Adam 2x7", 0.5, 25.5}};
  GradeReport& discarded = report.discarded_grades.emplace_back();
  discarded.fit.trainer = "L-BFGS 1x3";
  discarded.parameters = 33;
  discarded.fit.termination = Termination::NumericalFailure;
  return report;
}

}  // namespace mgdl::test
