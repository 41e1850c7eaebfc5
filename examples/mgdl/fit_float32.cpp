#include "fit_outcome_impl.hpp"

template mgdl::command::FitOutcome mgdl::command::fit<float>(const FitOptions&,
                                                             const nlohmann::ordered_json&);
