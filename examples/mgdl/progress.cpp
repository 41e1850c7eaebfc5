#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "files.hpp"

namespace mgdl::command {
namespace {

constexpr double kBarInterval = 0.1;     // seconds
constexpr double kLongestSilence = 300;  // seconds between lines

template <class... Values>
std::string format(const char* text, Values... values) {
  char buffer[160];
  std::snprintf(buffer, sizeof(buffer), text, values...);
  return buffer;
}

bool is_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && !(term != nullptr && std::string(term) == "dumb");
}

std::size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

std::string rate_text(double samples_per_second) {
  if (samples_per_second >= 1e6) return format("%.2fM samples/s", samples_per_second / 1e6);
  if (samples_per_second >= 1e3) return format("%.0fk samples/s", samples_per_second / 1e3);
  return format("%.0f samples/s", samples_per_second);
}

std::string time_text(double seconds) {
  const auto s = static_cast<long>(std::min(std::ceil(seconds), 1e9));
  return s < 3600 ? format("%ld:%02ld", s / 60, s % 60)
                  : format("%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

/// Part of all grades that is done, taking them to be of equal size.
double done_part(const Progress& progress) {
  if (progress.max_grades == 0) return 0;
  const double grade =
      progress.max_iterations == 0
          ? 0
          : static_cast<double>(progress.iteration) / static_cast<double>(progress.max_iterations);
  // A trainer of several trainers, or one with a wrong idea of its work, may say more than all.
  return std::min(1.0, (static_cast<double>(progress.grade - 1) + grade) /
                           static_cast<double>(progress.max_grades));
}

std::string grade_text(const Progress& progress) {
  return format("grade %ld/%ld", static_cast<long>(progress.grade),
                static_cast<long>(progress.max_grades));
}

}  // namespace

ProgressDisplay::ProgressDisplay(bool quiet, double time_limit_seconds)
    : m_quiet(quiet), m_terminal(is_terminal()), m_time_limit(time_limit_seconds) {}

ProgressDisplay::~ProgressDisplay() { note(""); }

void ProgressDisplay::note(const std::string& text) {
  if (m_quiet) return;
  if (m_bar_shown) std::cerr << "\r\033[K";
  m_bar_shown = false;
  if (!text.empty()) std::cerr << one_line(text) << '\n';
  std::cerr.flush();
}

void ProgressDisplay::show(const Progress& progress) {
  if (m_quiet) return;
  if (progress.event == Progress::Event::Iteration) return show_iteration(progress);
  std::string text = grade_text(progress) + format(": train RSE %.3e", progress.objective);
  if (!std::isnan(progress.validation))
    text += format(", validation RSE %.3e", progress.validation);
  note(text + format(", %ld iterations, %.1f s in all", static_cast<long>(progress.iteration),
                     progress.elapsed_seconds));
}

void ProgressDisplay::show(const std::string& status, double elapsed_seconds) {
  if (m_quiet || !is_due(elapsed_seconds)) return;
  if (!m_terminal) return note(status);
  replace_line(status.substr(0, terminal_width() - 1));
}

bool ProgressDisplay::is_due(double elapsed_seconds) {
  if (elapsed_seconds < m_next_seconds && !(m_terminal && !m_bar_shown)) return false;
  m_next_seconds =
      elapsed_seconds + (m_terminal ? kBarInterval : std::min(elapsed_seconds, kLongestSilence));
  return true;
}

void ProgressDisplay::show_iteration(const Progress& progress) {
  const double elapsed = progress.elapsed_seconds;
  if (!is_due(elapsed)) return;
  const double done = done_part(progress);
  double left = done > 0 ? elapsed / done - elapsed : m_time_limit;
  left = std::min(left, std::max(0.0, m_time_limit - elapsed));
  std::string status = std::isnan(progress.objective)
                           ? format("iteration %ld", static_cast<long>(progress.iteration))
                           : format("%.2e of the residual", progress.objective);
  if (progress.samples_per_second > 0) status += ", " + rate_text(progress.samples_per_second);
  if (std::isfinite(left)) status += ", " + time_text(left) + " left";
  if (m_terminal) return show_bar(progress, status);
  note(grade_text(progress) + format(": %3.0f%%, ", 100 * done) + status);
}

void ProgressDisplay::show_bar(const Progress& progress, const std::string& status) {
  const double done = done_part(progress);
  const std::string head = grade_text(progress) + " ";
  const std::string tail = format(" %3.0f%%  ", 100 * done) + status;
  const std::size_t width = terminal_width() - 1;  // the last column would wrap
  const std::size_t text = head.size() + tail.size() + 2;
  const std::size_t length = width > text + 4 ? std::min<std::size_t>(width - text, 40) : 0;
  std::string line = head;
  if (length > 0) {
    const auto full = static_cast<std::size_t>(std::lround(done * static_cast<double>(length)));
    line += "[" + std::string(full, '#') + std::string(length - full, '.') + "]";
  }
  replace_line((line + tail).substr(0, width));
}

void ProgressDisplay::replace_line(const std::string& line) {
  std::cerr << '\r' << line << "\033[K" << std::flush;
  m_bar_shown = true;
}

}  // namespace mgdl::command
