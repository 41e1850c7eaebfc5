#pragma once

namespace mgdl::command {

/// From now on the first Ctrl-C (SIGINT) or SIGTERM is only noted, and the second one kills. That
/// the terminal has gone (SIGHUP), or who reads the output (SIGPIPE), is noted however often it is
/// said. Signals that are ignored, as behind nohup, stay so.
void catch_interrupts();

/// Whether one of them has come.
bool interrupted() noexcept;

/// Whether nobody reads the output any more.
bool reader_has_gone() noexcept;

}  // namespace mgdl::command
