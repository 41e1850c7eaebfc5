#pragma once

namespace mgdl::command {

/// From now on the first Ctrl-C (SIGINT) or SIGTERM is only noted, and the second one kills.
/// Signals that are ignored, as behind nohup, stay so.
void catch_interrupts();

/// Whether the first one has come.
bool interrupted() noexcept;

}  // namespace mgdl::command
