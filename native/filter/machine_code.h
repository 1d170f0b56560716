// Machine code in memory: written first, then made executable and never writable again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace carom {

// Decides `count` frames. A verdict is a bit, 1 for accepted, the first frame's the lowest; likewise for the
// frames that the code leaves to another engine. Returns whether there are any of those.
using FilterFunction = uint64_t (*)(const void* frames, uint64_t count, void* verdicts, void* punts);

class MachineCode {
 public:
  MachineCode() = default;
  // `write` puts `size` bytes of code there, made for that address. Throws Error (environment).
  MachineCode(size_t size, const std::function<void(uint8_t*)>& write);
  MachineCode(MachineCode&& other) noexcept { *this = std::move(other); }
  MachineCode& operator=(MachineCode&& other) noexcept;
  ~MachineCode();

  FilterFunction function() const noexcept { return reinterpret_cast<FilterFunction>(memory_); }
  size_t size() const noexcept { return size_; }

 private:
  uint8_t* memory_ = nullptr;
  size_t size_ = 0;
};

}  // namespace carom
