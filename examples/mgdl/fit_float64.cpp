#include "fit_outcome_impl.hpp"

template mgdl::command::FitOutcome mgdl::command::fit<double>(const FitOptions&,
                                                              const nlohmann::ordered_json&);
