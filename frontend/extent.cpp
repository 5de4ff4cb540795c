// frontend/extent.cpp: polynomial arithmetic in canonical form.

#include "frontend/extent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <numeric>

namespace recurve::frontend {
namespace {

constexpr int64_t kLargestCoefficient = int64_t{1} << 40;
constexpr size_t kMostTerms = 32;
constexpr size_t kHighestDegree = 8;

std::optional<int64_t> Multiply(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

// "H*H*W"
std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "*") + name;
  return text;
}

}  // namespace

Extent::Extent(int64_t constant) {
  if (constant != 0) terms_[{}] = {constant, 1};
}

Extent::Extent(const std::string& name) { terms_[{name}] = {1, 1}; }

std::optional<int64_t> Extent::constant() const {
  if (terms_.empty()) return 0;
  const auto& [names, ratio] = *terms_.begin();
  if (terms_.size() > 1 || !names.empty() || ratio.denominator != 1) return std::nullopt;
  return ratio.numerator;
}

std::string Extent::Text() const {
  std::string text;
  auto append = [&](const std::vector<std::string>& names, const Ratio& ratio) {
    int64_t magnitude = std::abs(ratio.numerator);
    if (ratio.numerator < 0) {
      text += "-";
    } else if (!text.empty()) {
      text += "+";
    }
    if (names.empty()) {
      text += fmt::format("{}", magnitude);
    } else {
      text += magnitude == 1 ? Join(names) : fmt::format("{}*{}", magnitude, Join(names));
    }
    if (ratio.denominator != 1) text += fmt::format("/{}", ratio.denominator);
  };
  // A number on its own comes last: `H+1`.
  for (const auto& [names, ratio] : terms_) {
    if (!names.empty()) append(names, ratio);
  }
  for (const auto& [names, ratio] : terms_) {
    if (names.empty()) append(names, ratio);
  }
  return text.empty() ? "0" : text;
}

std::expected<int64_t, std::string> Extent::Evaluate(const Extents& numbers) const {
  auto too_large = [&] { return std::unexpected(fmt::format("`{}` is too large", Text())); };
  Ratio sum;
  for (const auto& [names, ratio] : terms_) {
    int64_t numerator = ratio.numerator;
    for (const std::string& name : names) {
      auto found = numbers.find(name);
      if (found == numbers.end()) return std::unexpected(fmt::format("`{}` has no number", name));
      std::optional<int64_t> product = Multiply(numerator, found->second);
      if (!product) return too_large();
      numerator = *product;
    }
    std::optional<int64_t> left = Multiply(sum.numerator, ratio.denominator);
    std::optional<int64_t> right = Multiply(numerator, sum.denominator);
    std::optional<int64_t> denominator = Multiply(sum.denominator, ratio.denominator);
    int64_t total;
    if (!left || !right || !denominator || __builtin_add_overflow(*left, *right, &total)) return too_large();
    int64_t divisor = std::max<int64_t>(std::gcd(total, *denominator), 1);
    sum = {total / divisor, *denominator / divisor};
  }
  if (sum.denominator != 1) {
    std::vector<std::string> used;
    for (const auto& [names, ratio] : terms_) used.insert(used.end(), names.begin(), names.end());
    std::ranges::sort(used);
    used.erase(std::ranges::unique(used).begin(), used.end());
    std::string where;
    for (const std::string& name : used) {
      where += fmt::format("{}`{}` is {}", where.empty() ? "" : " and ", name, numbers.find(name)->second);
    }
    return std::unexpected(
        fmt::format("`{}` is not a whole number{}{}", Text(), where.empty() ? "" : " where ", where));
  }
  return sum.numerator;
}

std::optional<Extent::Ratio> Extent::Reduce(int64_t numerator, int64_t denominator) {
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  int64_t divisor = std::max<int64_t>(std::gcd(numerator, denominator), 1);
  Ratio ratio{numerator / divisor, denominator / divisor};
  if (std::abs(ratio.numerator) > kLargestCoefficient || ratio.denominator > kLargestCoefficient) return std::nullopt;
  return ratio;
}

bool Extent::Add(const std::vector<std::string>& names, Ratio ratio) {
  if (names.size() > kHighestDegree) return false;
  auto [at, inserted] = terms_.try_emplace(names, Ratio{0, 1});
  Ratio& sum = at->second;
  std::optional<int64_t> left = Multiply(sum.numerator, ratio.denominator);
  std::optional<int64_t> right = Multiply(ratio.numerator, sum.denominator);
  std::optional<int64_t> denominator = Multiply(sum.denominator, ratio.denominator);
  int64_t numerator;
  if (!left || !right || !denominator || __builtin_add_overflow(*left, *right, &numerator)) return false;
  if (numerator == INT64_MIN) return false;
  std::optional<Ratio> reduced = Reduce(numerator, *denominator);
  if (!reduced) return false;
  if (reduced->numerator == 0) {
    terms_.erase(at);
  } else {
    sum = *reduced;
  }
  return terms_.size() <= kMostTerms;
}

std::optional<Extent> Sum(const Extent& a, const Extent& b) {
  Extent result = a;
  for (const auto& [names, ratio] : b.terms_) {
    if (!result.Add(names, ratio)) return std::nullopt;
  }
  return result;
}

std::optional<Extent> Difference(const Extent& a, const Extent& b) {
  std::optional<Extent> negated = Product(Extent(-1), b);
  return negated ? Sum(a, *negated) : std::nullopt;
}

std::optional<Extent> Product(const Extent& a, const Extent& b) {
  Extent result;
  for (const auto& [a_names, a_ratio] : a.terms_) {
    for (const auto& [b_names, b_ratio] : b.terms_) {
      std::vector<std::string> names;
      std::ranges::merge(a_names, b_names, std::back_inserter(names));
      std::optional<int64_t> numerator = Multiply(a_ratio.numerator, b_ratio.numerator);
      std::optional<int64_t> denominator = Multiply(a_ratio.denominator, b_ratio.denominator);
      if (!numerator || !denominator || *numerator == INT64_MIN) return std::nullopt;
      std::optional<Extent::Ratio> ratio = Extent::Reduce(*numerator, *denominator);
      if (!ratio || !result.Add(names, *ratio)) return std::nullopt;
    }
  }
  return result;
}

std::optional<Extent> Quotient(const Extent& a, const Extent& b) {
  // A polynomial divisor of several terms divides only itself here; one term divides every term it is a factor of.
  if (!b.terms_.empty() && a == b) return Extent(1);
  if (b.terms_.size() != 1) return std::nullopt;
  const auto& [b_names, b_ratio] = *b.terms_.begin();
  Extent result;
  for (const auto& [a_names, a_ratio] : a.terms_) {
    if (!std::ranges::includes(a_names, b_names)) return std::nullopt;
    std::vector<std::string> names;
    std::ranges::set_difference(a_names, b_names, std::back_inserter(names));
    std::optional<int64_t> numerator = Multiply(a_ratio.numerator, b_ratio.denominator);
    std::optional<int64_t> denominator = Multiply(a_ratio.denominator, b_ratio.numerator);
    if (!numerator || !denominator || *numerator == INT64_MIN || *denominator == INT64_MIN) return std::nullopt;
    std::optional<Extent::Ratio> ratio = Extent::Reduce(*numerator, *denominator);
    if (!ratio || !result.Add(names, *ratio)) return std::nullopt;
  }
  return result;
}

}  // namespace recurve::frontend
