// tests/lanes/lane_kernel.cpp: a loop over vectors around a formula, and a JIT of its own for it.

#include "tests/lanes/lane_kernel.h"

#include <llvm/IR/Verifier.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>

#include "ir/internal_error.h"

namespace recurve {
namespace {

template <typename T>
T Checked(llvm::Expected<T> value) {
  if (!value) StopOnInternalError(llvm::toString(value.takeError()));
  return std::move(*value);
}

}  // namespace

LaneFormula RowFormula(ir::Op op) {
  return [op](LaneBuilder& lanes, Lane a, Lane b, Lane c) {
    const Lane operands[] = {a, b, c};
    return lanes.Elementwise(op, std::span(operands).first(ir::ElementwiseArity(op)));
  };
}

llvm::Function* EmitLaneKernel(llvm::Module& module, const std::string& name, LaneShape shape,
                               const LaneFormula& formula) {
  llvm::LLVMContext& context = module.getContext();
  llvm::IRBuilder<> ir(context);
  LaneBuilder lanes(ir, shape);
  llvm::Type* pointer = ir.getPtrTy();
  auto* type = llvm::FunctionType::get(ir.getVoidTy(), {pointer, pointer, pointer, pointer, ir.getInt64Ty()}, false);
  auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
  function->setDoesNotThrow();
  auto* entry = llvm::BasicBlock::Create(context, "entry", function);
  auto* loop = llvm::BasicBlock::Create(context, "loop", function);
  auto* done = llvm::BasicBlock::Create(context, "done", function);
  ir.SetInsertPoint(entry);
  ir.CreateBr(loop);

  ir.SetInsertPoint(loop);
  llvm::PHINode* i = ir.CreatePHI(ir.getInt64Ty(), 2);
  i->addIncoming(ir.getInt64(0), entry);
  llvm::Align align(shape.element_bytes);
  auto address = [&](int argument) { return ir.CreateGEP(lanes.element_type(), function->getArg(argument), i); };
  auto load = [&](int argument) { return lanes.Wrap(ir.CreateAlignedLoad(lanes.type(), address(argument), align)); };
  Lane a = load(0), b = load(1), c = load(2);
  ir.CreateAlignedStore(formula(lanes, a, b, c).value, address(3), align);
  llvm::Value* next = ir.CreateAdd(i, ir.getInt64(shape.width));
  i->addIncoming(next, loop);
  ir.CreateCondBr(ir.CreateICmpSLT(next, function->getArg(4)), loop, done);

  ir.SetInsertPoint(done);
  ir.CreateRetVoid();
  if (llvm::verifyFunction(*function, &llvm::errs())) StopOnInternalError("a lane kernel does not verify");
  return function;
}

CompiledLaneKernel::CompiledLaneKernel(LaneShape shape, const LaneFormula& formula) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  auto machine = Checked(llvm::orc::JITTargetMachineBuilder::detectHost());
  machine.setCodeGenOptLevel(llvm::CodeGenOptLevel::Less);
  if (!shape.fused_multiply_add) machine.getFeatures().AddFeature("fma", false);
  jit_ = Checked(llvm::orc::LLJITBuilder().setJITTargetMachineBuilder(std::move(machine)).create());
  auto context = std::make_unique<llvm::LLVMContext>();
  auto module = std::make_unique<llvm::Module>("lanes", *context);
  module->setDataLayout(jit_->getDataLayout());
  EmitLaneKernel(*module, "f", shape, formula);
  if (auto error = jit_->addIRModule({std::move(module), std::move(context)}))
    StopOnInternalError(llvm::toString(std::move(error)));
  address_ = Checked(jit_->lookup("f")).toPtr<void*>();
}

}  // namespace recurve
