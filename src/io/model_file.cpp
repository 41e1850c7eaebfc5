#include "mgdl/io/model_file_impl.hpp"

namespace mgdl {

template void save_model(std::ostream&, const MultigradeModel<float>&, const FitSummary*);
template void save_model(std::ostream&, const MultigradeModel<double>&, const FitSummary*);
template void save_model(const std::filesystem::path&, const MultigradeModel<float>&,
                         const FitSummary*);
template void save_model(const std::filesystem::path&, const MultigradeModel<double>&,
                         const FitSummary*);
template std::vector<std::byte> save_model(const MultigradeModel<float>&, const FitSummary*);
template std::vector<std::byte> save_model(const MultigradeModel<double>&, const FitSummary*);

}  // namespace mgdl
