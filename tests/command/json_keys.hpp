#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace mgdl::test {

/// The keys of an object, in its order.
inline std::vector<std::string> keys_of(const nlohmann::ordered_json& json) {
  std::vector<std::string> keys;
  for (const auto& item : json.items()) keys.push_back(item.key());
  return keys;
}

}  // namespace mgdl::test
