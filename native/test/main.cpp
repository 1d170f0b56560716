// The native tests without a network.
//   carom-test [--list | --overread | --overflow | --race] [--seed N] [TEST…]
// Runs the tests named, or all, and ends with "N passed, N failed". The same seed gives the same run.
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test/test.h"

namespace carom::test {
namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::vector<Test>& registered() {
  static std::vector<Test> tests;
  return tests;
}

// FNV-1a: each test has its own chance, so that it is the same alone as among the others.
uint64_t hash(std::string_view name) {
  uint64_t value = 0xcbf29ce484222325ull;
  for (char c : name) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return value;
}

bool run(const Test& test, uint64_t seed) {
  // Named before it runs: what crashes can't say so afterwards.
  printf("%.*s: ", static_cast<int>(test.name.size()), test.name.data());
  fflush(stdout);
  auto begin = std::chrono::steady_clock::now();
  bool passed = true;
  try {
    Chance chance(seed ^ hash(test.name));
    test.run(chance);
  } catch (const Failure&) {
    passed = false;  // printed already
  } catch (const std::exception& error) {
    fprintf(stderr, "\n  threw: %s\n", error.what());
    passed = false;
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  printf("%s, %.3f s\n", passed ? "ok" : "FAILED", took.count());
  fflush(stdout);
  return passed;
}

// Faults that the sanitizers must find: a run with them that reports nothing proves nothing otherwise.
int misbehave(std::string_view fault) {
  volatile int number = INT_MAX;
  if (fault == "--race") {
    std::thread other([&] { number = 1; });
    number = 2;
    other.join();
    return 0;
  }
  if (fault == "--overflow") {
    number = number + 1;
    return 0;
  }
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[16]());
  volatile size_t at = 16;
  return bytes[at] == 1 ? 1 : 0;
}

}  // namespace

Tests::Tests(std::initializer_list<Test> tests) {
  registered().insert(registered().end(), tests.begin(), tests.end());
}

void fail(const std::string& what, const char* file, int line) {
  fprintf(stderr, "\n  %s:%d: %s\n", file, line, what.c_str());
  throw Failure(what);
}

std::string text(__int128 value) {
  char digits[42];
  char* at = digits + sizeof digits;
  bool negative = value < 0;
  do {
    int digit = static_cast<int>(value % 10);
    *--at = static_cast<char>('0' + (digit < 0 ? -digit : digit));
    value /= 10;
  } while (value != 0);
  if (negative) *--at = '-';
  return std::string(at, digits + sizeof digits);
}

std::string hex_dump(const uint8_t* bytes, size_t length) {
  std::string dump;
  char pair[3];
  for (size_t i = 0; i < length; i++) {
    snprintf(pair, sizeof pair, "%02x", bytes[i]);
    dump += pair;
  }
  return dump;
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i++) {
    if (digits[i] == ' ') continue;
    bytes += static_cast<char>(strtol(std::string(digits.substr(i, 2)).c_str(), nullptr, 16));
    i++;
  }
  return bytes;
}

int main(int count, char** arguments) {
  uint64_t seed = 1;
  std::vector<std::string_view> wanted;
  for (int i = 1; i < count; i++) {
    if (strcmp(arguments[i], "--list") == 0) {
      for (const Test& test : registered())
        printf("%.*s\n", static_cast<int>(test.name.size()), test.name.data());
      return 0;
    }
    for (const char* fault : {"--overread", "--overflow", "--race"}) {
      if (strcmp(arguments[i], fault) == 0) return misbehave(fault);
    }
    if (strcmp(arguments[i], "--seed") == 0 && i + 1 < count) {
      seed = strtoull(arguments[++i], nullptr, 0);
    } else {
      wanted.push_back(arguments[i]);
    }
  }
  printf("seed %llu\n", static_cast<unsigned long long>(seed));
  unsigned passed = 0;
  unsigned failed = 0;
  for (const Test& test : registered()) {
    bool chosen = wanted.empty();
    for (std::string_view name : wanted) chosen |= name == test.name;
    if (chosen) ++(run(test, seed) ? passed : failed);
  }
  printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace carom::test

int main(int count, char** arguments) { return carom::test::main(count, arguments); }
