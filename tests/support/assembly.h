// tests/support/assembly.h: loops of x86-64 assembly, as text.

#ifndef RECURVE_TESTS_SUPPORT_ASSEMBLY_H_
#define RECURVE_TESTS_SUPPORT_ASSEMBLY_H_

#include <cstddef>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace recurve {

// The lines of every loop without a loop inside, in the function that begins at `label`.
inline std::vector<std::vector<std::string>> InnermostLoops(const std::string& assembly, const std::string& label) {
  std::istringstream lines(assembly);
  std::vector<std::string> body;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(label + ":")) inside = true;
    if (inside) body.push_back(line);
    if (inside && line.starts_with(".Lfunc_end")) break;
  }
  std::map<std::string, size_t> labels;
  std::vector<std::vector<std::string>> loops;
  const std::regex head(R"(^(\.LBB\d+_\d+):)"), jump(R"(^\s+j\w+\s+(\.LBB\d+_\d+))");
  size_t last_begin = 0;
  for (size_t i = 0; i < body.size(); ++i) {
    std::smatch match;
    if (std::regex_search(body[i], match, head)) labels[match[1]] = i;
    if (!std::regex_search(body[i], match, jump) || !labels.contains(match[1])) continue;
    const size_t begin = labels[match[1]];
    if (begin >= last_begin)
      loops.emplace_back(body.begin() + static_cast<ptrdiff_t>(begin), body.begin() + static_cast<ptrdiff_t>(i));
    last_begin = std::max(last_begin, begin + 1);
  }
  return loops;
}

// A vector stored to a fixed place on the stack. In the loops of kernels that keep no array there it is a register too
// few.
inline bool IsSpill(const std::string& line) {
  static const std::regex spill(R"(\bv?mov[aud]\w+\s+%[xyz]mm\d+, -?\d*\(%rsp\))");
  return std::regex_search(line, spill);
}

}  // namespace recurve

#endif  // RECURVE_TESTS_SUPPORT_ASSEMBLY_H_
