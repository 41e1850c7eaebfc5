#pragma once

#include <memory>
#include <string>

#include "mgdl/core/communicator.hpp"

/// \file
/// Several processes that a launcher (mpirun) has started as one command.

namespace mgdl::command {

/// Joins the other processes, if a launcher has started several.
/// \throws InvalidArgument if they cannot be joined: without MPI in this command, say
void join_ranks();

/// Leaves them, when all is done.
void leave_ranks();

/// Those that share the work; null: this process is alone.
const std::shared_ptr<Communicator>& ranks();

/// Whether this process prints and writes files: the first one does.
bool speaks();

/// To be called before a failure is told: waits a moment on ranks that do not speak, so that what
/// goes wrong on all of them is told once.
/// \return which rank it is, to be told with it
std::string wait_to_fail();

/// Ends all ranks after a failure on this one. Returns where there are no others.
void end_ranks(int exit_code);

/// Threads for a rank, where none were asked for: its part of the machine's.
int threads_of_rank();

}  // namespace mgdl::command
