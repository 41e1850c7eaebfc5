#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/io/csv/survey.hpp"

namespace mgdl::detail {

/// What the first two records are.
enum class CsvFirst {
  Data,
  Names,
  NamesAndUnits,
  Unclear  ///< names or data: nothing in the file says which
};

/// Tells names from data by looking at whole columns: a name is text above numbers. A first record
/// of numbers may be names, too, as pandas and R write them; what cannot be told is Unclear.
template <class Scalar>
class CsvHeaderJudge {
 public:
  /// \param known  names that the file is expected to have; may be empty
  CsvHeaderJudge(const CsvSurvey<Scalar>& survey, const std::vector<std::string>& known)
      : m_survey(survey), m_known(known) {}

  /// Whether the second record, below names, holds units: text above all columns of numbers.
  bool has_units() const {
    if (m_survey.first.size() < 2 || m_survey.rows < 3) return false;
    bool any = false;
    for (Index j = 0; j < m_survey.cols; ++j) {
      const CsvColumn& column = m_survey.columns[static_cast<std::size_t>(j)];
      if (column.numbers == 0 || column.texts > 0) continue;
      const CsvKind kind = field(1, j).kind;
      if (kind != CsvKind::Text && kind != CsvKind::Missing) return false;
      any = any || (kind == CsvKind::Text && !is_broken_number(field(1, j).text));
    }
    return any;
  }

  CsvFirst judge() const {
    if (has_known_names()) return has_units() ? CsvFirst::NamesAndUnits : CsvFirst::Names;
    if (m_survey.first.size() < 2) return first_has_text() ? CsvFirst::Names : CsvFirst::Data;
    if (has_units() && has_name_above_number(/*below_second=*/true)) {
      return CsvFirst::NamesAndUnits;
    }
    const bool numbers = has_kind(CsvKind::Number) || has_kind(CsvKind::CommaNumber);
    if (has_name_above_number(/*below_second=*/false)) {
      return !numbers || has_whole_numbers() ? CsvFirst::Names : CsvFirst::Unclear;
    }
    if (is_quoted_alone()) return CsvFirst::Names;
    if (!numbers) return has_kind(CsvKind::Text) ? without_numbers() : CsvFirst::Data;
    if (has_column_numbers_alone()) return CsvFirst::Names;
    return may_be_names() ? CsvFirst::Unclear : CsvFirst::Data;
  }

 private:
  using Field = CsvRecord::Field;

  /// Missing where the record is too short, which the first one may be.
  const Field& field(std::size_t record, Index j) const {
    static const Field none{{}, false, CsvKind::Missing};
    // A first record that is short of a field is so at its start or its end, see CsvSurveyor; which
    // of the two hardly matters here.
    const auto& fields = m_survey.first[record].fields;
    return j < std::ssize(fields) ? fields[static_cast<std::size_t>(j)] : none;
  }

  bool has_known_names() const {
    return !m_known.empty() && std::ranges::all_of(m_known, [&](const std::string& name) {
      return std::ranges::count(m_survey.first[0].fields, name, &Field::text) > 0;
    });
  }

  bool has_kind(CsvKind kind) const {
    return std::ranges::count(m_survey.first[0].fields, kind, &Field::kind) > 0;
  }
  bool first_has_text() const { return has_kind(CsvKind::Text); }

  /// Numbers in column j, without the first record, and perhaps without the second.
  Index numbers_below(Index j, bool below_second) const {
    const CsvKind second = field(1, j).kind;
    const bool number = second == CsvKind::Number || second == CsvKind::CommaNumber;
    return m_survey.columns[static_cast<std::size_t>(j)].numbers +
           (number && !below_second ? 1 : 0);
  }
  bool has_name_above_number(bool below_second) const {
    for (Index j = 0; j < m_survey.cols; ++j) {
      if (field(0, j).kind == CsvKind::Text && numbers_below(j, below_second) > 0) return true;
    }
    return false;
  }

  /// Whether all numbers of the first record are different and whole, as in names.
  bool has_whole_numbers() const {
    std::vector<std::string> seen;
    for (const Field& cell : m_survey.first[0].fields) {
      if (cell.kind != CsvKind::Number) continue;
      if (!looks_whole(cell.text) || std::ranges::count(seen, cell.text) > 0) return false;
      seen.push_back(cell.text);
    }
    return !has_kind(CsvKind::CommaNumber);
  }

  /// Whether all of the first record is in quotes, and no number below.
  bool is_quoted_alone() const {
    const auto& fields = m_survey.first[0].fields;
    bool numbers = false;
    for (Index j = 0; j < std::ssize(fields); ++j) {
      if (!field(0, j).quoted) return false;
      if (numbers_below(j, false) == 0) continue;
      numbers = true;
      if (field(1, j).quoted || m_survey.columns[static_cast<std::size_t>(j)].quoted > 0) {
        return false;
      }
    }
    return numbers;
  }

  /// Texts, and not one of them above a number.
  CsvFirst without_numbers() const {
    for (Index j = 0; j < m_survey.cols; ++j) {
      if (numbers_below(j, false) > 0) return CsvFirst::Unclear;
    }
    return CsvFirst::Names;  // no column has numbers, which will be said
  }

  /// The numbers of the columns, from 0, above numbers of which none is whole: the names that
  /// pandas gives to columns that have none. Two of them could be data: f(0) = 1.
  bool has_column_numbers_alone() const {
    const auto& fields = m_survey.first[0].fields;
    if (std::ssize(fields) < 3) return false;
    for (Index j = 0; j < std::ssize(fields); ++j) {
      if (field(0, j).text != std::to_string(j) || any_whole_below(j)) return false;
    }
    return true;
  }
  bool any_whole_below(Index j) const {
    return looks_whole(field(1, j).text) ||
           m_survey.columns[static_cast<std::size_t>(j)].wholes > 0;
  }

  /// Whether numbers could be names: evenly spaced, as years and wavelengths are, or whole and
  /// unlike all that is below.
  bool may_be_names() const {
    std::vector<double> first, second;
    bool whole = true, alike = false, fractions = true;
    for (Index j = 0; j < m_survey.cols; ++j) {
      const Field& cell = field(0, j);
      if (cell.kind == CsvKind::Missing) return false;
      if (cell.kind == CsvKind::Text) continue;
      first.push_back(static_cast<double>(m_survey.values(0, j)));
      second.push_back(static_cast<double>(m_survey.values(1, j)));
      whole = whole && looks_whole(cell.text);
      alike = alike || is_within_column(j);
      fractions = fractions && !any_whole_below(j);
    }
    if (first.size() == 1) return m_survey.cols == 1 && first[0] == 0 && whole && !alike;
    const std::optional<double> step = even_step(first);
    if (step && (first.size() > 2 || (whole && std::abs(*step) == 1))) {
      return even_step(second) != step;
    }
    if (!whole || !has_whole_numbers()) return false;
    return (fractions && m_survey.rows > 2) || (!alike && m_survey.rows > 3);
  }

  /// Whether the first number of a column lies between its others, and is written like them.
  bool is_within_column(Index j) const {
    if (looks_whole(field(0, j).text) && !any_whole_below(j)) return false;
    const CsvOrder<Scalar>& order = m_survey.order[static_cast<std::size_t>(j)];
    return order.any_above && order.any_below;
  }

  static std::optional<double> even_step(const std::vector<double>& values) {
    if (values.size() < 2) return {};
    const double step = values[1] - values[0];
    if (!(step != 0)) return {};
    for (std::size_t i = 1; i < values.size(); ++i) {
      const double off = values[i] - values[i - 1] - step;
      if (!(std::abs(off) <= 1e-9 * std::abs(values[i]))) return {};
    }
    return step;
  }

  const CsvSurvey<Scalar>& m_survey;
  const std::vector<std::string>& m_known;
};

}  // namespace mgdl::detail
