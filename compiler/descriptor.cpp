// compiler/descriptor.cpp: the structs of runtime/abi.h as LLVM constants. A member is a line, in the order of the C
// declaration; padding is what the module's data layout says, which is what a C compiler for the target does.

#include "compiler/descriptor.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/IR/DerivedTypes.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/GlobalVariable.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <string>
#include <vector>

namespace recurve {
namespace {

using Constants = std::vector<llvm::Constant*>;

static_assert(RECURVE_ANY_INDEX == ir::kAnyIndex, "the IR, which knows no ABI, has a name of its own for it");

class DescriptorEmitter {
 public:
  DescriptorEmitter(llvm::Module& module, const ProgramInterface& program)
      : module_(module),
        program_(program),
        pointer_(llvm::PointerType::getUnqual(module.getContext())),
        size_(module.getDataLayout().getIntPtrType(module.getContext())) {}

  void Emit() {
    Constants axes, entries;
    for (const std::string& axis : program_.axes) axes.push_back(Text(axis));
    for (const EntryInterface& entry : program_.entries) entries.push_back(Entry(entry));
    llvm::Constant* descriptor = Struct({
        Int32(RECURVE_ABI_VERSION),
        Text(program_.name),
        Text(program_.target),
        Int32(ElementBytes(program_.precision)),
        Int32(static_cast<int64_t>(program_.axes.size())),
        Table("axes", axes),
        llvm::ConstantInt::get(size_, program_.packed_bytes),
        program_.has_tape ? TapeFunction() : Null(),
        Int32(static_cast<int64_t>(program_.entries.size())),
        Table("entries", entries),
    });
    Global(DescriptorSymbol(program_.name), llvm::GlobalValue::ExternalLinkage, descriptor);
    EmitInfo();
  }

 private:
  // A recurve_tensor for each parameter.
  void EmitInfo() {
    Constants rows;
    for (const Slot* slot : ParametersOf(program_)) {
      rows.push_back(Struct({Text(slot->name), Dims(*slot), Int32(static_cast<int64_t>(slot->shape.size())),
                             Int32(slot->kind == RECURVE_SLOT_PARAMETER)}));
    }
    if (rows.empty()) return;
    auto* type = llvm::ArrayType::get(rows[0]->getType(), rows.size());
    Global(InfoSymbol(program_), llvm::GlobalValue::ExternalLinkage, llvm::ConstantArray::get(type, rows));
  }

  llvm::Constant* Dims(const Slot& slot) {
    Constants dims;
    for (const ir::Dim& dim : slot.shape) dims.push_back(Int64(DimNumber(dim)));
    return Table("dims", dims);
  }

  llvm::Constant* Entry(const EntryInterface& entry) {
    Constants slots;
    for (const Slot& slot : entry.slots) slots.push_back(SlotConstant(slot));
    return Struct({
        Text(entry.name),
        Function(EntrySymbol(program_, entry), llvm::Type::getVoidTy(module_.getContext())),
        HasWorkspace(entry) ? Function(WorkspaceSymbol(program_, entry), size_) : Null(),
        Int32(static_cast<int64_t>(entry.slots.size())),
        Table(entry.name + ".slots", slots),
    });
  }

  llvm::Constant* SlotConstant(const Slot& slot) {
    return Struct({
        Text(slot.name),
        Int32(slot.kind),
        Int32(slot.is_index),
        Int32(static_cast<int64_t>(slot.shape.size())),
        Dims(slot),
        Int64(slot.classes),
        Int32(static_cast<int64_t>(slot.init.kind)),
        Double(slot.init.a),
        Double(slot.init.b),
    });
  }

  // A constant as it is, axis k of the program as -1 - k. The interface names every axis of its slots.
  int64_t DimNumber(const ir::Dim& dim) const {
    if (dim.is_constant()) return dim.extent;
    return -1 - (std::ranges::find(program_.axes, dim.axis) - program_.axes.begin());
  }

  llvm::Constant* TapeFunction() {
    if (llvm::Function* tape = module_.getFunction(TapeSymbol(program_))) tape->setName(ExportedTapeSymbol(program_));
    return Function(ExportedTapeSymbol(program_), size_);
  }

  llvm::Constant* Function(const std::string& symbol, llvm::Type* result) {
    auto* type = llvm::FunctionType::get(result, {pointer_}, /*isVarArg=*/false);
    return llvm::cast<llvm::Constant>(module_.getOrInsertFunction(symbol, type).getCallee());
  }

  llvm::Constant* Table(const llvm::Twine& name, const Constants& rows) {
    if (rows.empty()) return Null();
    auto* type = llvm::ArrayType::get(rows[0]->getType(), rows.size());
    return Private(name, llvm::ConstantArray::get(type, rows));
  }

  llvm::Constant* Text(llvm::StringRef text) {
    llvm::GlobalVariable* global = Private("text", llvm::ConstantDataArray::getString(module_.getContext(), text));
    global->setAlignment(llvm::Align(1));
    return global;
  }

  llvm::GlobalVariable* Private(const llvm::Twine& name, llvm::Constant* value) {
    llvm::GlobalVariable* global = Global("descriptor." + name, llvm::GlobalValue::PrivateLinkage, value);
    global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return global;
  }

  // The module owns it.
  llvm::GlobalVariable* Global(const llvm::Twine& name, llvm::GlobalValue::LinkageTypes linkage,
                               llvm::Constant* value) {
    return new llvm::GlobalVariable(module_, value->getType(), /*isConstant=*/true, linkage, value, name);
  }

  llvm::Constant* Struct(const Constants& members) {
    return llvm::ConstantStruct::getAnon(module_.getContext(), members);
  }
  llvm::Constant* Int32(int64_t value) { return Signed(llvm::Type::getInt32Ty(module_.getContext()), value); }
  llvm::Constant* Int64(int64_t value) { return Signed(llvm::Type::getInt64Ty(module_.getContext()), value); }
  llvm::Constant* Signed(llvm::IntegerType* type, int64_t value) { return llvm::ConstantInt::getSigned(type, value); }
  llvm::Constant* Double(double value) {
    return llvm::ConstantFP::get(llvm::Type::getDoubleTy(module_.getContext()), value);
  }
  llvm::Constant* Null() { return llvm::ConstantPointerNull::get(pointer_); }

  llvm::Module& module_;
  const ProgramInterface& program_;
  llvm::PointerType* pointer_;
  llvm::IntegerType* size_;
};

}  // namespace

void EmitDescriptor(llvm::Module& module, const ProgramInterface& program) {
  DescriptorEmitter(module, program).Emit();
}

}  // namespace recurve
