// compiler/target_module.h: a module that code is emitted into, and the context it lives in.

#ifndef RECURVE_COMPILER_TARGET_MODULE_H_
#define RECURVE_COMPILER_TARGET_MODULE_H_

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>

#include <memory>
#include <string>

#include "compiler/target.h"

namespace recurve {

// Empty at first, with the target's triple and data layout.
struct TargetModule {
  TargetModule(const std::string& name, const Target& target)
      : context(std::make_unique<llvm::LLVMContext>()), module(std::make_unique<llvm::Module>(name, *context)) {
    target.Configure(*module);
  }

  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_TARGET_MODULE_H_
