#pragma once

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/c_header.hpp"
#include "mgdl/io/export/c_code.hpp"
#include "mgdl/io/export/c_intervals.hpp"
#include "mgdl/io/export/fixed_point.hpp"
#include "mgdl/io/export/floating_point.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/prediction_intervals.hpp"

namespace mgdl::detail {

/// Text that neither ends a comment nor goes on in the next line.
inline std::string in_c_comment(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool ends = c == '/' && result.ends_with('*');
    const std::string shown = excerpt(std::string_view(&c, 1));
    result += ends ? "\\x2f" : shown.substr(1, shown.size() - 2);
  }
  return result.ends_with('\\') ? result + "." : result;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
void CHeaderOptions<Scalar>::validate(Index inputs) const {
  detail::require_identifier("CHeaderOptions.name", name);
  if (samples.rows() > 0) detail::require_cols("CHeaderOptions.samples", inputs, samples.cols());
  detail::require_finite("CHeaderOptions.samples", samples);
  if (intervals != nullptr && number != CNumber::Float32 && number != CNumber::Float64) {
    throw InvalidArgument("CHeaderOptions.intervals", "numbers in floating point with them",
                          to_string(number));
  }
  if (lower.size() == 0 && upper.size() == 0) return;
  detail::require_rows("CHeaderOptions.lower", inputs, lower.rows());
  detail::require_rows("CHeaderOptions.upper", inputs, upper.rows());
  detail::require_finite("CHeaderOptions.lower", lower);
  detail::require_finite("CHeaderOptions.upper", upper);
  for (Index j = 0; j < inputs; ++j) {
    if (lower[j] <= upper[j]) continue;
    throw InvalidArgument("CHeaderOptions.upper", "a value >= " + detail::to_text(lower[j]),
                          detail::to_text(upper[j]), "row " + std::to_string(j));
  }
}

template <class Scalar>
CHeaderReport write_c_header(std::ostream& out, const MultigradeModel<Scalar>& model,
                             const CHeaderOptions<Scalar>& options) {
  options.validate(model.inputs());
  const Index d = model.inputs();
  detail::CCode code(options.name, options.number == CNumber::Float64 ? "double" : "float");

  // Inputs of the self-test, in the type of the code so that both sides have the same ones.
  Matrix<Scalar> X = detail::inputs_to_compare_at(model, options.samples, 16);
  const bool in_double = options.number == CNumber::Float64;
  const auto as_stored = [&](const Matrix<Scalar>& values) -> Matrix<Scalar> {
    if (in_double) return values;
    return values.template cast<float>().template cast<Scalar>();
  };
  X = as_stored(X);
  const Matrix<Scalar> samples = as_stored(options.samples);

  CHeaderReport report;
  report.multiply_adds = model.multiply_adds();
  const auto measure = [&](const auto& predict) {
    const auto error = [&](const Matrix<Scalar>& inputs) {
      if (inputs.rows() == 0) return 0.0;
      return (predict(inputs) - model.predict(inputs).template cast<double>())
          .cwiseAbs()
          .maxCoeff();
    };
    report.self_test_error = error(X);
    if (samples.rows() > 0) report.samples_error = error(samples);
  };

  std::optional<detail::CIntervals<Scalar>> intervals;
  if (options.intervals != nullptr) {
    intervals.emplace(model, *options.intervals, options.level, options.width);
  }

  std::vector<std::string> notes;
  for (const std::string& note : options.notes) notes.push_back(detail::in_c_comment(note));
  if (options.number == CNumber::Float32 || in_double) {
    code.add_floating(model);
    const auto predict = [&](const Matrix<Scalar>& inputs) -> Matrix<double> {
      if (in_double) return detail::predict_rounded<double>(model, inputs);
      return detail::predict_rounded<float>(model, inputs).template cast<double>();
    };
    measure(predict);
  } else {
    Vector<Scalar> lower = options.lower;
    Vector<Scalar> upper = options.upper;
    if (lower.size() == 0 && samples.rows() > 0) {
      lower = samples.colwise().minCoeff().transpose();
      upper = samples.colwise().maxCoeff().transpose();
    } else if (lower.size() == 0) {
      const auto& in = model.input_standardizer();
      lower = (in.mean() - 4 * in.scale()).transpose();
      upper = (in.mean() + 4 * in.scale()).transpose();
    }
    const detail::QuantisedModel quantised =
        detail::quantised(model, options.number == CNumber::Int8 ? 8 : 16, lower, upper, samples);
    code.add_fixed_point(quantised);
    measure([&](const Matrix<Scalar>& inputs) {
      Matrix<double> result(inputs.rows(), model.outputs());
      for (Index i = 0; i < inputs.rows(); ++i) {
        const Vector<float> x = inputs.row(i).transpose().template cast<float>();
        result.row(i) = quantised.predict(x, model.grades()).transpose().template cast<double>();
      }
      return result;
    });
    report.proven_error = quantised.bound.back().maxCoeff();
    std::string box = "box of inputs:";
    for (Index j = 0; j < d; ++j) {
      box += (j > 0 ? " x [" : " [") + detail::to_text(lower[j]) + ", " +
             detail::to_text(upper[j]) + "]";
    }
    notes.push_back(box);
  }

  const RowMatrix<double> expected = model.predict(X).template cast<double>();
  const double unit =
      in_double ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  // Compilers differ in how they round; a wrong weight is not hidden by that.
  const double tolerance =
      4 * report.self_test_error +
      256 * unit *
          (expected.cwiseAbs().maxCoeff() +
           static_cast<double>(model.output_standardizer().scale().cwiseAbs().maxCoeff()));
  if (intervals) {
    intervals->add_to(code);
    const auto ends_of = [&](const Matrix<Scalar>& inputs) {
      const auto limits = options.intervals->predict(inputs, options.level, options.width);
      return IntervalLimits<double>{limits.lower.template cast<double>(),
                                    limits.upper.template cast<double>()};
    };
    const auto error = [&](const Matrix<Scalar>& inputs, const IntervalLimits<double>& ends) {
      const auto found = in_double ? intervals->template predict<double>(model, inputs)
                                   : intervals->template predict<float>(model, inputs);
      return std::max((found.lower - ends.lower).cwiseAbs().maxCoeff(),
                      (found.upper - ends.upper).cwiseAbs().maxCoeff());
    };
    const auto ends = ends_of(X);
    const double tested = error(X, ends);
    report.interval_error =
        samples.rows() > 0 ? std::max(tested, error(samples, ends_of(samples))) : tested;
    const double size =
        std::max(ends.lower.cwiseAbs().maxCoeff(), ends.upper.cwiseAbs().maxCoeff());
    code.add_self_test(X.template cast<double>(), expected, tolerance, ends.lower, ends.upper,
                       4 * tested + 256 * unit * size + tolerance);
  } else {
    code.add_self_test(X.template cast<double>(), expected, tolerance);
  }
  report.flash_bytes = code.flash_bytes();
  report.stack_bytes = code.stack_bytes();

  notes.insert(notes.begin(),
               {std::to_string(report.flash_bytes) + " bytes of constants, " +
                    std::to_string(report.stack_bytes) + " bytes of local arrays, " +
                    std::to_string(report.multiply_adds) + " multiply-adds",
                "largest error against the model: " + detail::to_text(report.self_test_error) +
                    " on the self-test" +
                    (report.samples_error ? ", " + detail::to_text(*report.samples_error) + " on " +
                                                std::to_string(samples.rows()) + " samples"
                                          : "")});
  if (report.interval_error) {
    notes.push_back("prediction intervals of level " + detail::to_text(options.level) + ", " +
                    (options.width == IntervalWidth::Scaled ? "scaled" : "constant") + ", from " +
                    std::to_string(options.intervals->samples()) +
                    " held out samples; ends off by at most " +
                    detail::to_text(*report.interval_error));
  }
  if (report.proven_error) {
    notes.push_back("proven bound of the error in this box: " +
                    detail::to_text(*report.proven_error));
  }
  const std::string number = options.number == CNumber::Int8    ? "fixed point, weights of 8 bits"
                             : options.number == CNumber::Int16 ? "fixed point, weights of 16 bits"
                                                                : code.number();
  out << code.text(std::to_string(d) + " inputs, " + std::to_string(model.outputs()) +
                       " outputs, " + std::to_string(model.grades()) + " grades, in " + number,
                   notes);
  return report;
}

template <class Scalar>
CHeaderReport write_c_header(const std::filesystem::path& path,
                             const MultigradeModel<Scalar>& model,
                             const CHeaderOptions<Scalar>& options) {
  CHeaderReport report;
  write_file(path, [&](std::ostream& out) { report = write_c_header(out, model, options); });
  return report;
}

}  // namespace mgdl
