#pragma once

#include <vector>

#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

namespace mgdl::test {

/// Reports of the grades that are in the model.
template <class Scalar>
std::vector<GradeReport> kept_grades(const MultigradeFit<Scalar>& fit) {
  return {fit.report.grades.begin(), fit.report.grades.begin() + fit.model.grades()};
}

/// The members of a fit with folds.
template <class Scalar>
std::vector<MultigradeModel<Scalar>> members_of(const MultigradeFit<Scalar>& fit) {
  return detail::fold_members(fit.model, fit.report.folds - fit.report.idle_folds,
                              kept_grades(fit));
}

}  // namespace mgdl::test
