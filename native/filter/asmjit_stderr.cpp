// Debian builds asmjit for programs, not for shared objects: its reference to stderr can't be bound by the
// loader. The linker is told to call ours instead (--wrap=stderr), which lies in the addon itself.
#include <cstdio>

extern "C" {
extern FILE* __real_stderr;
__attribute__((visibility("hidden"))) FILE* __wrap_stderr = nullptr;
}

namespace {

// Before anything of the addon runs.
[[gnu::constructor(101)]] void bind_stderr() { __wrap_stderr = __real_stderr; }

}  // namespace
