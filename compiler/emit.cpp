// compiler/emit.cpp: modules: constants, entries and what they call, and the one pass over them.

#include "compiler/emit.h"

#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/PassInstrumentation.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>

#include <algorithm>
#include <iterator>

#include "compiler/emit_entry.h"
#include "compiler/emit_sizes.h"
#include "compiler/interface.h"
#include "runtime/abi.h"

namespace recurve {
namespace {

llvm::Constant* EmitConstant(llvm::Module& module, const Plan& plan, const Constant& constant) {
  llvm::Constant* bytes = llvm::ConstantDataArray::getString(module.getContext(), constant.bytes, /*AddNull=*/false);
  auto* global =
      new llvm::GlobalVariable(module, bytes->getType(), /*isConstant=*/true, llvm::GlobalValue::InternalLinkage, bytes,
                               plan.name + "_" + CIdentifier(constant.name));
  global->setAlignment(llvm::Align(RECURVE_ALIGNMENT));
  return global;
}

EmitModule EmitModuleOf(const Plan& plan, llvm::Module& module) {
  EmitModule emit{module, plan, EmitTypes(module, plan.precision), {}};
  for (const Constant& constant : plan.constants) emit.constants.push_back(EmitConstant(module, plan, constant));
  return emit;
}

// Shares equal addresses and drops trivial arithmetic: the one pass that makes code generation quicker by more than it
// costs.
void ShareAddresses(llvm::Module& module) {
  // Exactly the analyses that it asks for: registering all of LLVM's takes longer than the pass.
  llvm::FunctionAnalysisManager functions;
  functions.registerPass([] { return llvm::PassInstrumentationAnalysis(); });
  functions.registerPass([] { return llvm::TargetLibraryAnalysis(); });
  functions.registerPass([] { return llvm::TargetIRAnalysis(); });
  functions.registerPass([] { return llvm::DominatorTreeAnalysis(); });
  functions.registerPass([] { return llvm::AssumptionAnalysis(); });
  llvm::FunctionPassManager pipeline;
  pipeline.addPass(llvm::EarlyCSEPass());
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) pipeline.run(function, functions);
  }
}

std::vector<PlannedFunction> AddEntries(EmitModule& emit) {
  const Plan& plan = emit.plan;
  std::vector<PlannedFunction> functions;
  bool has_tape = false;
  for (const EntryPlan& entry : plan.entries) {
    std::ranges::move(EmitEntry(emit, entry), std::back_inserter(functions));
    has_tape |= entry.name == "forward" || entry.name == "backward";
  }
  if (has_tape) {
    EmitBytes(emit, plan.name + "_tape_bytes", plan.segments, [&](Regions& regions) {
      for (const Buffer& region : plan.tape) regions.Add(region, plan.BytesOf(region));
    });
  }
  return functions;
}

void AddFunctions(EmitModule& emit, std::span<const PlannedFunction> functions) {
  for (const PlannedFunction& planned : functions) EmitPlanned(emit, planned);
}

// What one module calls of another is not seen outside of the program.
void Share(llvm::Module& module, std::span<const PlannedFunction> functions) {
  for (const PlannedFunction& planned : functions) {
    llvm::Function* function = module.getFunction(planned.name);
    function->setLinkage(llvm::GlobalValue::ExternalLinkage);
    function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  }
}

}  // namespace

void Emit(const Plan& plan, llvm::Module& module) {
  EmitModule emit = EmitModuleOf(plan, module);
  AddFunctions(emit, AddEntries(emit));
  ShareAddresses(module);
}

std::vector<PlannedFunction> EmitEntries(const Plan& plan, llvm::Module& module) {
  EmitModule emit = EmitModuleOf(plan, module);
  std::vector<PlannedFunction> functions = AddEntries(emit);
  Share(module, functions);
  return functions;
}

void EmitFunctions(const Plan& plan, std::span<const PlannedFunction> functions, llvm::Module& module) {
  EmitModule emit = EmitModuleOf(plan, module);
  AddFunctions(emit, functions);
  Share(module, functions);
  ShareAddresses(module);
}

}  // namespace recurve
