// What the native tests are written with: named tests, expectations that say what and where, and chance from
// a seed. No framework: this is all that is needed of one.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace carom::test {

// SplitMix64. Source: Vigna, https://prng.di.unimi.it/splitmix64.c. Not the generator's Random, which is
// tested.
class Chance {
 public:
  explicit Chance(uint64_t seed) noexcept : state_(seed) {}

  uint64_t next() noexcept {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t bound) noexcept { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }
  bool one_in(uint32_t n) noexcept { return below(n) == 0; }
  uint8_t byte() noexcept { return static_cast<uint8_t>(next()); }
  uint32_t word() noexcept { return static_cast<uint32_t>(next()); }
  // Any size, small ones as often as large ones.
  uint64_t any_size() noexcept { return next() >> below(64); }
  void fill(uint8_t* bytes, uint32_t length) noexcept {
    for (uint32_t i = 0; i < length; i++) bytes[i] = byte();
  }

 private:
  uint64_t state_;
};

struct Test {
  std::string_view name;
  void (*run)(Chance&);
};

// A file's tests, made known before main().
struct Tests {
  Tests(std::initializer_list<Test> tests);
};

// Prints what went wrong and throws; in a hot loop, which can't, that ends the program after the message.
[[noreturn, gnu::cold, gnu::noinline]] void fail(const std::string& what, const char* file, int line);

inline void expect(bool condition, const char* what, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
  if (!condition) [[unlikely]]
    fail(what, file, line);
}

std::string text(__int128 value);

// Of numbers of any two types; "what" says which number it is.
template <class A, class B>
void expect_equal(A actual, B expected, const char* what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  auto a = static_cast<__int128>(actual);
  auto b = static_cast<__int128>(expected);
  if (a != b) [[unlikely]]
    fail(std::string(what) + ": is " + text(a) + ", must be " + text(b), file, line);
}

std::string hex_dump(const uint8_t* bytes, size_t length);

// Bytes from hex digits; spaces between them don't count.
std::string from_hex(std::string_view digits);

}  // namespace carom::test
