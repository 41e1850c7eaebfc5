// ONNX files, read by programs that know nothing of this library.

#include "mgdl/io/onnx.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/io/export/c_code.hpp"
#include "mgdl/io/npy.hpp"
#include "support/networks.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::test::quoted;
using mgdl::test::shell;

namespace {

// Checks a file with onnx.checker, and evaluates it with NumPy (any type, all outputs) and with
// OpenCV (float, `output`) if that is there. Prints the largest difference relative to the largest
// value, for NumPy and for OpenCV, -1 for what was not done.
const char* const kScript = R"(
import sys
import numpy as np
import onnx
from onnx import numpy_helper

folder, outputs = sys.argv[1], sys.argv[2].split(",")
model = onnx.load(folder + "/model.onnx")
onnx.checker.check_model(model, full_check=True)
assert model.ir_version == 8 and [o.version for o in model.opset_import] == [17]
assert [v.name for v in model.graph.input] == ["input"]
assert sorted(v.name for v in model.graph.output) == sorted(outputs)
X = np.load(folder + "/X.npy")
values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
values["input"] = X.astype(values["input_mean"].dtype)
for node in model.graph.node:
    a = [values[name] for name in node.input]
    axis = [attribute.i for attribute in node.attribute]
    values[node.output[0]] = {
        "Sub": lambda: a[0] - a[1], "Div": lambda: a[0] / a[1], "Add": lambda: a[0] + a[1],
        "Mul": lambda: a[0] * a[1], "Gemm": lambda: a[0] @ a[1].T + a[2], "MatMul": lambda: a[0] @ a[1],
        "Relu": lambda: np.maximum(a[0], 0), "Concat": lambda: np.concatenate(a, *axis),
    }[node.op_type]()

def difference(found, name):
    expected = np.load(folder + "/" + name + ".npy")
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return np.abs(found - expected).max() / np.abs(expected).max()

numpy_error = max(difference(values[name], name) for name in outputs)
opencv_error = -1
if values["input"].dtype == np.float32:
    try:
        import cv2
    except ImportError:
        cv2 = None
    if cv2 is not None:
        net = cv2.dnn.readNetFromONNX(folder + "/model.onnx")
        net.setInput(values["input"], "input")
        opencv_error = difference(net.forward("output"), "output")
print(numpy_error, opencv_error, file=open(folder + "/errors", "w"))
)";

/// A Python with the package onnx, or nothing.
std::string python() {
  for (const std::string name : {"python3", "/usr/bin/python3"}) {
    if (shell(name + " -c 'import onnx, numpy' 2> /dev/null") == 0) return name;
  }
  return {};
}

struct Errors {
  double numpy = -1;
  double opencv = -1;
};

template <class Scalar>
Errors check(const std::string& interpreter, const mgdl::MultigradeModel<Scalar>& model,
             const Matrix<Scalar>& X, const mgdl::OnnxOptions& options) {
  const mgdl::test::TemporaryFolder folder;
  write_onnx(folder / "model.onnx", model, options);
  mgdl::write_npy(folder / "X.npy", X);
  mgdl::write_npy(folder / "output.npy", model.predict(X));
  std::string outputs = "output";
  for (Index k = 1; k < model.grades() && options.prefixes; ++k) {
    const std::string name = "output_" + std::to_string(k);
    mgdl::write_npy(folder / (name + ".npy"), model.predict(X, k));
    outputs += "," + name;
  }
  folder.write("check.py", kScript);
  REQUIRE(shell(interpreter + " " + quoted(folder / "check.py") + " " + quoted(folder / "") + " " +
                outputs) == 0);
  Errors errors;
  std::istringstream(mgdl::read_file(folder / "errors")) >> errors.numpy >> errors.opencv;
  return errors;
}

}  // namespace

TEMPLATE_TEST_CASE("Others read an ONNX file as it is meant", "[io/onnx]", float, double) {
  const std::string interpreter = python();
  if (interpreter.empty()) {
    WARN("skipped: no Python with the packages onnx and numpy");
    return;
  }
  RandomStream random(mgdl::test::seed());
  bool opencv = false;
  for (const FeatureLink link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    for (const std::vector<std::vector<Index>>& widths :
         std::vector<std::vector<std::vector<Index>>>{{{20, 31}, {7}, {1, 12}}, {{5}}, {}}) {
      const auto model = mgdl::test::random_model<TestType>(3, 2, widths, link, random);
      const auto X = mgdl::test::normal_matrix<Matrix<TestType>>(1000, 3, random);
      const bool prefixes = link == FeatureLink::LastHiddenAndInput;
      const Errors errors = check(interpreter, model, X, {.prefixes = prefixes});
      CHECK(errors.numpy >= 0);
      CHECK(errors.numpy < mgdl::test::sum_tolerance<float>);
      CHECK(errors.opencv < mgdl::test::sum_tolerance<float>);
      opencv = opencv || errors.opencv >= 0;
      if (sizeof(TestType) == sizeof(float)) continue;
      const Errors exact =
          check(interpreter, model, X, {.double_precision = true, .prefixes = true});
      CHECK(exact.numpy >= 0);
      CHECK(exact.numpy < mgdl::test::sum_tolerance<double>);
    }
  }
  for (const FeatureLink link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    const auto model = mgdl::test::random_grouped_model<TestType>(link, random);
    const auto X = mgdl::test::normal_matrix<Matrix<TestType>>(100, 3, random);
    const Errors errors =
        check(interpreter, model, X, {.double_precision = true, .prefixes = true});
    CHECK(errors.numpy >= 0);
    CHECK(errors.numpy < mgdl::test::sum_tolerance<TestType>);
  }
  if (!opencv) WARN("without OpenCV, which is not installed");
}

TEST_CASE("The bytes of a small ONNX file", "[io/onnx]") {
  // What protoc encodes for the same fields: the start of the file, and the size of the graph.
  const mgdl::MultigradeModel<float> model(mgdl::Standardizer<float>::identity(1),
                                           mgdl::Standardizer<float>::identity(1));
  std::ostringstream out;
  mgdl::write_onnx(out, model);
  const std::string bytes = out.str();
  const std::string start = std::string("\x08\x08\x12\x04mgdl\x1a\x05", 10) + mgdl::version() +
                            std::string("\x42\x04\x0a\x00\x10\x11\x3a", 7);
  REQUIRE(bytes.substr(0, start.size()) == start);
  const auto low = static_cast<unsigned char>(bytes[start.size()]);
  const auto high = static_cast<unsigned char>(bytes[start.size() + 1]);
  CHECK(static_cast<std::size_t>((low & 127) + 128 * high) == bytes.size() - start.size() - 2);
  CHECK(bytes.find(std::string("\x3f\x80", 2)) == std::string::npos);  // lowest byte first
  CHECK(bytes.find(std::string("\x00\x00\x80\x3f", 4)) != std::string::npos);
}

namespace {

/// sin(2 pi (x - offset) / period) on 20 pieces, of inputs that are `offset` from 0.
mgdl::MultigradeModel<double> far_model(double offset, double period, double amplitude) {
  constexpr Index kUnits = 20;
  mgdl::RowMatrix<double> weights = mgdl::RowMatrix<double>::Ones(1, kUnits);
  mgdl::RowVector<double> bias(kUnits);
  mgdl::RowMatrix<double> readout(kUnits, 1);
  double slope = 0;
  for (Index i = 0; i < kUnits; ++i) {
    const auto value = [](double t) { return std::sin(2 * std::numbers::pi * t / kUnits); };
    const auto at = static_cast<double>(i);
    bias[i] = 2 - 4 * at / kUnits;  // of z = (x - offset) / (period / 4) in [-2, 2]
    const double next = (value(at + 1) - value(at)) * kUnits / 4;
    readout(i, 0) = next - slope;
    slope = next;
  }
  mgdl::MultigradeModel<double> model(
      {mgdl::RowVector<double>{{offset}}, mgdl::RowVector<double>{{period / 4}}},
      {mgdl::RowVector<double>{{3 * amplitude}}, mgdl::RowVector<double>{{amplitude}}});
  model.add_grade(
      {mgdl::ReluNetwork<double>({{weights, bias}, {readout, mgdl::RowVector<double>::Zero(1)}})});
  return model;
}

}  // namespace

TEST_CASE("ONNX in float is refused where float is not enough", "[io/onnx]") {
  struct Case {
    double offset, period, amplitude;
    bool survives;
  };
  // Time stamps of seconds, milliseconds and days; metres of a map; counts; and what float can
  // tell.
  const Case cases[] = {
      {1.7645e9, 60, 1, false}, {1.7645e12, 6e4, 1e-3, false}, {20422.0, 0.01, 300, false},
      {5.4e6, 3, 1, false},     {-1.6777216e7, 8, 1e6, false}, {0, 1, 1, true},
      {1.7645e9, 1e9, 1, true}, {20422.0, 30, 1e-9, true},     {-5, 0.1, 1e9, true}};
  for (const Case& c : cases) {
    CAPTURE(c.offset, c.period, c.amplitude);
    const auto model = far_model(c.offset, c.period, c.amplitude);
    // What a runtime gives at the samples, once more.
    mgdl::OnnxOptions options;
    options.samples = c.offset + (Eigen::ArrayXd::LinSpaced(200, -0.5, 0.5) * c.period);
    const Matrix<float> found =
        mgdl::detail::predict_rounded<float>(model, Matrix<double>(options.samples));
    const double error =
        (found.cast<double>() - model.predict(options.samples)).cwiseAbs().maxCoeff();
    for (const bool with_samples : {true, false}) {
      if (!with_samples) options.samples.resize(0, 0);
      std::ostringstream out;
      if (!c.survives) {
        const std::string message =
            mgdl::test::error_of([&] { mgdl::write_onnx(out, model, options); });
        CHECK(message.starts_with(
            "OnnxOptions.double_precision: expected double precision (float64), or a "
            "tolerance above "));
        CHECK(message.find("found single precision (float32), off by up to ") != std::string::npos);
        CHECK(out.str().empty());
        options.tolerance = std::numeric_limits<double>::infinity();
      }
      const auto report = mgdl::write_onnx(out, model, options);
      CHECK_FALSE(out.str().empty());
      CHECK(report.relative_error == Approx(report.error / c.amplitude));
      if (with_samples) CHECK(report.error == Approx(error));
      CHECK((report.relative_error > 1e-3) != c.survives);
      options.tolerance = 1e-3;

      mgdl::OnnxOptions exact = options;
      exact.double_precision = true;
      std::ostringstream wide;
      CHECK(mgdl::write_onnx(wide, model, exact).relative_error < 1e-12 * (1 + std::abs(c.offset)));
    }
  }
}

TEST_CASE("ONNX in float is held against the tolerance of every prefix and output", "[io/onnx]") {
  RandomStream random(mgdl::test::seed(), 1);
  auto model = mgdl::test::random_model<double>(2, 2, {{8}, {6}}, FeatureLink::LastHidden, random);
  std::ostringstream out;
  const auto report = mgdl::write_onnx(out, model);
  CHECK(report.error > 0);
  CHECK(report.relative_error < 1e-5);
  const auto prefixes = mgdl::write_onnx(out, model, {.prefixes = true});
  CHECK(prefixes.error >= report.error);
  CHECK(prefixes.relative_error >= report.relative_error);
  // An output whose scale is far below its offset.
  mgdl::MultigradeModel<double> small(
      model.input_standardizer(),
      {mgdl::RowVector<double>{{0.0, 1e9}}, mgdl::RowVector<double>{{1.0, 1.0}}});
  for (Index k = 1; k <= 2; ++k) small.add_grade(model.grade(k));
  CHECK_FALSE(mgdl::test::error_of([&] { mgdl::write_onnx(out, small); }).empty());
  // Beyond the range of float.
  mgdl::MultigradeModel<double> huge(
      model.input_standardizer(),
      {mgdl::RowVector<double>{{0.0, 0.0}}, mgdl::RowVector<double>{{1e300, 1e300}}});
  for (Index k = 1; k <= 2; ++k) huge.add_grade(model.grade(k));
  CHECK(mgdl::test::error_of([&] { mgdl::write_onnx(out, huge); }).find("off by up to inf") !=
        std::string::npos);

  CHECK(mgdl::test::error_of([&] { mgdl::write_onnx(out, model, {.tolerance = -1}); }) ==
        "OnnxOptions.tolerance: expected a value >= 0, found -1");
  CHECK(mgdl::test::error_of([&] {
          mgdl::write_onnx(out, model, {.samples = Matrix<double>::Zero(3, 1)});
        }) == "OnnxOptions.samples: expected 2 columns, found 1");
  CHECK(mgdl::test::error_of([&] {
          mgdl::write_onnx(out, mgdl::MultigradeModel<double>());
        }).starts_with("model: expected a model with inputs"));
}
