#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl {

/// What a grade hands to the next one.
enum class FeatureLink {
  LastHidden,         ///< the values of its last hidden layer
  LastHiddenAndInput  ///< those, followed by the standardised inputs
};

/// The enumerator's name.
constexpr const char* to_string(FeatureLink link) noexcept {
  return link == FeatureLink::LastHidden ? "LastHidden" : "LastHiddenAndInput";
}

/// A grade inside a model, with the errors of the prefix that ends with it.
template <class Scalar_ = double>
struct Grade {
  using Scalar = Scalar_;  ///< float or double

  ReluNetwork<Scalar> network;  ///< maps features of the grade before to a part of the output
  double train_rse = std::numeric_limits<double>::quiet_NaN();  ///< on the training samples
  double validation_rse =
      std::numeric_limits<double>::quiet_NaN();  ///< NaN without validation part
  /// fingerprint() of the samples that the errors are about; empty if not known.
  std::string samples = {};

  /// Equal networks, errors and samples; two errors that are NaN count as equal.
  bool operator==(const Grade& other) const {
    const auto same = [](double a, double b) { return a == b || (a != a && b != b); };
    return network == other.network && same(train_rse, other.train_rse) &&
           same(validation_rse, other.validation_rse) && samples == other.samples;
  }
};

template <class Scalar>
class Predictor;

/// Sum of grades, each a shallow ReLU network on the features of the grade before:
///
///     f_0 = (x - mean_x) / scale_x,   model(x) = mean_y + scale_y * sum_{k=1..K} g_k(f_{k-1}(x)),
///     f_k = last hidden values of g_k (FeatureLink: and f_0).
///
/// The sum of the first k grades is a model too, `predict(X, k)`; it never changes when grades are
/// added. A model without grades predicts mean_y. Several threads may use a const one at a time.
template <class Scalar_ = double>
class MultigradeModel {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  /// A model of no inputs and no outputs, to be assigned to: whatever evaluates or saves it throws
  /// InvalidArgument. So does one that was moved from.
  MultigradeModel() = default;

  /// \param input   standardisation of the d inputs
  /// \param output  standardisation of the c outputs
  MultigradeModel(Standardizer<Scalar> input, Standardizer<Scalar> output,
                  FeatureLink link = FeatureLink::LastHidden)
      : m_input(std::move(input)), m_output(std::move(output)), m_link(link) {
    if (m_input.columns() == 0) throw InvalidArgument("input", "at least one column", "none");
    if (m_output.columns() == 0) throw InvalidArgument("output", "at least one column", "none");
  }

  /// Adds a grade at the end.
  /// \throws InvalidArgument if its inputs or outputs do not fit; nothing is changed then
  void add_grade(Grade<Scalar> grade) {
    if (grade.network.inputs() != feature_count(grades())) {
      throw InvalidArgument("grade", std::to_string(feature_count(grades())) + " inputs",
                            std::to_string(grade.network.inputs()));
    }
    if (grade.network.outputs() != outputs()) {
      throw InvalidArgument("grade", std::to_string(outputs()) + " outputs",
                            std::to_string(grade.network.outputs()));
    }
    m_grades.push_back(std::move(grade));
  }

  /// Keeps the first `count` grades, 0 <= count <= grades().
  void truncate(Index count) {
    require_grades(count);
    m_grades.erase(m_grades.begin() + count, m_grades.end());
  }

  /// Number d of inputs.
  Index inputs() const noexcept { return m_input.columns(); }
  /// Number c of outputs.
  Index outputs() const noexcept { return m_output.columns(); }
  /// Number K of grades.
  Index grades() const noexcept { return static_cast<Index>(m_grades.size()); }
  /// What each grade hands to the next one.
  FeatureLink link() const noexcept { return m_link; }
  /// mean_x and scale_x, d columns; of a temporary by value, as all that is returned by reference.
  /// \{
  const Standardizer<Scalar>& input_standardizer() const& noexcept { return m_input; }
  Standardizer<Scalar> input_standardizer() && { return std::move(m_input); }
  /// \}
  /// mean_y and scale_y, c columns.
  /// \{
  const Standardizer<Scalar>& output_standardizer() const& noexcept { return m_output; }
  Standardizer<Scalar> output_standardizer() && { return std::move(m_output); }
  /// \}

  /// Grade k = 1..grades(), counted as everywhere from 1.
  /// \{
  const Grade<Scalar>& grade(Index k) const& { return m_grades[place(k)]; }
  Grade<Scalar> grade(Index k) && { return std::move(m_grades[place(k)]); }
  /// \}

  /// Number of features after the first k grades; after 0 grades, the inputs.
  Index feature_count(Index k) const {
    require_grades(k);
    if (inputs() == 0) {
      throw InvalidArgument("model", "a model with inputs",
                            "one without: default-constructed, or moved from");
    }
    if (k == 0) return inputs();
    const Index width = m_grades[static_cast<std::size_t>(k - 1)].network.width();
    return m_link == FeatureLink::LastHidden ? width : width + inputs();
  }

  /// Number of weights and biases of the grades (standardisers not counted).
  Index parameters() const noexcept {
    Index count = 0;
    for (const auto& grade : m_grades) count += grade.network.parameters();
    return count;
  }

  /// Multiplications (each with an addition) of the grades for one sample.
  Index multiply_adds() const noexcept {
    Index count = 0;
    for (const auto& grade : m_grades) count += grade.network.multiply_adds();
    return count;
  }

  /// The model at each row of X (n x d): n x c, in the unit of the targets.
  Matrix<Scalar> predict(const ConstMatrixRef<Scalar>& X) const { return predict(X, grades()); }

  /// The first k grades at each row of X (n x d): n x c.
  Matrix<Scalar> predict(const ConstMatrixRef<Scalar>& X, Index k) const;

  /// Does not compile: values of another type of number.
  template <class... Values>
  requires(detail::OtherNumbers<Values, Scalar> || ...) Matrix<Scalar> predict(const Values&...)
  const {
    static_cast<void>(sizeof(detail::RefuseOtherNumbers<Scalar, Values...>));
    return {};
  }

  /// Features after the first k grades at each row of X (n x d): n x feature_count(k).
  Matrix<Scalar> features(const ConstMatrixRef<Scalar>& X, Index k) const;

  /// The model prepared for many predictions that allocate nothing; see Predictor.
  Predictor<Scalar> predictor(Executor threads = {}) const;

  /// Derivative of the outputs with respect to the inputs at the point x (d values): c x d, in unit
  /// of target per unit of input. Where x lies on a kink, the derivative from the inactive side.
  Matrix<Scalar> jacobian(const ConstVectorRef<Scalar>& x) const { return jacobian(x, grades()); }

  /// The same for the first k grades.
  Matrix<Scalar> jacobian(const ConstVectorRef<Scalar>& x, Index k) const;

  /// The same at each row of X (n x d), one Jacobian below the other: n c x d, of which row i c + j
  /// is the gradient of output j at row i of X.
  ///
  /// Runs through the layers once, for the outputs from the last to the first (reverse mode), in
  /// blocks of rows: some (1 + c) times the operations of predict().
  RowMatrix<Scalar> jacobians(const ConstMatrixRef<Scalar>& X) const {
    return jacobians(X, grades());
  }

  /// The same for the first k grades.
  /// \param threads  the bits of the result do not depend on them
  RowMatrix<Scalar> jacobians(const ConstMatrixRef<Scalar>& X, Index k,
                              const Executor& threads = {}) const;

  /// Equal standardisation, link and grades.
  bool operator==(const MultigradeModel& other) const {
    return m_link == other.m_link && m_input == other.m_input && m_output == other.m_output &&
           m_grades == other.m_grades;
  }

 private:
  void require_grades(Index k) const {
    if (k >= 0 && k <= grades()) return;
    throw InvalidArgument("grades", "a value from 0 to " + std::to_string(grades()),
                          std::to_string(k));
  }

  /// Of grade k in m_grades.
  std::size_t place(Index k) const {
    if (k < 1) throw InvalidArgument("grade", "a value >= 1", std::to_string(k));
    require_grades(k);
    return static_cast<std::size_t>(k - 1);
  }

  /// jacobians() of standardised outputs by standardised inputs z.
  RowMatrix<Scalar> standardised_jacobians(const RowMatrix<Scalar>& z, Index k) const;

  Standardizer<Scalar> m_input;
  Standardizer<Scalar> m_output;
  FeatureLink m_link = FeatureLink::LastHidden;
  std::vector<Grade<Scalar>> m_grades;
};

/// A MultigradeModel prepared for many predictions: weights packed and buffers allocated once, so
/// that `predict_into` allocates nothing. It holds a copy of what it needs of the model.
///
/// Each row is computed by itself: its bits depend neither on the other rows nor on the number of
/// threads. One Predictor must not be used by two threads at a time, since its buffers change with
/// every call, none of which is const but for those that ask for sizes; a copy, which shares its
/// executor, may be used beside it. Can be copied and moved; one that was moved from throws
/// InvalidArgument.
template <class Scalar_ = double>
class Predictor {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param threads  threads that each call may use
  explicit Predictor(const MultigradeModel<Scalar>& model, Executor threads = {});

  /// The same as of the model.
  /// \{
  Index inputs() const noexcept { return m_input.columns(); }
  Index outputs() const noexcept { return m_output.columns(); }
  Index grades() const noexcept { return static_cast<Index>(m_grades.size()); }
  /// \}

  /// Writes the model at each row of X (n x d) to `result` (n x c). Allocates nothing once the
  /// threads have started, which happens at the first call with more than a few hundred rows; but X
  /// in another layout than Matrix<Scalar>, row-major say, is copied when the call is made.
  /// \throws InvalidArgument for unequal shapes, NaN or infinities; `result` is unchanged then
  void predict_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result) {
    predict_into(X, result, grades());
  }

  /// The same for the first k grades.
  void predict_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result, Index k);

  /// Writes the features after the first k grades to `result` (n x feature_count(k)).
  void features_into(const ConstMatrixRef<Scalar>& X, Eigen::Ref<Matrix<Scalar>> result, Index k);

 private:
  struct Scratch {
    detail::ForwardScratch<Scalar> forward;
    detail::AlignedVector<Scalar> input;  // standardised, d columns of kForwardRows
    detail::AlignedVector<Scalar> sum;    // of the grades' outputs
  };

  void require_grades(Index k) const;

  void require_shapes(const ConstMatrixRef<Scalar>& X, const Eigen::Ref<Matrix<Scalar>>& result,
                      Index k, Index columns);

  /// All of X is looked at before anything is written; with many columns that takes a while.
  void require_finite(const ConstMatrixRef<Scalar>& X);

  using Done = detail::FunctionRef<void(Index, Index, const Scratch&, detail::Strided<Scalar>)>;

  /// Calls done(first_row, rows, scratch, features) for each block of rows.
  void run(const ConstMatrixRef<Scalar>& X, Index k, Done done);

  FeatureLink m_link;
  Standardizer<Scalar> m_input;
  Standardizer<Scalar> m_output;
  Executor m_threads;
  std::vector<detail::PanelNetwork<Scalar>> m_grades;
  std::vector<Index> m_feature_counts;  // after 0, 1, ... grades
  std::vector<Scratch> m_scratch;       // one for each thread
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class MultigradeModel<float>;
extern template class MultigradeModel<double>;
extern template class Predictor<float>;
extern template class Predictor<double>;
}  // namespace mgdl
#else
#include "mgdl/network/multigrade_model_impl.hpp"  // IWYU pragma: export
#endif
