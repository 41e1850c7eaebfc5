#include <sstream>

#include "mgdl/io/model_file.hpp"

int main() {
  const mgdl::MultigradeModel<double> model(mgdl::Standardizer<double>::identity(2),
                                            mgdl::Standardizer<double>::identity(1));
  std::stringstream file;
  mgdl::save_model(file, model);
  return mgdl::load_model<double>(file).model == model ? 0 : 1;
}
