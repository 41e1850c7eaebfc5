#include "mgdl/network/multigrade_model_impl.hpp"
#include "mgdl/network/relu_network_impl.hpp"

template class mgdl::ReluNetwork<float>;
template class mgdl::ReluNetwork<double>;
template class mgdl::Predictor<float>;
template class mgdl::Predictor<double>;
template class mgdl::MultigradeModel<float>;
template class mgdl::MultigradeModel<double>;
