#include "mgdl/parallel/mpi.hpp"

int main() {
  const mgdl::MpiCommunicator ranks;  // of a program that no launcher has started
  return ranks.size() == 1 && ranks.rank() == 0 ? 0 : 1;
}
