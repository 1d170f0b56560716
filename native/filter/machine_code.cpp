#include "filter/machine_code.h"

#include <sys/mman.h>

#include <utility>

#include "core/error.h"

namespace carom {

MachineCode::MachineCode(size_t size, const std::function<void(uint8_t*)>& write) : size_(size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw system_error("reserve memory for a filter's code", errno);
  memory_ = static_cast<uint8_t*>(memory);
  try {
    write(memory_);
    if (mprotect(memory_, size, PROT_READ | PROT_EXEC) != 0) {
      throw system_error("make a filter's code executable", errno,
                         "use --engine interpret, which makes none");
    }
  } catch (...) {
    munmap(memory_, size_);
    throw;
  }
}

MachineCode& MachineCode::operator=(MachineCode&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  return *this;
}

MachineCode::~MachineCode() {
  if (memory_ != nullptr) munmap(memory_, size_);
}

}  // namespace carom
