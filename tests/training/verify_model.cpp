#include "mgdl/training/verify_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;

namespace {

template <class Scalar>
mgdl::Dataset<Scalar> wavy(Index n, Index d, Index c) {
  mgdl::RandomStream random(mgdl::test::seed(), 70);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, d, random);
  mgdl::Matrix<Scalar> Y(n, c);
  mgdl::Vector<Scalar> w(n);
  for (Index i = 0; i < n; ++i) {
    w[i] = static_cast<Scalar>(1 + i % 3);
    for (Index j = 0; j < c; ++j) {
      Y(i, j) = static_cast<Scalar>(30 * std::sin(2 * X(i, 0) + static_cast<Scalar>(j)) + 7);
    }
  }
  return {X, Y, w};
}

/// A model with the claims on it, and the samples.
template <class Scalar>
struct Trained {
  mgdl::DataSplit<Scalar> data;
  mgdl::MultigradeModel<Scalar> model;
  std::vector<mgdl::GradeReport> claims;

  mgdl::ModelVerification verify() const { return mgdl::verify_model(model, data, claims); }
};

template <class Scalar>
Trained<Scalar> train(mgdl::DataSplit<Scalar> data,
                      std::vector<mgdl::AnyGradeTrainer<Scalar>> trainers,
                      mgdl::FeatureLink link = mgdl::FeatureLink::LastHidden) {
  // One unit for all outputs, so that what is stated are raw sums.
  mgdl::MultigradeTrainer<Scalar> trainer(std::move(trainers),
                                          {.max_grades = 3,
                                           .patience = 3,
                                           .link = link,
                                           .output_scale = mgdl::OutputScale::Common,
                                           .seed = 5,
                                           .threads = 1});
  auto fit = trainer.fit(data);
  Trained<Scalar> result{std::move(data), std::move(fit.model), {}};
  for (auto& grade : fit.report.grades) {
    if (grade.kept) result.claims.push_back(std::move(grade));
  }
  return result;
}

template <class Scalar>
mgdl::AnyGradeTrainer<Scalar> convex(mgdl::ConvexProblem problem, Index max_inputs = 32,
                                     Index polish = 0,
                                     mgdl::PatternSource source = mgdl::PatternSource::Automatic) {
  mgdl::ConvexTrainerOptions options;
  options.problem = problem;
  options.source = source;
  options.patterns = 9;
  options.max_inputs = max_inputs;
  options.polish_iterations = polish;
  options.solver.lambda_ratio = 1e-2;
  return mgdl::ConvexTrainer<Scalar>(options);
}

/// The model with another grade k.
template <class Scalar>
mgdl::MultigradeModel<Scalar> with_grade(const mgdl::MultigradeModel<Scalar>& model, Index k,
                                         const mgdl::Grade<Scalar>& grade) {
  auto result = model;
  result.truncate(k - 1);
  result.add_grade(grade);
  for (Index j = k + 1; j <= model.grades(); ++j) result.add_grade(model.grade(j));
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("what a fit claims holds, whatever trained it", "[training/verify_model]", float,
                   double) {
  using mgdl::ConvexProblem;
  using Scalar = TestType;
  const mgdl::GradientTrainer<Scalar> gradient({.width = 6, .epochs = 5});
  const mgdl::SampledTrainer<Scalar> sampled({.width = 12});
  struct Case {
    std::string name;
    Index inputs, outputs;
    std::vector<mgdl::AnyGradeTrainer<Scalar>> trainers;
    std::size_t certificates;  // at least
  };
  const std::vector<Case> cases{
      {"gradient, sampled", 3, 2, {gradient, sampled}, 0},
      {"gated", 3, 2, {convex<Scalar>(ConvexProblem::Gated)}, 2},
      {"gated on some columns", 3, 1, {sampled, convex<Scalar>(ConvexProblem::Gated, 4)}, 1},
      {"relu", 3, 2, {convex<Scalar>(ConvexProblem::Relu)}, 2},
      {"relu, polished", 3, 1, {convex<Scalar>(ConvexProblem::Relu, 2, 20)}, 1},
      {"all patterns of one input", 1, 2, {convex<Scalar>(ConvexProblem::Gated)}, 1},
      {"all patterns of two inputs",
       2,
       1,
       {convex<Scalar>(ConvexProblem::Gated, 32, 0, mgdl::PatternSource::All), gradient},
       1},
      {"all patterns of two inputs, relu",
       2,
       1,
       {convex<Scalar>(ConvexProblem::Relu, 32, 0, mgdl::PatternSource::All), gradient},
       1},
  };
  std::size_t judged = 0;  // certificates of models that a validation part has chosen
  for (const auto& [name, inputs, outputs, trainers, certificates] : cases) {
    for (const double held_out : {0.0, 0.25}) {
      for (const auto link :
           {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
        const bool all_of_two = inputs == 2;
        if (all_of_two && (held_out > 0 || link == mgdl::FeatureLink::LastHidden)) continue;
        const auto data = wavy<Scalar>(all_of_two ? 24 : held_out > 0 ? 240 : 60, inputs, outputs);
        const auto trained = train<Scalar>(mgdl::split(data, held_out, 3), trainers, link);
        const auto found = trained.verify();
        std::ostringstream text;
        text << found;
        CAPTURE(name, held_out, to_string(link), text.str());
        CHECK(found.valid());
        REQUIRE(std::ssize(found.grades) == trained.model.grades());
        std::size_t count = 0;
        for (std::size_t k = 0; k < found.grades.size(); ++k) {
          const auto& grade = trained.model.grade(static_cast<Index>(k) + 1);
          // The same program finds the same bits.
          CHECK(found.grades[k].train_rse == grade.train_rse);
          if (held_out > 0) CHECK(found.grades[k].validation_rse == grade.validation_rse);
          if (!found.grades[k].certificate) continue;
          ++count;
          CHECK(found.grades[k].certificate->primal ==
                Approx(trained.claims[k].fit.certificate->primal).epsilon(1e-9));
        }
        if (held_out > 0) {
          judged += count;
          continue;
        }
        CHECK(trained.model.grades() > 0);
        CHECK(count >= certificates);
      }
    }
  }
  CHECK(judged >= 6);
}

TEMPLATE_TEST_CASE("a wrong model, sample or claim is found out", "[training/verify_model]", float,
                   double) {
  using Scalar = TestType;
  // Of two grades, so that there is an earlier and a later one.
  const auto gated = train<Scalar>(mgdl::split(wavy<Scalar>(60, 3, 2), 0.25, 3),
                                   {convex<Scalar>(mgdl::ConvexProblem::Gated)});
  const auto relu = train<Scalar>({wavy<Scalar>(60, 1, 2), std::nullopt},
                                  {convex<Scalar>(mgdl::ConvexProblem::Relu)});
  REQUIRE(gated.model.grades() >= 2);
  REQUIRE(relu.model.grades() >= 1);
  const auto message = [](const Trained<Scalar>& trained, std::size_t k = 0) {
    const auto found = trained.verify();
    CHECK_FALSE(found.valid());
    CHECK_FALSE(found.grades[k].valid());
    return found.grades[k].message;
  };

  SECTION("another sample") {
    auto wrong = gated;
    mgdl::Matrix<Scalar> X = gated.data.train.inputs();
    mgdl::Matrix<Scalar> Y = gated.data.train.targets();
    X(7, 1) += Scalar(0.5);
    wrong.data.train = {X, Y, gated.data.train.weights()};
    const auto found = wrong.verify();
    CHECK_FALSE(found.grades[0].errors_hold);
    CHECK_FALSE(found.grades[0].certificate_holds);
    CHECK(found.grades[0].residual_falls);
    X(7, 1) -= Scalar(0.5);
    Y(3, 0) += 1;
    wrong.data.train = {X, Y, gated.data.train.weights()};
    CHECK_THAT(message(wrong), ContainsSubstring("stated"));
    // Of the validation part, which only the errors on it are about.
    auto validation = gated;
    mgdl::Matrix<Scalar> V = gated.data.validation->targets();
    V(2, 1) += 1;
    validation.data.validation =
        mgdl::Dataset<Scalar>(gated.data.validation->inputs(), V, gated.data.validation->weights());
    CHECK_THAT(message(validation, 1), ContainsSubstring("validation RSE: stated"));
    CHECK(validation.verify().grades[0].certificate_holds);
    validation.data.validation.reset();
    CHECK_THAT(message(validation), ContainsSubstring("validation RSE"));
    // Other weights.
    wrong.data.train = {gated.data.train.inputs(), gated.data.train.targets()};
    CHECK_FALSE(wrong.verify().grades[0].errors_hold);
  }

  SECTION("another model") {
    for (const Trained<Scalar>* trained : {&gated, &relu}) {
      const auto& grade = trained->model.grade(1);
      for (std::size_t l = 0; l < 2; ++l) {
        auto layers = grade.network.layers();
        auto weights = layers[l].weights();
        Index row = 0, col = 0;
        weights.cwiseAbs().maxCoeff(&row, &col);
        weights(row, col) *= Scalar(1.01);
        layers[l] = {weights, layers[l].bias()};
        auto wrong = *trained;
        wrong.model =
            with_grade(trained->model, 1,
                       {mgdl::ReluNetwork<Scalar>(layers), grade.train_rse, grade.validation_rse});
        const auto found = wrong.verify();
        CHECK_FALSE(found.grades[0].errors_hold);
        CHECK_FALSE(found.grades[0].certificate_holds);
      }
    }
  }

  SECTION("other errors") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto& grade = gated.model.grade(2);
    for (const auto& [train_rse, validation_rse, text] :
         {std::tuple{grade.train_rse * 1.001, grade.validation_rse, "train RSE: stated"},
          std::tuple{nan, grade.validation_rse, "train RSE: stated nan"},
          std::tuple{grade.train_rse, grade.validation_rse * 0.999, "validation RSE: stated"},
          std::tuple{grade.train_rse, nan, "validation RSE: stated nan"}}) {
      auto wrong = gated;
      wrong.model = with_grade(gated.model, 2, {grade.network, train_rse, validation_rse});
      CHECK_THAT(message(wrong, 1), ContainsSubstring(text));
      CHECK(wrong.verify().grades[0].valid());
    }
  }

  SECTION("a grade that lets the residual grow") {
    auto wrong = gated;
    auto& grade = gated.model.grade(2);
    wrong.model = with_grade(gated.model, 2,
                             {grade.network.scaled(-1), grade.train_rse, grade.validation_rse});
    const auto found = wrong.verify();
    CHECK_FALSE(found.grades[1].residual_falls);
    CHECK(found.grades[0].valid());
  }

  SECTION("another certificate") {
    const auto claim = [&](auto change) {
      auto wrong = gated;
      change(*wrong.claims[0].fit.certificate);
      return message(wrong);
    };
    const double less = 0.99, more = 1.01;
    CHECK_THAT(claim([&](auto& c) { c.primal *= less; }), ContainsSubstring("primal: stated"));
    CHECK_THAT(claim([&](auto& c) { c.dual *= more; }), ContainsSubstring("dual: stated"));
    CHECK_THAT(claim([&](auto& c) { c.lambda *= more; }), ContainsSubstring("certificate, "));
    CHECK_THAT(claim([&](auto& c) { c.lambda = -1; }), ContainsSubstring("certificate, "));
    CHECK_THAT(claim([&](auto& c) { c.lambda_max *= more; }), ContainsSubstring("lambda_max"));
    CHECK_THAT(claim([&](auto& c) { c.rounding *= 10; }), ContainsSubstring("rounding"));
    CHECK_THAT(claim([&](auto& c) { c.scope = mgdl::PatternScope::AllPatterns; }),
               ContainsSubstring("scope: stated AllPatterns, recomputed SampledPatterns"));
    // A weaker claim is true.
    auto weaker = gated;
    weaker.claims[0].fit.certificate->dual *= less;
    CHECK(weaker.verify().valid());
  }

  SECTION("another witness") {
    const auto claim = [&](const Trained<Scalar>& trained, auto change) {
      auto wrong = trained;
      change(*wrong.claims[0].fit.witness);
      return message(wrong);
    };
    const std::string start = "certificate, ";
    CHECK_THAT(claim(gated, [](auto& w) { w.unit *= 2; }), ContainsSubstring(start));
    CHECK_THAT(claim(gated, [](auto& w) { w.unit = 0; }), ContainsSubstring("unit: expected"));
    CHECK_THAT(claim(gated, [](auto& w) { w.columns.clear(); }), ContainsSubstring("columns"));
    CHECK_THAT(claim(gated, [](auto& w) { w.columns.back() = 3; }), ContainsSubstring("columns"));
    CHECK_THAT(claim(gated, [](auto& w) { w.columns.back() = -1; }), ContainsSubstring("columns"));
    CHECK_THAT(claim(gated, [](auto& w) { std::swap(w.columns[0], w.columns[1]); }),
               ContainsSubstring(start));
    CHECK_THAT(claim(gated, [](auto& w) { w.columns.pop_back(); }), ContainsSubstring(start));
    // Without the gate that the bound is lowest for, it would be a better one.
    CHECK_THAT(claim(gated, [](auto& w) { w.gates.conservativeResize(1, Eigen::NoChange); }),
               ContainsSubstring(start));
    CHECK_THAT(claim(gated, [](auto& w) { w.gates.resize(0, 0); }), ContainsSubstring(start));
    CHECK_THAT(claim(gated, [](auto& w) { w.gated->coefficients *= 1.01; }),
               ContainsSubstring(start));
    CHECK_THAT(claim(gated, [](auto& w) { w.gated->active.front() = 100; }),
               ContainsSubstring("GatedSolution.active"));
    CHECK_THAT(claim(gated, [](auto& w) { w.gated->bias[0] += 1; }), ContainsSubstring(start));
    CHECK_THAT(claim(gated, [](auto& w) { w.gated.reset(); }), ContainsSubstring(start));
    CHECK_THAT(claim(relu, [](auto& w) { w.output_bias = false; }), ContainsSubstring(start));
    CHECK_THAT(claim(relu, [](auto& w) { w.separate_outputs = false; }), ContainsSubstring(start));
    auto none = gated;
    none.claims[0].fit.witness.reset();
    CHECK(message(none) == "certificate, nothing to compute it from");
    CHECK_FALSE(none.verify().grades[0].certificate);
  }

  SECTION("what does not fit at all") {
    const auto other = wavy<Scalar>(20, 2, 2);
    CHECK_THROWS_AS(mgdl::verify_model(gated.model, {other, std::nullopt}), mgdl::InvalidArgument);
    CHECK_THROWS_AS(mgdl::verify_model(gated.model, {wavy<Scalar>(20, 3, 1), std::nullopt}),
                    mgdl::InvalidArgument);
    CHECK_THROWS_WITH(
        mgdl::verify_model(gated.model, gated.data, std::vector<mgdl::GradeReport>(7)),
        ContainsSubstring("claims: expected") && ContainsSubstring("found 7"));
  }
}

TEST_CASE("a certificate that holds by the gates, but not for the network, is found out",
          "[training/verify_model]") {
  auto trained = train<double>({wavy<double>(60, 3, 1), std::nullopt},
                               {convex<double>(mgdl::ConvexProblem::Gated)});
  // Another network with its own errors: only that it is not the one of the gated solution is
  // wrong.
  const auto& grade = trained.model.grade(1);
  auto model = trained.model;
  model.truncate(0);
  model.add_grade({grade.network.scaled(0.999), grade.train_rse, grade.validation_rse});
  trained.claims.resize(1);
  const auto errors = mgdl::verify_model(model, trained.data, trained.claims).grades[0];
  model.truncate(0);
  model.add_grade({grade.network.scaled(0.999), errors.train_rse, grade.validation_rse});
  trained.claims[0].train_max_error = errors.train_max_error;
  trained.claims[0].pointwise_growth = errors.pointwise_growth;
  trained.claims[0].train_r2 = std::nan("");
  trained.claims[0].train_output_rmse.clear();
  const auto found = mgdl::verify_model(model, trained.data, trained.claims).grades[0];
  CHECK(found.errors_hold);
  CHECK(found.residual_falls);
  CHECK_FALSE(found.certificate_holds);
  CHECK_THAT(found.message, ContainsSubstring("the values of the gated solution at the samples"));
}

namespace {

/// A wavy function of three inputs, around a mean.
template <class Scalar>
mgdl::Dataset<Scalar> around(double mean, double spread, Index n = 120, std::uint64_t stream = 72) {
  mgdl::RandomStream random(mgdl::test::seed(), stream);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, 3, random);
  mgdl::Matrix<Scalar> Y(n, 2);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < 2; ++j) {
      Y(i, j) = static_cast<Scalar>(
          mean + spread * std::sin(2 * static_cast<double>(X(i, 0)) + static_cast<double>(j)));
    }
  }
  return {X, Y};
}

template <class Scalar>
mgdl::ReluNetwork<Scalar> with_random_weights(const mgdl::ReluNetwork<Scalar>& network,
                                              mgdl::RandomStream& random) {
  std::vector<mgdl::DenseLayer<Scalar>> layers;
  for (const auto& layer : network.layers()) {
    layers.emplace_back(
        mgdl::test::normal_matrix<mgdl::RowMatrix<Scalar>>(layer.inputs(), layer.outputs(), random),
        mgdl::test::normal_matrix<mgdl::RowVector<Scalar>>(1, layer.outputs(), random));
  }
  return mgdl::ReluNetwork<Scalar>(std::move(layers));
}

}  // namespace

TEMPLATE_TEST_CASE("random weights are found out, however large the mean of the targets",
                   "[training/verify_model]", float, double) {
  using Scalar = TestType;
  const double digits = 1 / static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  for (const double mean : {0.0, 1e2, 1e4, 1e-4 * digits, 1e-2 * digits, 1e-1 * digits}) {
    for (const double part : {0.0, 0.25}) {
      auto trained = train<Scalar>(mgdl::split(around<Scalar>(mean, 1), part, 3),
                                   {mgdl::SampledTrainer<Scalar>({.width = 20})});
      CAPTURE(mean, part);
      REQUIRE(trained.model.grades() > 0);
      CHECK(trained.verify().valid());
      mgdl::RandomStream random(mgdl::test::seed(), 73);
      const auto& grade = trained.model.grade(1);
      for (const bool with_claims : {true, false}) {
        auto forged = trained;
        forged.model = with_grade(trained.model, 1,
                                  {with_random_weights(grade.network, random), grade.train_rse,
                                   grade.validation_rse, grade.samples});
        if (!with_claims) forged.claims.clear();
        const auto found = forged.verify();
        CHECK_FALSE(found.valid());
        CHECK_FALSE(found.grades[0].errors_hold);
      }
    }
  }
}

TEMPLATE_TEST_CASE("stated errors are those of predictions as they are rounded",
                   "[training/verify_model]", float, double) {
  using Scalar = TestType;
  const double digits = 1 / static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  const mgdl::SampledTrainer<Scalar> sampled({.width = 40});
  const mgdl::AffineTrainer<Scalar> affine;
  for (const double mean : {0.0, 3.0, 1e3, 1e-4 * digits, 1e-2 * digits}) {
    for (const auto& trainers : std::vector<std::vector<mgdl::AnyGradeTrainer<Scalar>>>{
             {sampled}, {affine, sampled}, {convex<Scalar>(mgdl::ConvexProblem::Gated)}}) {
      CAPTURE(mean);
      const auto data = mgdl::split(around<Scalar>(mean, 2), 0.25, 3);
      const auto trained = train<Scalar>(data, trainers);
      REQUIRE(trained.model.grades() > 0);
      double before = std::numeric_limits<double>::infinity();
      for (Index k = 1; k <= trained.model.grades(); ++k) {
        const auto& claim = trained.claims[static_cast<std::size_t>(k - 1)];
        const auto errors = [&](const mgdl::Dataset<Scalar>& part) {
          const mgdl::Matrix<Scalar> X = part.inputs();
          const mgdl::RowMatrix<double> P = trained.model.predict(X, k).template cast<double>();
          const mgdl::RowMatrix<double> Y = part.targets().template cast<double>();
          return std::pair{(Y - P).cwiseAbs().maxCoeff(), (Y - P).squaredNorm() / Y.squaredNorm()};
        };
        const auto [largest, rse] = errors(data.train);
        CHECK(claim.train_max_error == Approx(largest).epsilon(1e-12));
        CHECK(claim.train_rse == Approx(rse).epsilon(1e-12));
        CHECK(rse < before);  // however they are rounded
        before = rse * (1 + 1e-12);
        const auto [validation_largest, validation_rse] = errors(*data.validation);
        CHECK(claim.validation_max_error == Approx(validation_largest).epsilon(1e-12));
        CHECK(claim.validation_rse == Approx(validation_rse).epsilon(1e-12));
      }
      CHECK(trained.verify().valid());
    }
  }
}

TEST_CASE("a tolerance is met by predictions, or not at all", "[training/verify_model]") {
  // Float32 has steps of 0.0078 at 101325: no model can be nearer than that to most targets.
  for (const double tolerance : {0.003, 0.0039, 0.02, 0.5, 5.0}) {
    mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<float>({.width = 100}),
                                    {.max_grades = 6,
                                     .tolerance = tolerance,
                                     .measure = mgdl::ErrorMeasure::MaxError,
                                     .threads = 1}};
    const mgdl::Dataset<double> exact = around<double>(101325, 30, 40);
    const mgdl::Dataset<float> data(exact.inputs().cast<float>(), exact.targets().cast<float>());
    const auto fit = trainer.fit({data, std::nullopt});
    const mgdl::Matrix<float> X = data.inputs();
    const double error =
        (fit.model.predict(X).cast<double>() - mgdl::Matrix<double>(data.targets().cast<double>()))
            .cwiseAbs()
            .maxCoeff();
    CAPTURE(tolerance, error);
    const bool met = fit.report.termination == mgdl::Termination::ToleranceReached;
    CHECK(met == (error <= tolerance));
  }
}

TEMPLATE_TEST_CASE("after resume a file says which grades are about which samples",
                   "[training/verify_model]", float, double) {
  using Scalar = TestType;
  const auto one = mgdl::split(around<Scalar>(5, 1, 120, 74), 0.2, 4);
  const auto two = mgdl::split(around<Scalar>(5, 1, 150, 75), 0.2, 4);
  const auto three = mgdl::split(around<Scalar>(5, 1, 120, 76), 0.2, 4);
  const mgdl::MultigradeOptions options{.max_grades = 2, .patience = 9, .threads = 1};
  const auto trainer = [&](Index width) {
    return mgdl::MultigradeTrainer<Scalar>(mgdl::SampledTrainer<Scalar>({.width = width}), options);
  };
  const auto first = trainer(4).fit(one);
  const Index old = first.model.grades();
  REQUIRE(old > 0);
  const auto second = trainer(40).resume(first.model, two);
  REQUIRE(second.model.grades() > old);
  CHECK(second.model.grade(1).samples == mgdl::fingerprint(one));
  CHECK(second.model.grade(old + 1).samples == mgdl::fingerprint(two));
  // As a file has them: of the first grades, errors and size.
  mgdl::ModelClaims claims;
  claims.initial_rse = second.report.initial_rse;
  for (Index k = 1; k <= old; ++k) {
    mgdl::GradeReport line;
    line.parameters = second.model.grade(k).network.parameters();
    claims.grades.push_back(line);
  }
  for (const auto& grade : second.report.grades) {
    if (grade.kept) claims.grades.push_back(grade);
  }
  const auto verify = [&](const auto& data) {
    return mgdl::verify_model(second.model, data, claims);
  };
  for (const bool later : {false, true}) {
    const auto found = verify(later ? two : one);
    std::ostringstream text;
    text << found;
    CAPTURE(later, text.str());
    CHECK_FALSE(found.refuted());
    CHECK_FALSE(found.valid());
    const Index others = later ? old : second.model.grades() - old;
    CHECK(found.unchecked() == others);
    CHECK_THAT(text.str(), ContainsSubstring("other samples ("));
    CHECK_THAT(text.str(), !ContainsSubstring("claims hold"));
    CHECK_THAT(text.str(), ContainsSubstring("not checked: " + std::to_string(others) + " of " +
                                             std::to_string(second.model.grades()) + " grades"));
    for (std::size_t k = 0; k < found.grades.size(); ++k) {
      const bool earlier = static_cast<Index>(k) < old;
      CHECK(found.grades[k].of_these_samples == (earlier != later));
      CHECK(found.grades[k].valid() == (earlier != later));
    }
    CHECK(std::isnan(found.initial_rse) != later);
  }
  // Both together say it of all grades, in any order and however often.
  const std::vector<std::vector<const mgdl::DataSplit<Scalar>*>> together{
      {&one, &two}, {&two, &one}, {&one, &one, &two}, {&two, &one, &two}};
  for (const auto& sets : together) {
    std::vector<mgdl::ModelVerification> parts;
    for (const auto* set : sets) parts.push_back(verify(*set));
    const auto found = mgdl::combine(parts);
    std::ostringstream text;
    text << found;
    CAPTURE(text.str());
    CHECK(found.valid());
    CHECK(found.unchecked() == 0);
    CHECK(found.initial_rse == verify(two).initial_rse);
    CHECK_THAT(text.str(), ContainsSubstring("all claims hold"));
  }
  CHECK_FALSE(mgdl::combine({verify(one), verify(one)}).valid());
  CHECK_FALSE(mgdl::combine({verify(one), verify(one)}).refuted());
  CHECK_THROWS_AS(mgdl::combine({}), mgdl::InvalidArgument);
  auto shorter = verify(two);
  shorter.grades.pop_back();
  CHECK_THROWS_AS(mgdl::combine({verify(one), shorter}), mgdl::InvalidArgument);
  // Of neither.
  CHECK(verify(three).refuted());
  CHECK(verify(three).grades[0].of_these_samples);
  CHECK(mgdl::combine({verify(one), verify(two), verify(three)}).refuted());
  // False errors are about none of them, and no grade is about other samples.
  const auto with = [&](Index k, const mgdl::Grade<Scalar>& grade) {
    const auto model = with_grade(second.model, k, grade);
    return mgdl::combine(
               {mgdl::verify_model(model, one, claims), mgdl::verify_model(model, two, claims)})
        .valid();
  };
  for (Index k = 1; k <= second.model.grades(); ++k) {
    CAPTURE(k);
    const auto grade = second.model.grade(k);
    CHECK(with(k, grade));
    auto forged = grade;
    forged.train_rse *= 0.9;
    CHECK_FALSE(with(k, forged));
    forged = grade;
    forged.validation_rse *= 0.9;
    CHECK_FALSE(with(k, forged));
    // Nor are they hidden by what they are said to be about.
    for (const auto& samples : {mgdl::fingerprint(three), mgdl::fingerprint(one),
                                mgdl::fingerprint(two), std::string("x"), std::string()}) {
      CAPTURE(samples);
      forged.samples = samples;
      CHECK_FALSE(with(k, forged));
      forged.train_rse = grade.train_rse;
      forged.validation_rse = grade.validation_rse;
      CHECK(with(k, forged) == (samples == grade.samples));
      forged.validation_rse *= 0.9;
    }
  }
  auto wrong = claims;
  wrong.initial_rse *= 1.1;
  CHECK(mgdl::verify_model(second.model, two, wrong).refuted());
  CHECK_FALSE(mgdl::verify_model(second.model, one, wrong).refuted());  // says nothing of these
}

TEMPLATE_TEST_CASE("however often a model was resumed, all its samples together verify it",
                   "[training/verify_model]", float, double) {
  using Scalar = TestType;
  using mgdl::FeatureLink;
  struct Case {
    std::string name;
    std::vector<std::size_t> runs;  ///< which samples each run has
    double fraction = 0;            ///< held out
    FeatureLink link = FeatureLink::LastHidden;
    std::vector<mgdl::AnyGradeTrainer<Scalar>> first = {}, rest = {};  ///< instead of sampled
  };
  const auto last_and_input = FeatureLink::LastHiddenAndInput;
  const std::vector<Case> cases{
      {"the same samples again", {0, 0}},
      {"other ones", {0, 1}},
      {"two times others, with parts held out", {0, 1, 2}, 0.2, last_and_input},
      {"and back", {0, 1, 0}, 0, last_and_input},
      {"affine first", {1, 2}, 0.3, last_and_input, {mgdl::AffineTrainer<Scalar>()}},
      {"certificates", {2, 0}, 0, last_and_input, {}, {convex<Scalar>(mgdl::ConvexProblem::Gated)}},
      {"any order", {2, 1, 0, 1}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    std::vector<mgdl::DataSplit<Scalar>> samples;
    for (const std::uint64_t stream : {77, 78, 79}) {
      samples.push_back(mgdl::split(around<Scalar>(3, 2, 60, stream), each.fraction, 4));
    }
    mgdl::MultigradeModel<Scalar> model;
    mgdl::ModelClaims claims;
    for (std::size_t r = 0; r < each.runs.size(); ++r) {
      // Each run can do more than the one before.
      auto trainers = r == 0 ? each.first : each.rest;
      if (trainers.empty()) {
        const Index width = r == 0 ? 2 : 15 * static_cast<Index>(r);
        trainers = {mgdl::SampledTrainer<Scalar>({.width = width})};
      }
      mgdl::MultigradeTrainer<Scalar> trainer(
          trainers, {.max_grades = 2, .patience = 9, .link = each.link, .threads = 1});
      const auto& data = samples[each.runs[r]];
      const Index before = model.grades();
      auto fit = r == 0 ? trainer.fit(data) : trainer.resume(model, data);
      REQUIRE(fit.model.grades() > before);
      claims.grades.assign(static_cast<std::size_t>(before), {});
      for (Index k = 1; k <= before; ++k) {
        claims.grades[static_cast<std::size_t>(k - 1)].parameters =
            model.grade(k).network.parameters();
      }
      for (auto& grade : fit.report.grades) {
        if (grade.kept) claims.grades.push_back(std::move(grade));
      }
      claims.initial_rse = fit.report.initial_rse;
      model = std::move(fit.model);
    }
    const auto verify = [&](const auto& verified, std::size_t left_out) {
      std::vector<mgdl::ModelVerification> parts;
      for (std::size_t i = 0; i < samples.size(); ++i) {
        if (i == left_out || std::ranges::count(each.runs, i) == 0) continue;
        parts.push_back(mgdl::verify_model(verified, samples[i], claims));
      }
      return parts.empty() ? mgdl::ModelVerification{{{}}} : mgdl::combine(parts);
    };
    const auto all = verify(model, samples.size());
    std::ostringstream text;
    text << all;
    CAPTURE(text.str());
    CHECK(all.valid());
    for (const std::size_t i : each.runs) {
      const auto fewer = verify(model, i);
      CHECK_FALSE(fewer.valid());
      if (std::ranges::count(each.runs, i) < std::ssize(each.runs)) CHECK_FALSE(fewer.refuted());
    }
    for (Index k = 1; k <= model.grades(); ++k) {
      auto forged = model.grade(k);
      forged.train_rse *= 0.9;
      CHECK_FALSE(verify(with_grade(model, k, forged), samples.size()).valid());
      for (const auto& name : {std::string(32, '0'), mgdl::fingerprint(samples[0]),
                               mgdl::fingerprint(samples[1]), mgdl::fingerprint(samples[2])}) {
        forged.samples = name;
        CHECK_FALSE(verify(with_grade(model, k, forged), samples.size()).valid());
      }
    }
  }
}

TEMPLATE_TEST_CASE("every number of a grade's report is recomputed", "[training/verify_model]",
                   float, double) {
  using Scalar = TestType;
  const mgdl::ConstructiveTrainer<Scalar> constructive({.hats = 6});
  const mgdl::SampledTrainer<Scalar> sampled({.width = 8});
  const mgdl::GradientTrainer<Scalar> gradient({.width = 6, .epochs = 5});
  using Trainers = std::vector<mgdl::AnyGradeTrainer<Scalar>>;
  for (const auto& [inputs, trainers] : {std::pair{Index{1}, Trainers{constructive}},
                                         {3, {sampled}},
                                         {3, {gradient}},
                                         {3, {mgdl::AffineTrainer<Scalar>(), sampled}},
                                         {1, {convex<Scalar>(mgdl::ConvexProblem::Gated)}}}) {
    const auto trained = train<Scalar>(mgdl::split(wavy<Scalar>(90, inputs, 2), 0.25, 3), trainers);
    REQUIRE(trained.model.grades() > 0);
    const auto message = [&](auto change, double initial_rse = std::nan("")) {
      mgdl::ModelClaims claims(trained.claims, initial_rse);
      change(claims.grades[0]);
      std::ostringstream text;
      const auto found = mgdl::verify_model(trained.model, trained.data, claims);
      text << found;
      CHECK((found.valid() == (text.str().find("no: ") == std::string::npos)));
      return text.str();
    };
    for (const double factor : {0.5, 0.99, 1.01, 2.0, -1.0}) {
      CHECK_THAT(message([&](auto& g) { g.train_max_error *= factor; }),
                 ContainsSubstring("no: train max error: stated"));
      CHECK_THAT(message([&](auto& g) { g.validation_max_error *= factor; }),
                 ContainsSubstring("no: validation max error: stated"));
      CHECK_THAT(message([&](auto& g) { g.pointwise_growth += 0.01 * factor; }),
                 ContainsSubstring("no: pointwise growth: stated"));
    }
    CHECK_THAT(message([&](auto& g) { g.parameters += 1; }),
               ContainsSubstring("no: parameters: stated"));
    const auto same = [](auto&) {};
    mgdl::MultigradeModel<Scalar> none = trained.model;
    none.truncate(0);
    const mgdl::Matrix<Scalar> X = trained.data.train.inputs();
    const double initial = mgdl::compute_metrics(none.predict(X), trained.data.train.targets(),
                                                 trained.data.train.weights())
                               .rse;
    CHECK_THAT(message(same, initial), !ContainsSubstring("no: "));
    CHECK_THAT(message(same, 0.9 * initial), ContainsSubstring("no: initial RSE: stated"));
  }
}

TEST_CASE("a certificate is about its network, and its witness does not shrink",
          "[training/verify_model]") {
  const auto relu = train<double>({wavy<double>(60, 3, 1), std::nullopt},
                                  {convex<double>(mgdl::ConvexProblem::Relu)});
  const auto gated = train<double>({wavy<double>(60, 3, 1), std::nullopt},
                                   {convex<double>(mgdl::ConvexProblem::Gated)});
  for (const auto* trained : {&relu, &gated}) {
    const auto& certificate = *trained->claims[0].fit.certificate;
    CHECK(certificate.patterns == trained->claims[0].fit.witness->gates.rows());
    std::ostringstream text;
    text << trained->verify();
    CHECK_THAT(text.str(), ContainsSubstring("certificate: SampledPatterns (") &&
                               ContainsSubstring("Exact, cone violation "));
    // Fewer gates make a better bound, of fewer networks.
    for (Index rows = 1; rows < certificate.patterns; ++rows) {
      auto forged = *trained;
      auto& witness = *forged.claims[0].fit.witness;
      witness.gates.conservativeResize(rows, Eigen::NoChange);
      CHECK_FALSE(forged.verify().valid());
    }
    auto above = *trained;
    above.claims[0].fit.certificate->dual = certificate.primal * 1.0001;
    CHECK_THAT(above.verify().grades[0].message, ContainsSubstring("dual"));
  }
  // One gate, everything else recomputed to match it, and no number of patterns, as in older files.
  for (Index row = 0; row < relu.claims[0].fit.certificate->patterns; ++row) {
    auto forged = relu;
    auto& fit = forged.claims[0].fit;
    fit.witness->gates = mgdl::RowMatrix<double>(fit.witness->gates.row(row));
    const auto found = forged.verify().grades[0];
    REQUIRE(found.certificate);
    CHECK_FALSE(found.valid());
    if (found.certificate->cone_violation < 1e-3) continue;
    const double dual = std::min(found.certificate->dual, found.certificate->primal);
    fit.certificate = found.certificate;
    fit.certificate->patterns = 0;
    fit.certificate->dual = dual;
    CHECK_THAT(forged.verify().grades[0].message, ContainsSubstring("outside of the cones"));
  }
}
