// What the engines that make machine code share: an asmjit compiler, which allocates registers, and the way
// from there to memory. Only those engines' own files see asmjit.
#pragma once

#include <asmjit/x86.h>

#include <string>

#include "core/error.h"
#include "filter/machine_code.h"

namespace carom {

class Assembly : private asmjit::ErrorHandler {
 public:
  // The wide registers that the code uses.
  enum class Vectors { none, avx2, avx512 };

  explicit Assembly(Vectors vectors, bool listed) {
    code_.init(asmjit::Environment::host(), 0);
    code_.setErrorHandler(this);
    if (listed) code_.setLogger(&logger_);
    code_.attach(&cc);
    function_ = cc.addFunc(asmjit::FuncSignatureT<uint64_t, const void*, uint64_t, void*, void*>());
    if (vectors == Vectors::avx512) function_->frame().setAvx512Enabled();
    if (vectors != Vectors::none) function_->frame().setAvxEnabled(), function_->frame().setAvxCleanup();
    asmjit::x86::Gp* const arguments[] = {&frames, &count, &verdicts, &punts};
    for (uint32_t i = 0; i < std::size(arguments); i++) {
      *arguments[i] = cc.newUIntPtr();
      function_->setArg(i, *arguments[i]);
    }
  }

  // The code in memory. `listing` gets it as text, where that was asked for.
  MachineCode finish(std::string& listing) {
    cc.endFunc();
    cc.finalize();
    code_.flatten();
    code_.resolveUnresolvedLinks();
    size_t size = code_.codeSize();
    MachineCode made(size, [&](uint8_t* memory) {
      code_.relocateToBase(reinterpret_cast<uint64_t>(memory));
      code_.copyFlattenedData(memory, size);
    });
    listing = logger_.data();
    return made;
  }

  asmjit::x86::Compiler cc;
  asmjit::x86::Gp frames;
  asmjit::x86::Gp count;
  asmjit::x86::Gp verdicts;
  asmjit::x86::Gp punts;

 private:
  void handleError(asmjit::Error, const char* message, asmjit::BaseEmitter*) override {
    throw Error(ErrorCode::internal, "make a filter's code", message);
  }

  asmjit::CodeHolder code_;
  asmjit::StringLogger logger_;
  asmjit::FuncNode* function_ = nullptr;
};

}  // namespace carom
