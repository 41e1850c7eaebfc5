#include <iostream>
#include <string>

#include "mgdl/mgdl.hpp"

int main() {
  const mgdl::Matrix<double> x = mgdl::Matrix<double>::Constant(3, 2, 1.5);
  try {
    throw mgdl::InvalidArgument("X", "at least 4 rows", std::to_string(x.rows()));
  } catch (const std::exception& error) {
    std::cout << "mgdl " << mgdl::version() << ": " << error.what() << '\n';
  }
  return is_usable(mgdl::Termination::ToleranceReached) && x.sum() == 9 ? 0 : 1;
}
