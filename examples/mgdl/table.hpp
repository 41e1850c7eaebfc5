#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace mgdl::command {

/// Prints rows of text as columns: the first row is the head, the last column is left-aligned, the
/// others are right-aligned. Columns that hold nothing but "-" are left out.
void print_table(std::ostream& out, std::vector<std::vector<std::string>> rows);

/// "1.234e-05", or "-" if `value` is not known.
std::string error_text(double value);
/// With the given number of decimals, or "-" if `value` is not known.
std::string fixed_text(double value, int decimals);

}  // namespace mgdl::command
