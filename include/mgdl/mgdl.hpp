#pragma once

/// \file
/// All of mgdl that needs nothing but Eigen. Files are read and written by the headers in mgdl/io,
/// which are included one by one.

/// \namespace mgdl
/// Multigrade ReLU networks on Eigen.

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/compiled.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/split_source.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/fixed_model.hpp"
#include "mgdl/network/model_average.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/network/piecewise_linear.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/approximate_lipschitz.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient_options.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "mgdl/version.hpp"
