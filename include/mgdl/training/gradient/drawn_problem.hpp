#pragma once

#include <cstdint>

#include "mgdl/core/random.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl::detail {

/// Some samples of a problem, drawn at random, in memory: enough to choose settings by where there
/// are very many. Ranks share them as they do all.
template <class Scalar>
class DrawnProblem {
 public:
  /// Of the training part; of the validation part no more than tell candidates apart.
  static constexpr Index kTrain = Index{1} << 17;
  static constexpr Index kValidation = Index{1} << 14;

  explicit DrawnProblem(const GradeProblem<Scalar>& original)
      : m_train(draw(original.train, kTrain, original)), problem{samples(original.train, m_train)} {
    if (original.validation) {
      m_validation = draw(*original.validation, kValidation, original);
      problem.validation.emplace(samples(*original.validation, m_validation));
    }
    problem.grade = original.grade;
    problem.seed = original.seed;
  }

  DrawnProblem(const DrawnProblem&) = delete;
  DrawnProblem& operator=(const DrawnProblem&) = delete;

 private:
  SampleBuffer<Scalar> m_train;
  SampleBuffer<Scalar> m_validation;

 public:
  GradeProblem<Scalar> problem;

 private:
  static SampleBuffer<Scalar> draw(const Samples<Scalar>& samples, Index most,
                                   const GradeProblem<Scalar>& original) {
    RandomStream random(original.seed, kStream + static_cast<std::uint64_t>(original.grade));
    SampleBuffer<Scalar> drawn = draw_samples(samples, most, false, random);
    const double sum = drawn.weights.template cast<double>().sum();
    drawn.weights = (drawn.weights.template cast<double>() / sum).template cast<Scalar>();
    return drawn;
  }

  /// Of this rank.
  static Samples<Scalar> samples(const Samples<Scalar>& original,
                                 const SampleBuffer<Scalar>& drawn) {
    RowShare share(drawn.weights.size(), original.ranks());
    const SampleView<Scalar> all = drawn.view();
    return {rows_of(all, share.first(), share.count()), share};
  }

  // Not a number of a start, see GradientRun.
  static constexpr std::uint64_t kStream = std::uint64_t{1} << 63;
};

}  // namespace mgdl::detail
