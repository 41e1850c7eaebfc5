#include "interrupt.hpp"

#include <csignal>
#include <initializer_list>

namespace mgdl::command {
namespace {

volatile std::sig_atomic_t caught = 0;

extern "C" void note_interrupt(int signal) {
  if (caught != 0) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);  // takes effect when this handler returns
  }
  caught = 1;
}

}  // namespace

void catch_interrupts() {
  for (const int signal : {SIGINT, SIGTERM}) {
    if (std::signal(signal, note_interrupt) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

bool interrupted() noexcept { return caught != 0; }

}  // namespace mgdl::command
