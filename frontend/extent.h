// frontend/extent.h: the size of one axis before any number is known.
//
// An extent is a polynomial over the names of the program's extents with rational coefficients, in one canonical form,
// so that `H + I` equals `I + H` and `4*H/2` equals `2*H`. Division by a number is always possible here; that `H/2` is
// whole is checked when numbers are given. Division by a name must be exact.
//
//   Extent gates = *Product(Extent(4), Extent("H"));      gates.Text() == "4*H"
//   std::expected<int64_t, std::string> n = gates.Evaluate({{"H", 8}});   // 32
//
// Arithmetic yields nothing when a coefficient leaves 2^40 or the polynomial has more than 32 terms: no real program
// comes near, and so no input can make the checker slow or overflow.

#ifndef RECURVE_FRONTEND_EXTENT_H_
#define RECURVE_FRONTEND_EXTENT_H_

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace recurve::frontend {

// A number for each named extent.
using Extents = std::map<std::string, int64_t, std::less<>>;

class Extent {
 public:
  Extent() = default;  // zero
  explicit Extent(int64_t constant);
  explicit Extent(const std::string& name);

  bool operator==(const Extent&) const = default;
  // The number, if the extent is one.
  std::optional<int64_t> constant() const;
  // As a person writes it: "4*H", "H+I", "H/2".
  std::string Text() const;
  // Its value, or why it has none: "`H/2` is not a whole number where `H` is 5".
  std::expected<int64_t, std::string> Evaluate(const Extents& numbers) const;

  friend std::optional<Extent> Sum(const Extent& a, const Extent& b);
  friend std::optional<Extent> Product(const Extent& a, const Extent& b);
  friend std::optional<Extent> Quotient(const Extent& a, const Extent& b);

 private:
  // A coefficient: numerator / denominator in lowest terms, denominator positive.
  struct Ratio {
    int64_t numerator = 0;
    int64_t denominator = 1;
    bool operator==(const Ratio&) const = default;
  };
  static std::optional<Ratio> Reduce(int64_t numerator, int64_t denominator);
  // Adds `ratio` times the product of the names to the polynomial; false when a limit is passed.
  bool Add(const std::vector<std::string>& names, Ratio ratio);

  std::map<std::vector<std::string>, Ratio> terms_;  // sorted names, one per factor; no zero coefficients
};

std::optional<Extent> Sum(const Extent& a, const Extent& b);
std::optional<Extent> Difference(const Extent& a, const Extent& b);
std::optional<Extent> Product(const Extent& a, const Extent& b);
// Empty also when `b` is zero or does not divide `a`.
std::optional<Extent> Quotient(const Extent& a, const Extent& b);

}  // namespace recurve::frontend

#endif  // RECURVE_FRONTEND_EXTENT_H_
