#include "mgdl/convex/recovery_impl.hpp"

template mgdl::ReluNetwork<float> mgdl::to_network(const ReluSolution&, bool);
template mgdl::ReluNetwork<double> mgdl::to_network(const ReluSolution&, bool);
template mgdl::ReluSolution mgdl::to_solution(const ReluNetwork<float>&, const NetworkProblem&);
template mgdl::ReluSolution mgdl::to_solution(const ReluNetwork<double>&, const NetworkProblem&);
