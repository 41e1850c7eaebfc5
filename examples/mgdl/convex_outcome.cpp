#include "convex_outcome.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "files.hpp"
#include "interrupt.hpp"
#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/convex/recertify.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/network/relu_network.hpp"
#include "progress.hpp"
#include "samples.hpp"

namespace mgdl::command {
namespace {

NamedSamples<double> read_samples(const ConvexFlags& flags) {
  const std::string& file = flags.csv.empty() ? flags.input : flags.csv;
  NamedSamples<double> samples =
      flags.csv.empty() ? NamedSamples<double>{read_npy_samples<double>(flags.input, flags.target)}
                        : read_csv_samples<double>(flags.csv, flags.table, flags.target_columns);
  const Dataset<double>& data = samples.data;
  if (data.inputs().isZero(0)) throw InvalidArgument(file, "an input that is not 0", "all zero");
  if (flags.all_patterns && data.inputs().cols() > 2) {
    throw InvalidArgument("--all-patterns", "1 or 2 inputs", std::to_string(data.inputs().cols()));
  }
  return samples;
}

RowMatrix<double> read_gates(const std::string& file, Index d, bool bias) {
  const auto vectors = read_npy<double>(file);
  check_values(file, vectors);
  if (const Index p = d + (bias ? 1 : 0); vectors.cols() != p) {
    throw InvalidArgument(
        file,
        std::to_string(p) + " columns, one for each input" + (bias ? " and one for the bias" : ""),
        std::to_string(vectors.cols()));
  }
  return vectors;
}

/// The gates that the flags ask for; none for all patterns of one input, which are solved by kinks.
std::optional<Gates> make_gates(const ConvexFlags& flags, const RowMatrix<double>& X) {
  const bool bias = !flags.no_bias;
  if (flags.all_patterns) {
    if (X.cols() == 1 && bias && flags.is_relu()) return std::nullopt;
    return enumerate_gates(X, bias);
  }
  if (flags.gates.empty()) {
    const auto count = static_cast<double>(flags.gate_count.value_or(kDefaultGates));
    require_memory("--gate-count", count * (static_cast<double>(X.cols() + 1) * sizeof(double) +
                                            static_cast<double>(X.rows()) / 8));
    return sample_gaussian_gates(X, flags.gate_count.value_or(kDefaultGates), flags.seed, bias);
  }
  const RowMatrix<double> vectors = read_gates(flags.gates, X.cols(), bias);
  try {
    return Gates(X, vectors, bias);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(flags.gates, error.expected(), error.found(), error.where());
  }
}

/// Shows where the solver stands, and ends it at Ctrl-C.
class Monitor {
 public:
  explicit Monitor(const ConvexFlags& flags)
      : m_display(flags.quiet, flags.time_limit), m_count(flags.path) {}

  void note(const std::string& text) { m_display.note(text); }

  void attach(PathOptions& options) {
    options.solver.observer = [this](const Progress& progress) {
      std::string status = "iteration " + std::to_string(progress.iteration) +
                           format(", relative gap %.1e", progress.objective);
      if (m_done == m_count) {
        status = "folds: " + status;
      } else if (m_count > 1) {
        status = "penalty " + std::to_string(m_done + 1) + ": " + status;
      }
      m_display.show(status, m_watch.seconds());
      return answer();
    };
    options.observer = [this](const PathPoint& point) {
      ++m_done;
      if (m_count > 1) {
        std::string line = "penalty " + std::to_string(m_done) + "/" + std::to_string(m_count) +
                           format(": lambda %.3e", point.report.certificate.lambda) +
                           format(", train RSE %.3e", point.train_rse);
        if (point.validation_rse == point.validation_rse) {
          line += format(", validation RSE %.3e", point.validation_rse);
        }
        note(line + format(", %.1f s in all", m_watch.seconds()));
      }
      return answer();
    };
  }

 private:
  static std::string format(const char* text, double value) {
    char buffer[80];
    std::snprintf(buffer, sizeof(buffer), text, value);
    return buffer;
  }

  Action answer() {
    if (!interrupted()) return Action::Continue;
    if (!std::exchange(m_told, true)) note("stopping; once more to give up at once");
    return Action::Stop;
  }

  ProgressDisplay m_display;
  detail::Stopwatch m_watch;
  Index m_count;
  Index m_done = 0;
  bool m_told = false;
};

/// The point that the flags ask for: by the validation errors, else the last one that can be used.
Index choose(const PathReport& path, const ConvexFlags& flags) {
  if (path.best) return flags.one_standard_error ? *path.one_standard_error : *path.best;
  Index k = std::ssize(path.points) - 1;
  while (k > 0 && !is_usable(path.points[static_cast<std::size_t>(k)].report.termination)) --k;
  return k;
}

/// U, P x p x c, of the gates as they were given; dropped ones are zero.
NpyArray<double> dense(const GatedSolution& solution, const Gates& gates, Index outputs) {
  const Index p = gates.dimension();
  NpyArray<double> result{{gates.given(), p, outputs}, {}};
  result.data.assign(static_cast<std::size_t>(gates.given() * p * outputs), 0);
  for (Index k = 0; k < std::ssize(solution.active); ++k) {
    const Index gate = solution.active[static_cast<std::size_t>(k)];
    const Index row = gates.sources()[static_cast<std::size_t>(gate)];
    Eigen::Map<RowMatrix<double>>(result.data.data() + row * p * outputs, p, outputs) =
        solution.block(k);
  }
  return result;
}

/// What it costs that the gated solution becomes a network.
nlohmann::ordered_json recovery_json(const Recovery& recovery) {
  const RecoveryReport& report = recovery.report;
  return {{"method", to_string(recovery.method)},
          {"same_values", recovery.same_values},
          {"neurons", recovery.solution.hidden.rows()},
          {"difference", report.difference},
          {"violation", report.violation},
          {"approximated", report.approximated},
          {"penalty_gated", report.penalty_gated},
          {"penalty_relu", report.penalty_relu},
          {"objective_gated", report.objective_gated},
          {"objective_relu", report.objective_relu}};
}

double rse_of(const ReluNetwork<double>& network, const Dataset<double>& data, int threads) {
  const auto prediction = network.predict(data.inputs(), threads);
  return compute_metrics(prediction, data.targets(), data.weights()).rse;
}

/// The loss of residuals relative to that of the targets: the relative squared error for squares.
double relative_loss(const ReluNetwork<double>& network, const Dataset<double>& data,
                     const Loss& loss, int threads) {
  if (loss.is_squared()) return rse_of(network, data, threads);
  const auto sum = [&](const RowMatrix<double>& values) {
    return data.weights().dot(
        values.unaryExpr([&](double value) { return loss(value); }).rowwise().sum());
  };
  return sum(data.targets() - network.predict(data.inputs(), threads)) / sum(data.targets());
}

/// A model of one grade that computes exactly what the neurons do.
MultigradeModel<double> model_of(const ReluSolution& neurons, const ConvexFlags& flags,
                                 const DataSplit<double>& data) {
  Grade<double> grade{to_network<double>(neurons, !flags.no_bias)};
  grade.train_rse = rse_of(grade.network, data.train, flags.threads);
  if (data.validation) {
    grade.validation_rse = rse_of(grade.network, *data.validation, flags.threads);
  }
  grade.samples = fingerprint(data);
  MultigradeModel<double> model(Standardizer<double>::identity(data.train.inputs().cols()),
                                Standardizer<double>::identity(data.train.targets().cols()));
  model.add_grade(std::move(grade));
  return model;
}

/// What the model's file says of it, with certificates that are about the network as it is: neurons
/// that look in the same direction have become one.
FitSummary summary_of(const ConvexOutcome& outcome, const ConvexFlags& flags,
                      const Dataset<double>& train, CertificateWitness witness) {
  const PathPoint& point = outcome.point();
  const Grade<double>& grade = outcome.model->grade(1);
  FitSummary summary;
  summary.termination = outcome.path.termination;
  summary.message = outcome.path.message;
  summary.initial_rse = 1;
  summary.seed = flags.seed;
  summary.validation_fraction = flags.validation;
  summary.inputs = input_range(train.inputs(), train.weights());
  GradeReport& line = summary.grades.emplace_back();
  line.fit.trainer =
      (witness.gated ? "gated 1x" : "convex 1x") + std::to_string(grade.network.width());
  line.train_rse = grade.train_rse;
  line.validation_rse = grade.validation_rse;
  line.parameters = grade.network.parameters();
  line.fit.termination = point.report.termination;
  line.fit.message = point.report.message;
  for (Index j = 0; j < train.inputs().cols(); ++j) witness.columns.push_back(j);
  const Certificate of_network =
      recertify(network_witness(witness), point.report.certificate.lambda, train, grade.network,
                flags.threads);
  if (witness.gated) {
    line.fit.certificate = point.report.certificate;
    line.fit.network_certificate = of_network;
  } else {
    line.fit.certificate = of_network;
  }
  line.fit.witness = std::move(witness);
  return summary;
}

/// The gated solution has no network that can be computed with: what is said of it becomes what is
/// true of the network that takes its place.
void report_network_instead(ConvexOutcome& outcome) {
  PathPoint& point = outcome.path.points[static_cast<std::size_t>(outcome.chosen)];
  char text[300];
  if (point.report.certificate.loss.is_squared()) {
    std::snprintf(text, sizeof(text),
                  "the gated solution (train RSE %.3e) needs neurons too long to compute with; the "
                  "network that comes nearest to its values has the train RSE %.3e",
                  point.train_rse, outcome.model->grade(1).train_rse);
  } else {
    std::snprintf(text, sizeof(text),
                  "the gated solution needs neurons too long to compute with; the network that "
                  "comes nearest to its values has the train RSE %.3e",
                  outcome.model->grade(1).train_rse);
  }
  outcome.warning = text;
  const FitSummary& summary = outcome.summary;
  point.report.certificate = *summary.grades.front().fit.certificate;
  point.report.active_groups = outcome.model->grade(1).network.width();
  if (point.report.termination == Termination::ToleranceReached) {
    point.report.termination = Termination::NoProgress;
  }
  point.report.message = outcome.warning;
  outcome.path.termination = point.report.termination;
  outcome.path.message = outcome.warning;
}

}  // namespace

ConvexOutcome solve_convex(const ConvexFlags& flags) {
  NamedSamples<double> samples = read_samples(flags);
  const auto data = split(std::move(samples.data), flags.validation, flags.seed);
  const Dataset<double>& train = data.train;
  const Dataset<double>* validation = data.validation ? &*data.validation : nullptr;
  const auto gates = make_gates(flags, train.inputs());
  if (gates && !flags.dual.empty()) {
    throw InvalidArgument("--dual", "--formulation relu and --all-patterns for one input with bias",
                          "gates");
  }
  ConvexOutcome outcome;
  outcome.names = usable_names(std::move(samples.names));
  outcome.inputs = train.inputs().cols();
  outcome.patterns = gates ? gates->size() : count_patterns(train.inputs());
  outcome.given = gates ? gates->given() : outcome.patterns;

  catch_interrupts();
  Monitor monitor(flags);
  if (!samples.text.empty()) monitor.note(samples.text);
  monitor.note(sizes_text(train.size(), validation != nullptr ? validation->size() : 0, 0,
                          train.inputs().cols(), train.targets().cols()) +
               ", " + std::to_string(outcome.patterns) + " patterns");
  PathOptions options = path_options(flags);
  monitor.attach(options);
  const RegularizationPath path(options);
  ReluSolution neurons;
  std::optional<GatedSolution> gated;
  std::optional<Recovery> recovery;
  if (flags.is_relu()) {
    auto [solutions, report] = gates ? path.solve_relu(train, *gates, validation)
                                     : path.solve_all_patterns(train, validation);
    outcome.path = std::move(report);
    outcome.chosen = choose(outcome.path, flags);
    neurons = std::move(solutions[static_cast<std::size_t>(outcome.chosen)]);
    outcome.dual = neurons.dual;
  } else {
    auto [solutions, report] = path.solve_gated(train, *gates, validation);
    outcome.path = std::move(report);
    outcome.chosen = choose(outcome.path, flags);
    gated = std::move(solutions[static_cast<std::size_t>(outcome.chosen)]);
    outcome.solution = dense(*gated, *gates, train.targets().cols());
    if (!flags.output.empty() && outcome.is_usable()) {
      recovery = recover(train, *gates, *gated, flags.threads);
      neurons = recovery->solution;
      outcome.recovery = recovery_json(*recovery);
      if (!recovery->same_values) gated.reset();
    }
  }
  if (!flags.output.empty() && outcome.is_usable()) {
    outcome.model = model_of(neurons, flags, data);
    outcome.summary =
        summary_of(outcome, flags, train, make_witness(gates, neurons, std::move(gated)));
    if (recovery && !recovery->same_values) report_network_instead(outcome);
    // What is printed is about the network.
    PathPoint& point = outcome.path.points[static_cast<std::size_t>(outcome.chosen)];
    const Loss& loss = options.solver.loss;
    const ReluNetwork<double>& network = outcome.model->grade(1).network;
    point.train_rse = relative_loss(network, train, loss, flags.threads);
    if (validation != nullptr) {
      point.validation_rse = relative_loss(network, *validation, loss, flags.threads);
    }
    GradeReport& line = outcome.summary.grades.front();
    line.fit.termination = point.report.termination;
    line.fit.message = point.report.message;
    outcome.summary.termination = outcome.path.termination;
    outcome.summary.message = outcome.path.message;
  }
  monitor.note("");
  return outcome;
}

}  // namespace mgdl::command
