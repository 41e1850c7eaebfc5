#include "mgdl/core/dataset.hpp"

int main() {
  const mgdl::Dataset data(Eigen::MatrixXd::Ones(3, 2), Eigen::MatrixXd::Ones(3, 1));
  return data.size() == 3 ? 0 : 1;
}
