#pragma once

#include <limits>
#include <string>

#include "mgdl/core/observer.hpp"

namespace mgdl::command {

/// Shows on the standard error stream how long work gets on: a bar on a terminal; elsewhere a line
/// for each grade, and some in between that become rare as time goes on.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(bool quiet,
                           double time_limit_seconds = std::numeric_limits<double>::infinity());
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  ~ProgressDisplay();

  void show(const Progress& progress);
  /// The same for work that is not made of grades: a line that says where it stands, replaced by
  /// the next one on a terminal.
  void show(const std::string& status, double elapsed_seconds);
  /// One line of its own.
  void note(const std::string& text);

 private:
  /// Whether enough time has gone by since something was shown.
  bool is_due(double elapsed_seconds);
  void show_iteration(const Progress& progress);
  void show_bar(const Progress& progress, const std::string& status);
  void replace_line(const std::string& line);

  bool m_quiet;
  bool m_terminal;
  bool m_bar_shown = false;
  double m_time_limit;
  double m_next_seconds = 1;  ///< when an iteration is shown next
};

}  // namespace mgdl::command
