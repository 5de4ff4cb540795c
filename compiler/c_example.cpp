// compiler/c_example.cpp: buffers by the names of the slots, then one call after the other.

#include "compiler/c_example.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

#include "compiler/c_names.h"

namespace recurve {
namespace {

bool IsTensor(const Slot& slot) {
  switch (slot.kind) {
    case RECURVE_SLOT_INPUT:
    case RECURVE_SLOT_PARAMETER:
    case RECURVE_SLOT_CONSTANT:
    case RECURVE_SLOT_STATE:
    case RECURVE_SLOT_ADJOINT:
    case RECURVE_SLOT_OUTPUT: return true;
    case RECURVE_SLOT_EXTENT:
    case RECURVE_SLOT_PACKED:
    case RECURVE_SLOT_TAPE:
    case RECURVE_SLOT_WORKSPACE:
    case RECURVE_SLOT_TEAM: return false;
  }
  return false;
}

class ExamplePrinter {
 public:
  explicit ExamplePrinter(const ProgramInterface& program) : program_(program), c_(program), stream_(CStream::Of(c_)) {}

  std::string Print(const std::string& header) {
    Line("/* Runs {} on small numbers and prints what comes out.", c_.name);
    Line(" *\n *     cc {0}_example.c {0}.o -o {0}_example && ./{0}_example\n */\n", c_.name);
    Line("#include <stdio.h>\n#include <stdlib.h>\n\n#include \"{}\"\n", header);
    if (stream_.step != nullptr) {
      Stream();
    } else {
      Helpers();
      Main();
    }
    return std::move(text_);
  }

 private:
  template <typename... Values>
  void Line(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    text_ += '\n';
  }

  std::string_view TypeOf(const Slot& slot) const { return slot.is_index ? "int32_t" : c_.ElementType(); }

  // What an index may be, whatever it counts: the first class, and one step of a sequence.
  static int IndexOf(const Slot& slot) { return slot.classes == RECURVE_ANY_INDEX ? 1 : 0; }

  void Stream() {
    Line("static struct {}_stream stream;\n", c_.name);
    Line("int main(void) {{");
    std::string arguments;
    for (const std::vector<CMember>* members : {&stream_.inputs, &stream_.outputs}) {
      for (const CMember& member : *members) {
        const bool is_index = member.slot->is_index;
        Line("  {} {}[{}] = {{{}}};", TypeOf(*member.slot), member.identifier, ElementsOfOne(member.slot->shape),
             is_index ? fmt::to_string(IndexOf(*member.slot)) : "0");
        arguments += ", " + member.identifier;
      }
    }
    Line("  int t;\n  {}_stream_reset(&stream);\n  for (t = 0; t < 8; ++t) {{", c_.name);
    for (const CMember& input : stream_.inputs) {
      if (!input.slot->is_index) Line("    {}[0] = ({})t / 8;", input.identifier, c_.ElementType());
    }
    Line("    {}_stream_step(&stream{});", c_.name, arguments);
    for (const CMember& output : stream_.outputs)
      Line("    printf(\"step %d: {0}[0] = %g\\n\", t, (double){1}[0]);", output.identifier, output.identifier);
    Line("  }}\n  return 0;\n}}");
  }

  void Helpers() {
    Line("/* Memory for `bytes`, aligned to {}, never given back. */", RECURVE_ALIGNMENT);
    Line("static void *aligned(size_t bytes) {{");
    Line("  char *memory = (char *)malloc(bytes + {});", RECURVE_ALIGNMENT);
    Line("  if (memory == NULL) exit(2);");
    Line("  return memory + ({0} - (uintptr_t)memory % {0}) % {0};\n}}\n", RECURVE_ALIGNMENT);
    Line("static {0} *numbers(size_t count) {{\n  {0} *values = ({0} *)aligned(count * sizeof({0}));",
         c_.ElementType());
    Line("  size_t i;\n  for (i = 0; i < count; ++i) values[i] = ({})((int)(i % 7) - 3) / 8;\n  return values;\n}}\n",
         c_.ElementType());
    const bool has_index = std::ranges::any_of(program_.entries, [](const EntryInterface& entry) {
      return std::ranges::any_of(entry.slots, &Slot::is_index);
    });
    if (!has_index) return;
    Line("static int32_t *indices(size_t count, int32_t value) {{");
    Line("  int32_t *values = (int32_t *)aligned(count * sizeof(int32_t));");
    Line("  size_t i;\n  for (i = 0; i < count; ++i) values[i] = value;\n  return values;\n}}\n");
  }

  std::vector<const CEntry*> Entries() const {
    std::vector<const CEntry*> entries;
    for (const char* name : {"pack", "forward", "backward", "inference"}) {
      if (const CEntry* entry = c_.FindFirst({name})) entries.push_back(entry);
    }
    if (entries.size() > 1) return entries;
    if (const CEntry* step = c_.FindFirst({"step"})) entries.push_back(step);
    return entries;
  }

  void Main() {
    const std::vector<const CEntry*> entries = Entries();
    Line("int main(void) {{");
    for (const std::string& axis : c_.axes) Line("  const size_t {} = {};", axis, program_.only_one ? 1 : 3);
    if (program_.packed_bytes != 0) Line("  void *packed = aligned({}_PACKED_BYTES);", Upper(c_.name));
    const std::string sizes = fmt::format("{}", fmt::join(c_.axes, ", "));
    auto has = [&](recurve_slot_kind kind) {
      return std::ranges::any_of(entries, [&](const CEntry* entry) { return entry->Has(kind); });
    };
    if (has(RECURVE_SLOT_TAPE)) Line("  void *tape = aligned({}_tape_bytes({}));", c_.name, sizes);
    if (has(RECURVE_SLOT_WORKSPACE)) Line("  void *workspace = aligned({}_workspace_bytes({}));", c_.name, sizes);
    std::set<std::string> made;
    for (const CEntry* entry : entries) {
      for (const CMember& member : entry->members) {
        if (!IsTensor(*member.slot) || !made.insert(member.identifier).second) continue;
        const std::string count = CountOf(member.slot->shape);
        const std::string value = member.slot->is_index ? fmt::format("indices({}, {})", count, IndexOf(*member.slot))
                                                        : fmt::format("numbers({})", count);
        Line("  {} *tensor_{} = {};", TypeOf(*member.slot), member.identifier, value);
      }
    }
    for (const CEntry* entry : entries) Line("  struct {}_args {}_args;", entry->symbol, entry->identifier);
    const bool has_parameters = !ParametersOf(program_).empty();
    if (has_parameters) Line("  int p;");
    for (const std::string& axis : c_.axes) Line("  (void){};", axis);
    if (has_parameters) {
      Line("\n  for (p = 0; p < {}_INFO_COUNT; ++p)", Upper(c_.name));
      Line("    printf(\"parameter %s of rank %d\\n\", {0}[p].name, (int){0}[p].rank);", InfoSymbol(program_));
    }
    for (const CEntry* entry : entries) Call(*entry);
    Line("  return 0;\n}}");
  }

  // "T * B * 4"
  std::string CountOf(const ir::Shape& shape) const {
    if (shape.empty()) return "1";
    std::string text;
    for (const ir::Dim& dim : shape) {
      if (!text.empty()) text += " * ";
      text += dim.is_constant() ? fmt::to_string(dim.extent) : c_.AxisIdentifier(dim.axis);
    }
    return text;
  }

  void Call(const CEntry& entry) {
    Line("");
    for (const CMember& member : entry.members)
      Line("  {}_args.{} = {};", entry.identifier, member.identifier, ValueOf(member));
    Line("  {}(&{}_args);", entry.symbol, entry.identifier);
    for (const CMember& member : entry.members) {
      if (member.slot->kind == RECURVE_SLOT_OUTPUT)
        Line("  printf(\"{0}: {1}[0] = %g\\n\", (double)tensor_{1}[0]);", entry.identifier, member.identifier);
    }
  }

  std::string ValueOf(const CMember& member) const {
    switch (member.slot->kind) {
      case RECURVE_SLOT_EXTENT: return c_.AxisIdentifier(member.slot->name);
      case RECURVE_SLOT_PACKED: return "packed";
      case RECURVE_SLOT_TAPE: return "tape";
      case RECURVE_SLOT_WORKSPACE: return "workspace";
      case RECURVE_SLOT_TEAM: return "NULL";
      case RECURVE_SLOT_INPUT:
      case RECURVE_SLOT_PARAMETER:
      case RECURVE_SLOT_CONSTANT:
      case RECURVE_SLOT_STATE:
      case RECURVE_SLOT_ADJOINT:
      case RECURVE_SLOT_OUTPUT: break;
    }
    return "tensor_" + member.identifier;
  }

  const ProgramInterface& program_;
  const CProgram c_;
  const CStream stream_;
  std::string text_;
};

}  // namespace

std::string CExample(const ProgramInterface& program, const std::string& header) {
  return ExamplePrinter(program).Print(header);
}

}  // namespace recurve
