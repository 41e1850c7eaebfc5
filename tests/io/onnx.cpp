// ONNX files, read by programs that know nothing of this library.

#include "mgdl/io/onnx.hpp"

#include <sstream>
#include <string>
#include <vector>

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
