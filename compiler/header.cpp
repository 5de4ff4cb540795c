// compiler/header.cpp: prints a ProgramInterface as C, from top to bottom of the file.

#include "compiler/header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <ranges>
#include <string_view>
#include <vector>

#include "compiler/c_names.h"

namespace recurve {
namespace {

// Text that may stand inside a comment, whatever it holds.
std::string InComment(std::string_view text) {
  std::string result;
  for (char c : text) {
    bool closes = !result.empty() && ((result.back() == '*' && c == '/') || (result.back() == '/' && c == '*'));
    if (closes) result += ' ';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

// "[T, B, 4]", and "scalar" for no axis.
std::string ShapeText(const ir::Shape& shape) {
  if (shape.empty()) return "scalar";
  auto texts = shape | std::views::transform([](const ir::Dim& dim) {
                 return dim.is_constant() ? fmt::to_string(dim.extent) : dim.axis;
               });
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string InitText(const ir::Init& init) {
  switch (init.kind) {
    case ir::Init::Kind::kConstant: return fmt::format("{:.6g}", init.a);
    case ir::Init::Kind::kUniform: return fmt::format("uniform in [{:.6g}, {:.6g})", init.a, init.b);
    case ir::Init::Kind::kNormal: return fmt::format("normal, mean {:.6g}, deviation {:.6g}", init.a, init.b);
  }
  return "";
}

// Bytes as aligned_alloc takes them.
size_t Padded(size_t bytes) { return (bytes + RECURVE_ALIGNMENT - 1) / RECURVE_ALIGNMENT * RECURVE_ALIGNMENT; }

class HeaderPrinter {
 public:
  explicit HeaderPrinter(const ProgramInterface& program)
      : program_(program), c_(program), name_(c_.name), axes_(c_.axes), entries_(c_.entries) {
    for (const EntryInterface& entry : program.entries) has_workspace_ |= HasWorkspace(entry);
  }

  std::string Print() {
    Introduction();
    Line("#ifndef RECURVE_GENERATED_{}_H_\n#define RECURVE_GENERATED_{}_H_\n", Upper(name_), Upper(name_));
    Line("#include <stddef.h>\n#include <stdint.h>\n");
    Line("#ifdef __cplusplus\nextern \"C\" {{\n#endif\n");
    Team();
    Constants();
    for (const CEntry& entry : entries_) Entry(entry);
    Sizes();
    Stream();
    Info();
    Line("/* Describes the program to the C++ runtime (recurve::Program::Wrap); C code does not need it. */");
    Line("struct recurve_program;\nextern const struct recurve_program {};\n", DescriptorSymbol(program_.name));
    Line("#ifdef __cplusplus\n}}\n#endif\n");
    Line("#endif");
    return std::move(text_);
  }

 private:
  template <typename... Values>
  void Line(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Values>(values)...);
    text_ += '\n';
  }

  // The comment on top: what this is, what holds for all of it, how to use it, the parameters.
  void Introduction() {
    Line("/* {}.h: made by Recurve for {}. Do not edit.", name_, InComment(program_.target));
    Line(" *");
    Line(
        " * Each function takes a struct of sizes and pointers. Tensors are dense, row-major and time-first, of {}; "
        "sizes",
        c_.ElementType());
    Line(
        " * are elements unless they end in _bytes. The caller owns every buffer; nothing is allocated, locked or "
        "kept.");
    Line(
        " * `packed`, `tape` and `workspace` are aligned to {} bytes. Two calls may run at once unless they share a "
        "buffer",
        RECURVE_ALIGNMENT);
    Line(" * that one of them writes.");
    switch (program_.store) {
      case Storage::kSame: break;
      case Storage::kBf16: StorageNote("bf16"); break;
      case Storage::kF16: StorageNote("f16"); break;
    }
    if (program_.constant_bytes != 0)
      Line(" * Weights are inside, {} bytes of read-only data.", program_.constant_bytes);
    if (program_.only_one)
      Line(" * Every call is for a batch of one on one thread: B must be 1, and `team` is not read.");
    if (!PrintStreamExample()) Example();
    ParameterTable();
    Line(" */\n");
  }

  void StorageNote(std::string_view storage) {
    Line(" * Packed weights and the tape hold {}, rounded to nearest; arithmetic and all other buffers are of {}.",
         storage, c_.ElementType());
  }

  void Example() {
    Line(" *\n * Example (members that are not named are null; tensors of yours have the members' names):\n *");
    auto code = [&](const std::string& line) { Line(" *     {}", line); };
    if (!axes_.empty()) code(fmt::format("size_t {} = 1;", fmt::join(axes_, " = 1, ")));
    const CEntry* run = c_.FindFirst({"inference", "forward", "step"});
    const CEntry* pack = c_.FindFirst({"pack"});
    auto any_has = [&](recurve_slot_kind kind) {
      return (run != nullptr && run->Has(kind)) || (pack != nullptr && pack->Has(kind));
    };
    auto allocate = [&](std::string_view buffer, const std::string& bytes) {
      code(fmt::format("void *{} = aligned_alloc({}, {});", buffer, RECURVE_ALIGNMENT, bytes));
    };
    if (any_has(RECURVE_SLOT_PACKED)) allocate("packed", PackedBytes());
    if (any_has(RECURVE_SLOT_TAPE)) allocate("tape", SizeCall("tape"));
    if (any_has(RECURVE_SLOT_WORKSPACE)) allocate("workspace", SizeCall("workspace"));
    for (const CEntry* entry : {pack, run}) {
      if (entry == nullptr) continue;
      code(fmt::format("struct {}_args {} = {{", entry->symbol, entry->identifier));
      for (const CMember& member : entry->members) {
        if (member.slot->kind == RECURVE_SLOT_TEAM) continue;
        code(fmt::format("    .{0} = {1},", member.identifier, ExampleValue(member)));
      }
      code("};");
      code(fmt::format("{}(&{});", entry->symbol, entry->identifier));
    }
  }

  // The state of one sequence instead of arguments, where that is enough.
  bool PrintStreamExample() {
    if (stream_.step == nullptr) return false;
    Line(" *\n * Example (buffers of yours have the arguments' names):\n *");
    Line(" *     struct {0}_stream stream;\n *     {0}_stream_reset(&stream);", name_);
    Line(" *     for (;;) {}_stream_step(&stream{});", name_, StreamArguments(", {}"));
    return true;
  }

  // Inputs, then outputs, each as `form` says.
  std::string StreamArguments(fmt::format_string<const std::string&> form) const {
    std::string text;
    for (const std::vector<CMember>* members : {&stream_.inputs, &stream_.outputs}) {
      for (const CMember& member : *members) text += fmt::format(form, member.identifier);
    }
    return text;
  }

  // C99 and C++98: members are assigned one by one, and nothing from a library is called.
  void Stream() {
    if (stream_.step == nullptr) return;
    const size_t bytes = program_.stream_workspace_bytes;
    Line("/* One sequence, a step at a time: its state, which is the caller's, and nothing else is kept. */");
    Line("struct {}_stream {{", name_);
    for (const CMember& state : stream_.states)
      Line("  {} {}[{}];", c_.ElementType(), state.identifier, ElementsOfOne(state.slot->shape));
    Line("  unsigned char workspace[{}]; /* scratch between its aligned bytes */\n}};\n",
         bytes + RECURVE_ALIGNMENT - 1);
    const CEntry* reset = c_.FindFirst({"reset"});
    Line("/* The beginning of a sequence. */");
    Line("static inline void {0}_stream_reset(struct {0}_stream *stream) {{", name_);
    if (reset != nullptr) {
      Line("  struct {}_args args;", reset->symbol);
      for (const CMember& member : reset->members) {
        const bool is_state = member.slot->kind == RECURVE_SLOT_OUTPUT;
        Line("  args.{} = {};", member.identifier, is_state ? "stream->" + member.identifier : StreamValue(member));
      }
      Line("  {}(&args);\n}}\n", reset->symbol);
      return StreamStep();
    }
    if (!stream_.states.empty()) Line("  size_t i;");
    if (stream_.states.empty()) Line("  (void)stream;");
    for (const CMember& state : stream_.states)
      Line("  for (i = 0; i < {}; ++i) stream->{}[i] = 0;", ElementsOfOne(state.slot->shape), state.identifier);
    Line("}}\n");
    StreamStep();
  }

  void StreamStep() {
    for (const CMember& input : stream_.inputs) StreamComment(input);
    for (const CMember& output : stream_.outputs) StreamComment(output);
    std::string parameters;
    for (const CMember& input : stream_.inputs)
      parameters += fmt::format(", const {} *{}", TypeOf(*input.slot), input.identifier);
    for (const CMember& output : stream_.outputs)
      parameters += fmt::format(", {} *{}", TypeOf(*output.slot), output.identifier);
    Line("static inline void {0}_stream_step(struct {0}_stream *stream{1}) {{", name_, parameters);
    Line("  struct {}_args args;", stream_.step->symbol);
    for (const CMember& member : stream_.step->members) Line("  args.{} = {};", member.identifier, StreamValue(member));
    Line("  {}(&args);\n}}\n", stream_.step->symbol);
  }

  void StreamComment(const CMember& member) {
    ir::Shape shape = member.slot->shape;
    std::erase_if(shape, [](const ir::Dim& dim) { return !dim.is_constant(); });
    Line("/* {}: {}: {} */", member.identifier, ShapeText(shape),
         member.slot->kind == RECURVE_SLOT_INPUT ? "input" : "overwritten; null if not wanted");
  }

  std::string StreamValue(const CMember& member) const {
    switch (member.slot->kind) {
      case RECURVE_SLOT_EXTENT: return "1";
      case RECURVE_SLOT_STATE: return "stream->" + member.identifier;
      case RECURVE_SLOT_INPUT:
      case RECURVE_SLOT_OUTPUT: return member.identifier;
      case RECURVE_SLOT_WORKSPACE:
        return fmt::format("(void *)(((uintptr_t)stream->workspace + {}) / {} * {})", RECURVE_ALIGNMENT - 1,
                           RECURVE_ALIGNMENT, RECURVE_ALIGNMENT);
      case RECURVE_SLOT_PARAMETER:
      case RECURVE_SLOT_CONSTANT:
      case RECURVE_SLOT_ADJOINT:
      case RECURVE_SLOT_PACKED:
      case RECURVE_SLOT_TAPE:
      case RECURVE_SLOT_TEAM: break;
    }
    return "0";
  }

  std::string_view TypeOf(const Slot& slot) const { return slot.is_index ? "int32_t" : c_.ElementType(); }

  // The same lines as in runtime/abi.h.
  void Info() {
    const size_t count = ParametersOf(program_).size();
    if (count == 0) return;
    Line("/* The parameters, for who loads them from a file; shapes are row-major. */");
    Line("#ifndef RECURVE_TENSOR_DEFINED\n#define RECURVE_TENSOR_DEFINED\nstruct recurve_tensor {{");
    Line("  const char *name;\n  const int64_t *dims;\n  int32_t rank;\n  int32_t is_trained;\n}};\n#endif");
    Line("enum {{ {}_INFO_COUNT = {} }};", Upper(name_), count);
    Line("extern const struct recurve_tensor {}[{}];\n", InfoSymbol(program_), count);
  }

  std::string ExampleValue(const CMember& member) const {
    switch (member.slot->kind) {
      case RECURVE_SLOT_EXTENT: return c_.AxisIdentifier(member.slot->name);
      case RECURVE_SLOT_PACKED: return "packed";
      case RECURVE_SLOT_TAPE: return "tape";
      case RECURVE_SLOT_WORKSPACE: return "workspace";
      case RECURVE_SLOT_INPUT:
      case RECURVE_SLOT_PARAMETER:
      case RECURVE_SLOT_CONSTANT:
      case RECURVE_SLOT_STATE:
      case RECURVE_SLOT_ADJOINT:
      case RECURVE_SLOT_OUTPUT:
      case RECURVE_SLOT_TEAM: break;
    }
    return member.identifier;
  }

  void ParameterTable() {
    const std::vector<const Slot*> parameters = ParametersOf(program_);
    if (parameters.empty()) return;
    size_t width = std::ranges::max(parameters | std::views::transform([](auto* slot) { return slot->name.size(); }));
    Line(" *\n * Parameters, with the distribution that training starts from:\n *");
    for (const Slot* slot : parameters) {
      Line(" *     {:{}}  {:16}  {}{}", InComment(slot->name), width, ShapeText(slot->shape), InitText(slot->init),
           slot->kind == RECURVE_SLOT_CONSTANT ? "; never trained" : "");
    }
  }

  // The same lines as in runtime/abi.h, which may be included before or after, as may other programs' headers.
  void Team() {
    Line(
        "/* Threads that a caller lends to a call; null is the calling thread alone. Any pool will do: results are "
        "the");
    Line(" * same bits however many bodies run at once, and one that runs too late to take part returns at once. */");
    Line("#ifndef RECURVE_TEAM_DEFINED\n#define RECURVE_TEAM_DEFINED\nstruct recurve_team {{");
    Line("  size_t count; /* bodies to run, at least 1 */");
    Line("  /* Calls body(call, i) once for every i below count, and returns when all have returned. */");
    Line("  void (*parallel_for)(const struct recurve_team* team, void (*body)(void* call, size_t i), void* call);");
    Line(
        "  /* Returns when all bodies have called it, where all run at once; null: they meet by atomic operations. */");
    Line("  void (*barrier)(const struct recurve_team* team, size_t i);");
    Line("  void* context; /* the caller's own */\n}};\n#endif\n");
  }

  void Constants() {
    CScope names{name_ + "_workspace_bytes", name_ + "_tape_bytes", ExportedTapeSymbol(program_),
                 DescriptorSymbol(program_.name)};
    for (const CEntry& entry : entries_) {
      names.Take(entry.symbol);
      names.Take(entry.symbol + "_workspace_bytes");
    }
    if (!program_.extents.empty()) {
      Line("/* The extents of the model. */\nenum {{");
      for (const auto& [extent, size] : program_.extents) Line("  {} = {},", names.Take(name_ + "_" + extent), size);
      text_.erase(text_.size() - 2, 1);  // C++98 knows no comma behind the last one
      Line("}};\n");
    }
    if (program_.packed_bytes == 0) return;
    Line("/* What {}_pack makes of the parameters; to be made again when they change. */", name_);
    Line("#define {} {}u\n", PackedBytes(), Padded(program_.packed_bytes));
  }

  void Entry(const CEntry& entry) {
    Line("struct {}_args {{", entry.symbol);
    for (const CMember& member : entry.members) {
      Line("  {:40} /* {} */", Declaration(entry, member) + ";", InComment(Meaning(entry, *member.slot)));
    }
    Line("}};");
    Line("void {0}(const struct {0}_args *args);", entry.symbol);
    if (HasWorkspace(*entry.entry)) {
      Line("size_t {}(const size_t *extents); /* {} */", WorkspaceSymbol(program_, *entry.entry), ExtentsOrder());
    }
    Line("");
  }

  std::string Declaration(const CEntry& entry, const CMember& member) const {
    std::string_view access = entry.Overwrites(*member.slot) ? "" : "const ";
    switch (member.slot->kind) {
      case RECURVE_SLOT_EXTENT: return "size_t " + member.identifier;
      case RECURVE_SLOT_PACKED:
      case RECURVE_SLOT_TAPE:
      case RECURVE_SLOT_WORKSPACE: return fmt::format("{}void *{}", access, member.identifier);
      case RECURVE_SLOT_TEAM: return "const struct recurve_team *" + member.identifier;
      case RECURVE_SLOT_INPUT:
      case RECURVE_SLOT_PARAMETER:
      case RECURVE_SLOT_CONSTANT:
      case RECURVE_SLOT_STATE:
      case RECURVE_SLOT_ADJOINT:
      case RECURVE_SLOT_OUTPUT: break;
    }
    return fmt::format("{}{} *{}", access, TypeOf(*member.slot), member.identifier);
  }

  std::string Meaning(const CEntry& entry, const Slot& slot) const {
    std::string shape = ShapeText(slot.shape);
    if (slot.is_index) shape += fmt::format(", each in [0, {})", slot.classes);
    switch (slot.kind) {
      case RECURVE_SLOT_EXTENT: return "size of the axis";
      case RECURVE_SLOT_INPUT: return shape + ": input";
      case RECURVE_SLOT_PARAMETER: return shape + ": parameter";
      case RECURVE_SLOT_CONSTANT: return shape + ": parameter, never trained";
      case RECURVE_SLOT_STATE: return shape + (entry.Overwrites(slot) ? ": state, overwritten" : ": initial state");
      case RECURVE_SLOT_ADJOINT: return shape + ": gradient of the loss by this output, or null for zero";
      case RECURVE_SLOT_OUTPUT: return shape + ": overwritten; null if not wanted";
      case RECURVE_SLOT_PACKED:
        return PackedBytes() + (entry.Overwrites(slot) ? ": overwritten" : fmt::format(": made by {}_pack", name_));
      case RECURVE_SLOT_TAPE:
        return SizeCall("tape") + (entry.Overwrites(slot) ? ": overwritten" : ": left by the forward pass");
      case RECURVE_SLOT_WORKSPACE: return SizeCall("workspace") + ": scratch";
      case RECURVE_SLOT_TEAM: return "threads to share the work, or null";
    }
    return "";
  }

  void Sizes() {
    if (has_workspace_) {
      Line("/* Bytes of workspace that are enough for every function; a multiple of {}. */", RECURVE_ALIGNMENT);
      SizeFunction("workspace");
      Line("  size_t largest = 0, bytes;");
      for (const CEntry& entry : entries_) {
        if (!HasWorkspace(*entry.entry)) continue;
        Line("  bytes = {}(extents);\n  if (bytes > largest) largest = bytes;",
             WorkspaceSymbol(program_, *entry.entry));
      }
      Line("  return (largest + {}u) / {}u * {}u;\n}}\n", RECURVE_ALIGNMENT - 1, RECURVE_ALIGNMENT, RECURVE_ALIGNMENT);
    }
    if (program_.has_tape) {
      Line("/* Bytes that the forward pass saves for the backward pass; a multiple of {}. */", RECURVE_ALIGNMENT);
      Line("size_t {}(const size_t *extents); /* {} */", ExportedTapeSymbol(program_), ExtentsOrder());
      SizeFunction("tape");
      Line("  return ({}(extents) + {}u) / {}u * {}u;\n}}\n", ExportedTapeSymbol(program_), RECURVE_ALIGNMENT - 1,
           RECURVE_ALIGNMENT, RECURVE_ALIGNMENT);
    }
  }

  // Opens a function of the sizes of all axes, with `extents` as an array in it. C++ and C99 both take elements that
  // are assigned one by one.
  void SizeFunction(std::string_view what) {
    std::string parameters = axes_.empty() ? "void" : fmt::format("size_t {}", fmt::join(axes_, ", size_t "));
    Line("static inline size_t {}_{}_bytes({}) {{", name_, what, parameters);
    Line("  size_t extents[{}];", std::max<size_t>(axes_.size(), 1));
    if (axes_.empty()) Line("  extents[0] = 0;");
    for (size_t axis = 0; axis < axes_.size(); ++axis) Line("  extents[{}] = {};", axis, axes_[axis]);
  }

  std::string SizeCall(std::string_view what) const {
    return fmt::format("{}_{}_bytes({})", name_, what, fmt::join(axes_, ", "));
  }
  std::string ExtentsOrder() const {
    return axes_.empty() ? "extents is not read" : fmt::format("extents: {}", fmt::join(axes_, ", "));
  }
  std::string PackedBytes() const { return Upper(name_) + "_PACKED_BYTES"; }

  const ProgramInterface& program_;
  const CProgram c_;
  const CStream stream_ = CStream::Of(c_);
  const std::string& name_;
  const std::vector<std::string>& axes_;  // C names
  const std::vector<CEntry>& entries_;
  bool has_workspace_ = false;
  std::string text_;
};

}  // namespace

std::string CHeader(const ProgramInterface& program) { return HeaderPrinter(program).Print(); }

}  // namespace recurve
