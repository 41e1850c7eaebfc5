#include "mgdl/io/cpp_header.hpp"

#include <array>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "cpp_header_golden.inc"
#include "mgdl/io/export/c_code.hpp"
#include "support/networks.hpp"

using mgdl::DenseLayer;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::test::error_of;

namespace {

/// The model that cpp_header_golden.inc was written from: 2 inputs, 1 output, hidden layers of 3,
/// and of 2 and 4, all numbers different.
mgdl::MultigradeModel<float> golden_model() {
  float next = -2.625F;
  const auto matrix = [&next](Index rows, Index cols) {
    RowMatrix<float> values(rows, cols);
    for (float& value : values.reshaped<Eigen::RowMajor>()) value = next += 0.1F;
    return values;
  };
  const auto layer = [&](Index rows, Index cols) {
    RowMatrix<float> weights = matrix(rows, cols);
    return DenseLayer<float>(std::move(weights), matrix(1, cols));
  };
  mgdl::MultigradeModel<float> model(
      {RowVector<float>{{0.5F, -1e20F}}, RowVector<float>{{2.0F, 3e20F}}},
      {RowVector<float>{{7.0F}}, RowVector<float>{{1e-3F}}}, FeatureLink::LastHiddenAndInput);
  std::vector<DenseLayer<float>> first{layer(2, 3)};
  first.push_back(layer(3, 1));
  model.add_grade({mgdl::ReluNetwork<float>(first)});
  std::vector<DenseLayer<float>> second{layer(5, 2)};
  second.push_back(layer(2, 4));
  second.push_back(layer(4, 1));
  model.add_grade({mgdl::ReluNetwork<float>(second)});
  return model;
}

std::string without_first_line(const std::string& text) { return text.substr(text.find('\n')); }

}  // namespace

TEST_CASE("The header that is written is the one that compiles here", "[io/cpp_header]") {
  std::ostringstream text;
  mgdl::write_cpp_header(text, golden_model(), "golden");
  const std::string file = __FILE__;
  const std::string folder = file.substr(0, file.size() - std::string("cpp_header.cpp").size());
  // The first line names the version.
  CHECK(without_first_line(text.str()) ==
        without_first_line(mgdl::read_file(folder + "cpp_header_golden.inc")));
}

TEST_CASE("The model in the header has the bits of the model", "[io/cpp_header]") {
  const auto model = golden_model();
  static_assert(golden.inputs() == 2 && golden.outputs() == 1 && golden.grades() == 2);
  RandomStream random(mgdl::test::seed());
  for (int i = 0; i < 100; ++i) {
    const std::array<float, 2> x{static_cast<float>(3 * random.normal()),
                                 static_cast<float>(4e20 * random.normal())};
    mgdl::Matrix<float> X(1, 2);
    X << x[0], x[1];
    CHECK(golden.predict(x)[0] == model.predict(X)(0, 0));
    CHECK(golden.predict(x, 1)[0] == model.predict(X, 1)(0, 0));
  }
}

TEST_CASE("Groups are in the type of a C++ header", "[io/cpp_header]") {
  RandomStream random(mgdl::test::seed(), 1);
  const auto model = mgdl::test::random_grouped_model<double>(FeatureLink::LastHidden, random);
  std::ostringstream text;
  mgdl::write_cpp_header(text, model, "grouped");
  CHECK(text.str().find(
            "mgdl::FixedModel<double, 3, 2, mgdl::FeatureLink::LastHidden,\n"
            "                         mgdl::Grouped<mgdl::HiddenLayers<8, 12>, 1, 4>,\n"
            "                         mgdl::Grouped<mgdl::HiddenLayers<15, 10>, 3, 5>>\n") !=
        std::string::npos);
  using Fixed = mgdl::FixedModel<double, 3, 2, FeatureLink::LastHidden,
                                 mgdl::Grouped<mgdl::HiddenLayers<8, 12>, 1, 4>,
                                 mgdl::Grouped<mgdl::HiddenLayers<15, 10>, 3, 5>>;
  const auto values = mgdl::detail::flat_parameters(model);
  REQUIRE(std::ssize(values) == Fixed::parameters());
  const Fixed fixed(std::span<const double, static_cast<std::size_t>(Fixed::parameters())>{values});
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(20, 3, random);
  const mgdl::Matrix<double> expected = model.predict(X);
  for (Index i = 0; i < X.rows(); ++i) {
    const auto y = fixed.predict(std::array<double, 3>{X(i, 0), X(i, 1), X(i, 2)});
    CHECK(y[0] == expected(i, 0));
    CHECK(y[1] == expected(i, 1));
  }
}

TEST_CASE("C++ headers of what cannot be written are refused", "[io/cpp_header]") {
  std::ostringstream text;
  CHECK(error_of([&] { mgdl::write_cpp_header(text, golden_model(), "no name"); }) ==
        "name: expected an identifier of C, found \"no name\"");
  auto empty = golden_model();
  empty.truncate(0);
  CHECK(error_of([&] { mgdl::write_cpp_header(text, empty); }) ==
        "model: expected at least one grade, found none");
  CHECK(text.str().empty());
}

TEST_CASE("Numbers are literals of their type", "[io/cpp_header]") {
  using mgdl::detail::c_number;
  CHECK(c_number(1.0F) == "1.0f");
  CHECK(c_number(-0.1F) == "-0.1f");
  CHECK(c_number(1e-30F) == "1e-30f");
  CHECK(c_number(0.1) == "0.1");
  CHECK(c_number(-3.0) == "-3.0");
  CHECK(mgdl::detail::array("int a[2]", std::vector<int>{7, -1}, [](int v) {
          return std::to_string(v);
        }) == "int a[2] = {\n  7, -1};\n");
}

TEST_CASE("Two models of one name are not taken for one", "[io/cpp_header]") {
  const auto text_of = [](const mgdl::MultigradeModel<float>& model) {
    std::ostringstream text;
    mgdl::write_cpp_header(text, model, "golden");
    return text.str();
  };
  auto other = golden_model();
  other.truncate(1);
  const std::string first = text_of(golden_model());
  const std::string second = text_of(other);
  // In one file, by the preprocessor; in several files, by a namespace for each content.
  const std::string claim =
      "\n#ifdef MGDL_MODEL_golden\n"
      "#error \"two models are called golden here: export one of them under another name\"\n"
      "#endif\n#define MGDL_MODEL_golden\n";
  CHECK(first.find(claim) != std::string::npos);
  CHECK(second.find(claim) != std::string::npos);
  const auto space = [](const std::string& text) {
    const std::size_t at = text.find("inline namespace ");
    REQUIRE(at != std::string::npos);
    return text.substr(at, text.find('\n', at) - at);
  };
  CHECK(space(first) != space(second));
  CHECK(space(first) == space(text_of(golden_model())));
  CHECK(error_of([&] {
          std::ostringstream text;
          mgdl::write_cpp_header(text, golden_model(), "template");
        }) == "name: expected an identifier that is free in C and C++, found \"template\"");
}
