#include "mgdl/io/model_file_impl.hpp"
