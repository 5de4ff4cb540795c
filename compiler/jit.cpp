// compiler/jit.cpp: a linker session per program, made of ORC's parts.
//
// LLVM's ready-made LLJIT is not used: it brings a compiler, a platform and a view of every symbol of the process. An
// object that calls nothing needs one linking layer and no thread.

#include "compiler/jit.h"

#include <fmt/format.h>
#include <llvm/ExecutionEngine/Orc/Core.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/ExecutionEngine/Orc/SelfExecutorProcessControl.h>
#include <llvm/ExecutionEngine/Orc/TaskDispatch.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <string>
#include <utility>

#include "compiler/object.h"

namespace recurve {
namespace {

namespace orc = llvm::orc;

// Owns the memory of one program's code.
class Session {
 public:
  explicit Session(std::unique_ptr<orc::ExecutorProcessControl> process)
      : session_(std::move(process)), linker_(session_), library_(session_.createBareJITDylib("program")) {
    session_.setErrorReporter([this](llvm::Error error) { errors_ += llvm::toString(std::move(error)) + "; "; });
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  // Frees the code. An error here would be one of the session's own bookkeeping, which nobody can act on.
  ~Session() { llvm::consumeError(session_.endSession()); }

  llvm::Expected<const recurve_program*> Link(std::span<const std::string> objects, const std::string& symbol) {
    for (const std::string& object : objects) {
      auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object, symbol);
      if (llvm::Error error = linker_.add(library_, std::move(buffer))) return error;
    }
    auto found = session_.lookup({&library_}, Intern(symbol));
    if (!found) return llvm::createStringError(errors_ + llvm::toString(found.takeError()));
    return found->getAddress().toPtr<const recurve_program*>();
  }

 private:
  // Mach-O puts an underscore before C's names.
  orc::SymbolStringPtr Intern(llvm::StringRef name) {
    bool has_prefix = session_.getTargetTriple().isOSBinFormatMachO();
    return session_.intern(has_prefix ? "_" + name.str() : name.str());
  }

  orc::ExecutionSession session_;
  orc::ObjectLinkingLayer linker_;
  orc::JITDylib& library_;
  std::string errors_;
};

}  // namespace

std::expected<LoadedCode, Error> LoadObjects(std::span<const std::string> objects, std::string_view name) {
  std::string attempt = fmt::format("cannot load the code of `{}`", name);
  auto process = orc::SelfExecutorProcessControl::Create(nullptr, std::make_unique<orc::InPlaceTaskDispatcher>());
  if (!process) return std::unexpected(FromLlvm(attempt, process.takeError()));
  auto session = std::make_shared<Session>(std::move(*process));
  auto descriptor = session->Link(objects, DescriptorSymbol(name));
  if (!descriptor) return std::unexpected(FromLlvm(attempt, descriptor.takeError()));
  return LoadedCode{*descriptor, std::move(session)};
}

std::expected<LoadedCode, Error> LoadObject(std::string_view object, std::string_view name) {
  const std::string objects[] = {std::string(object)};
  return LoadObjects(objects, name);
}

std::expected<std::string, Error> ConsumeIntoObjectForHere(llvm::Module& module, const Target& target,
                                                           std::span<const std::string> elsewhere) {
  if (!target.why_not_here().empty()) {
    return std::unexpected(
        Error{fmt::format("cannot run code for `{}` here: {}", target.description(), target.why_not_here())});
  }
  return ConsumeIntoObject(module, target, nullptr, elsewhere);
}

std::expected<LoadedCode, Error> Jit(const llvm::Module& module, const ProgramInterface& program,
                                     const Target& target) {
  auto object = ConsumeIntoObjectForHere(*llvm::CloneModule(module), target);
  if (!object) return std::unexpected(object.error());
  return LoadObject(*object, program.name);
}

}  // namespace recurve
