#include "mgdl/network/relu_network_impl.hpp"
#include "mgdl/network/multigrade_model_impl.hpp"
