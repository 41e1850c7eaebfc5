#include "interrupt.hpp"

#include <csignal>
#include <initializer_list>

namespace mgdl::command {
namespace {

volatile std::sig_atomic_t caught = 0;

volatile std::sig_atomic_t pipe_broken = 0;

extern "C" void note_interrupt(int signal) {
  if (caught != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);  // takes effect when this handler returns
  }
  caught = 1;
}

/// A terminal that goes says so more than once, and every line for a reader that has gone, too.
extern "C" void note_end_of_reader(int signal) {
  if (signal == SIGPIPE) pipe_broken = 1;
  caught = 1;
}

}  // namespace

void catch_interrupts() {
  const auto note = [](int signal, void (*handler)(int)) {
    if (std::signal(signal, handler) == SIG_IGN) std::signal(signal, SIG_IGN);
  };
  for (const int signal : {SIGINT, SIGTERM}) note(signal, note_interrupt);
  for (const int signal : {SIGHUP, SIGPIPE}) note(signal, note_end_of_reader);
}

bool interrupted() noexcept { return caught != 0; }
bool reader_has_gone() noexcept { return pipe_broken != 0; }

}  // namespace mgdl::command
