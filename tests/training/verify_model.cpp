#include "mgdl/training/verify_model.hpp"

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

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
  mgdl::MultigradeTrainer<Scalar> trainer(
      std::move(trainers), {.max_grades = 3, .patience = 3, .link = link, .seed = 5, .threads = 1});
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
  const auto rse = mgdl::verify_model(model, trained.data, trained.claims).grades[0].train_rse;
  model.truncate(0);
  model.add_grade({grade.network.scaled(0.999), rse, grade.validation_rse});
  const auto found = mgdl::verify_model(model, trained.data, trained.claims).grades[0];
  CHECK(found.errors_hold);
  CHECK(found.residual_falls);
  CHECK_FALSE(found.certificate_holds);
  CHECK_THAT(found.message, ContainsSubstring("the values of the gated solution at the samples"));
}
