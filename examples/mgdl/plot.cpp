#include "plot.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <ostream>
#include <sstream>
#include <vector>

#include "mgdl/io/file.hpp"

extern char** environ;

namespace mgdl::command {
namespace {

// Colours that people who see fewer of them can tell apart (Okabe & Ito).
constexpr const char* kTrain = "#0072B2";
constexpr const char* kValidation = "#E69F00";
constexpr const char* kTest = "#D55E00";
constexpr const char* kSamples = "#999999";

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

/// Runs gnuplot on a script and returns what it prints. Neither a shell nor a file name is
/// involved, and with files in place of pipes neither side ever waits for the other.
bool run_gnuplot(const std::string& script, std::string& picture, std::string& problem) {
  const File in(std::tmpfile());
  const File out(std::tmpfile());
  if (!in || !out || std::fwrite(script.data(), 1, script.size(), in.get()) != script.size() ||
      std::fflush(in.get()) != 0) {
    problem = "no temporary file for gnuplot";
    return false;
  }
  std::rewind(in.get());
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, fileno(in.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, fileno(out.get()), STDOUT_FILENO);
  // --default-settings: the plot must not depend on the user's ~/.gnuplot.
  std::string name = "gnuplot", settings = "--default-settings", standard_input = "-";
  char* arguments[] = {name.data(), settings.data(), standard_input.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, name.c_str(), &files, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    problem = std::string("gnuplot cannot be started: ") + std::strerror(error);
    return false;
  }
  int status = 0;
  while (waitpid(child, &status, 0) == -1 && errno == EINTR) {
  }
  std::rewind(out.get());
  char buffer[1 << 14];
  while (const std::size_t size = std::fread(buffer, 1, sizeof(buffer), out.get())) {
    picture.append(buffer, size);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    problem = "gnuplot was not found";
  } else if (status != 0 || picture.empty()) {
    problem = "gnuplot failed";
  }
  return problem.empty();
}

/// On a logarithmic axis a perfect fit has no place; far below rounding is where it looks right.
double drawable(double rse) { return std::max(rse, 1e-18); }

/// Writes a data block; returns whether it has points.
template <class Errors>
bool write_points(std::ostream& out, const char* name, const std::vector<std::size_t>& ends,
                  double first, const std::vector<GradeReport>& grades, Errors errors) {
  bool any = false;
  out << '$' << name << " << EOD\n";
  if (std::isfinite(first)) out << "0 " << drawable(first) << '\n';
  for (std::size_t k = 0; k < grades.size(); ++k) {
    if (!std::isfinite(errors(grades[k]))) continue;
    out << ends[k] << ' ' << drawable(errors(grades[k])) << '\n';
    any = true;
  }
  out << "EOD\n";
  return any;
}

/// The course of the residual over all iterations, and the errors where each grade ends.
void write_error_panel(std::ostream& out, const FitOutcome& outcome) {
  std::vector<GradeReport> grades = outcome.summary.grades;
  grades.insert(grades.end(), outcome.summary.discarded_grades.begin(),
                outcome.summary.discarded_grades.end());
  std::vector<std::size_t> ends(grades.size(), 0);
  for (std::size_t k = 0; k < grades.size(); ++k) {
    ends[k] =
        static_cast<std::size_t>(std::ranges::count_if(outcome.trace, [&](const TracePoint& point) {
          return point.grade <= static_cast<Index>(k + 1);
        }));
  }

  out << "$course << EOD\n";
  const double first = outcome.summary.initial_rse;
  if (std::isfinite(first)) out << "0 " << drawable(first) << '\n';
  std::size_t iteration = 0;
  for (const TracePoint& point : outcome.trace) {
    ++iteration;
    const auto k = static_cast<std::size_t>(point.grade - 1);
    const double before = k == 0               ? outcome.summary.initial_rse
                          : k <= grades.size() ? grades[k - 1].train_rse
                                               : NAN;
    const double rse = point.objective * before;
    if (std::isfinite(rse)) out << iteration << ' ' << drawable(rse) << '\n';
  }
  out << "EOD\n";
  write_points(out, "train", ends, first, grades, [](const auto& g) { return g.train_rse; });
  const bool validation = write_points(out, "validation", ends, NAN, grades,
                                       [](const auto& g) { return g.validation_rse; });
  const bool test =
      write_points(out, "test", ends, NAN, grades, [](const auto& g) { return g.test_rse; });

  const auto last = static_cast<double>(std::max<std::size_t>(1, iteration));
  const bool curve = std::ranges::any_of(
      outcome.trace, [](const TracePoint& point) { return std::isfinite(point.objective); });
  out << "set xrange [0:" << last * 1.02 << "]\n"
      << (curve ? "set xlabel 'iterations (epochs)'\n" : "set xlabel 'grades'\nset xtics 1\n")
      << "set ylabel 'squared residual / squared targets (RSE)'\n"
      << "set logscale y\nset format y '10^{%T}'\n"
      << "set key bottom left Left reverse opaque\n";
  std::size_t start = 0;
  for (std::size_t k = 0; k < grades.size(); ++k) {
    const double end = static_cast<double>(ends[k]);
    if (ends[k] == start) continue;
    out << "set arrow from " << end << ", graph 0 to " << end
        << ", graph 1 nohead back linecolor '#cccccc' linewidth 1\n";
    const double width = (end - static_cast<double>(start)) / last;
    if (width > 0.04) {
      out << "set label '" << (width > 0.12 ? "grade " : "") << k + 1 << "' at "
          << (end + static_cast<double>(start)) / 2
          << ", graph 1 offset 0,0.6 center textcolor '#666666'\n";
    }
    start = ends[k];
  }
  const auto marked = [&](const char* name, const char* colour, int point) {
    out << ", \\\n  $" << name << " with linespoints dashtype 2 linewidth 1 pointtype " << point
        << " pointsize 0.8 linecolor '" << colour << "' title '" << name << "'";
  };
  out << "plot $course with lines linewidth 1.5 linecolor '" << kTrain << "' notitle, \\\n"
      << "  $train with points pointtype 7 pointsize 0.8 linecolor '" << kTrain
      << "' title 'training'";
  if (validation) marked("validation", kValidation, 9);
  if (test) marked("test", kTest, 5);
  out << '\n';
}

void write_curve_panel(std::ostream& out, const Curve& curve) {
  out << "$samples << EOD\n";
  for (std::size_t i = 0; i < curve.sample_x.size(); ++i) {
    out << curve.sample_x[i] << ' ' << curve.sample_y[i] << '\n';
  }
  out << "EOD\n$predictions << EOD\n";
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    out << curve.x[i];
    for (const auto& prediction : curve.predictions) out << ' ' << prediction[i];
    out << '\n';
  }
  out << "EOD\n"
      << "unset logscale y\nset format y '%g'\nunset arrow\nunset label\n"
      << "set key outside top center horizontal\n"
      << "set xrange [*:*] noextend\nset xlabel 'input'\nset ylabel 'output'\n"
      << "plot $samples with points pointtype 7 pointsize 0.3 linecolor '" << kSamples
      << "' title 'samples'";
  const std::size_t count = curve.predictions.size();
  if (count > 1) {
    out << ", \\\n  $predictions using 1:2 with lines linewidth 1 dashtype 2 linecolor '"
        << kValidation << "' title '1 grade'";
  }
  if (count > 0) {
    out << ", \\\n  $predictions using 1:" << count + 1 << " with lines linewidth 1.5 linecolor '"
        << kTrain << "' title '" << count << (count == 1 ? " grade'" : " grades'");
  }
  out << '\n';
}

std::string plot_script(const FitOutcome& outcome) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(9);
  const int panels = outcome.curve ? 2 : 1;
  out << "set terminal svg size " << 640 * panels
      << ",420 dynamic enhanced font 'Helvetica,13' background 'white'\n"
      << "set border 3 linecolor '#444444'\nset tics nomirror textcolor '#444444'\n"
      << "set grid ytics linecolor '#e6e6e6' linetype 1 linewidth 0.5\n"
      << "set tmargin 2.5\n";
  if (panels > 1) out << "set multiplot layout 1,2\n";
  write_error_panel(out, outcome);
  if (outcome.curve) write_curve_panel(out, *outcome.curve);
  if (panels > 1) out << "unset multiplot\n";
  return out.str();
}

}  // namespace

bool write_plot(const std::string& path, const FitOutcome& outcome, std::string& problem) {
  std::string picture;
  if (!run_gnuplot(plot_script(outcome), picture, problem)) return false;
  write_file(path, [&](std::ostream& out) { out << picture; });
  return true;
}

}  // namespace mgdl::command
