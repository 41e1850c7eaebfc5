#include "mgdl/training/verify_model_impl.hpp"

namespace mgdl::detail {

template ModelVerification verify_claims(const MultigradeModel<float>&, const DataSplit<float>&,
                                         const std::vector<GradeClaim>&, int);
template ModelVerification verify_claims(const MultigradeModel<double>&, const DataSplit<double>&,
                                         const std::vector<GradeClaim>&, int);

}  // namespace mgdl::detail
