#pragma once

// Of MPI only what is in C.
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/parallel/launcher.hpp"

namespace mgdl {

/// The processes of an MPI program. Made by every one of them, once:
///
///     auto ranks = std::make_shared<mgdl::MpiCommunicator>();
///     mgdl::MultigradeOptions options{.ranks = ranks};
///
/// It starts MPI if nobody has, and ends it then. Errors of MPI end all processes, with its
/// message. So does whatever is thrown past this object: the others would wait for ever for a rank
/// that is gone.
class MpiCommunicator : public Communicator {
 public:
  /// \param processes  that are to share the work; those of a copy of it, so that messages of
  ///                   others do not mix with ours
  /// \throws InvalidArgument if MPI sees one process where the launcher has started several: this
  ///         program was built for another MPI than the launcher's, and each process would do all
  ///         of the work
  explicit MpiCommunicator(MPI_Comm processes = MPI_COMM_WORLD)
      : m_exceptions(std::uncaught_exceptions()) {
    int running = 0;
    MPI_Initialized(&running);
    m_started = running == 0;
    if (m_started) {
      int level = 0;
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
    }
    MPI_Comm_dup(processes, &m_processes);
    MPI_Comm_rank(m_processes, &m_rank);
    MPI_Comm_size(m_processes, &m_size);
    int world = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    const int launched = launched_processes();
    if (world > 1 || launched <= 1) return;
    end();
    throw InvalidArgument("MPI",
                          std::to_string(launched) + " processes, as the launcher has started",
                          "one: it is the launcher of another MPI");
  }

  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() > m_exceptions) abort(1);
    end();
  }

  int rank() const noexcept override { return m_rank; }
  int size() const noexcept override { return m_size; }

  /// Processes on the same machine.
  int size_of_machine() const {
    MPI_Comm machine = MPI_COMM_NULL;
    MPI_Comm_split_type(m_processes, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    int size = 1;
    MPI_Comm_size(machine, &size);
    MPI_Comm_free(&machine);
    return size;
  }

  /// Ends all processes with this exit code.
  [[noreturn]] void abort(int code) const {
    MPI_Abort(m_processes, code);
    std::terminate();
  }

 private:
  static constexpr int kTag = 0x6D67;

  void end() {
    int over = 0;  // by whoever has started it
    MPI_Finalized(&over);
    if (over != 0) return;
    MPI_Comm_free(&m_processes);
    if (m_started) MPI_Finalize();
  }

  /// As MPI counts.
  static int count_of(std::size_t bytes) {
    if (bytes <= static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      return static_cast<int>(bytes);
    }
    throw InvalidArgument("message between ranks", "at most 2^31 - 1 bytes", std::to_string(bytes));
  }

  static std::vector<int> counts_of(const std::vector<std::size_t>& counts) {
    std::vector<int> result;
    for (const std::size_t count : counts) result.push_back(count_of(count));
    count_of(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
    return result;
  }

  static std::vector<int> begins_of(const std::vector<int>& counts) {
    std::vector<int> begins(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), begins.begin(), 0);
    return begins;
  }

  void do_send(int to, std::span<const std::byte> bytes) override {
    MPI_Send(bytes.data(), count_of(bytes.size()), MPI_BYTE, to, kTag, m_processes);
  }

  void do_receive(int from, std::span<std::byte> bytes) override {
    MPI_Recv(bytes.data(), count_of(bytes.size()), MPI_BYTE, from, kTag, m_processes,
             MPI_STATUS_IGNORE);
  }

  void do_broadcast(int from, std::span<std::byte> bytes) override {
    MPI_Bcast(bytes.data(), count_of(bytes.size()), MPI_BYTE, from, m_processes);
  }

  void do_gather(std::span<std::byte> bytes, const std::vector<std::size_t>& counts) override {
    const std::vector<int> sizes = counts_of(counts);
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_BYTE, bytes.data(), sizes.data(), begins_of(sizes).data(),
                   MPI_BYTE, m_processes);
  }

  void do_exchange(std::span<const std::byte> bytes, const std::vector<std::size_t>& counts,
                   std::vector<std::byte>& in, std::vector<std::size_t>& in_counts) override {
    const std::vector<int> sizes = counts_of(counts);
    std::vector<int> in_sizes(sizes.size());
    MPI_Alltoall(sizes.data(), 1, MPI_INT, in_sizes.data(), 1, MPI_INT, m_processes);
    in_counts.assign(in_sizes.begin(), in_sizes.end());
    counts_of(in_counts);
    in.resize(std::accumulate(in_counts.begin(), in_counts.end(), std::size_t{0}));
    MPI_Alltoallv(bytes.data(), sizes.data(), begins_of(sizes).data(), MPI_BYTE, in.data(),
                  in_sizes.data(), begins_of(in_sizes).data(), MPI_BYTE, m_processes);
  }

  MPI_Comm m_processes = MPI_COMM_NULL;
  int m_exceptions;
  bool m_started = false;
  int m_rank = 0;
  int m_size = 1;
};

}  // namespace mgdl
