// A filter program simplified: a graph of tests over fields of the frame, without registers. The engines that
// make machine code start from it.
//
// Blocks come in an order in which every edge leads forward. Each value is computed once, in a block that
// lies on every way to its users. ACCEPT, REJECT and PUNT are ends.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "filter/program.h"

namespace carom {

using ValueId = uint32_t;
using BlockId = uint32_t;

constexpr BlockId ACCEPT = 0;
constexpr BlockId REJECT = 1;
constexpr BlockId PUNT = 2;  // a frame that only the general engine can decide
constexpr BlockId FIRST_BLOCK = 3;
constexpr ValueId NO_VALUE = UINT32_MAX;

enum class ValueKind : uint8_t {
  constant,  // k
  length,    // of the whole frame
  field,     // `size` bytes at k, big-endian; its block, or one before it, has checked that they are there
  indirect,  // the same at a + k; rejects the frame when they are not there
  add,
  subtract,
  multiply,
  divide,
  modulo,
  bit_and,
  bit_or,
  bit_xor,
  shift_left,
  shift_right,  // a, b
  in_set,       // 1 if the symbol of a and b is in set k, else 0
  join,         // one of several, by where the way came from
};

struct Value {
  ValueKind kind;
  uint8_t size = 0;
  ValueId a = NO_VALUE;
  ValueId b = NO_VALUE;
  uint32_t k = 0;
  BlockId block = 0;
  bool used = false;
};

enum class TestKind : uint8_t { equal, above, at_least, bits };  // a == b, a > b, a >= b, (a & b) != 0

struct Test {
  TestKind kind;
  ValueId a;
  ValueId b;
  bool operator==(const Test&) const = default;
};

// A way into a block: out of `from`, by its second way out or its first.
struct Edge {
  BlockId from;
  bool is_no;
};

// A value that depends on the way: `from[i]` if that was `block.before[i]`.
struct Join {
  ValueId value;
  std::vector<ValueId> from;
};

struct Block {
  std::vector<Edge> before;
  std::vector<Join> joins;
  std::vector<ValueId> values;  // computed here, in order
  uint32_t bytes = 0;           // the frame must have so many, or it is rejected; 0: nothing to check
  uint32_t known = 0;           // so many bytes it has for sure, once that is checked
  bool tests = false;           // else the way goes on to `yes`
  Test test{};
  BlockId yes = REJECT;
  BlockId no = REJECT;
  bool reached = false;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Block> blocks;  // the first three stand for the ends
  BlockId first = REJECT;     // where it begins: may be an end
  std::span<const SymbolSet> sets;

  bool never() const { return first == REJECT; }
  bool always() const { return first == ACCEPT; }
  // Every frame of this length and above: shorter ones may lack what the expression reads.
  bool always_from(uint32_t length) const {
    const Block& block = blocks[first];
    return always() || (!block.tests && block.yes == ACCEPT && block.bytes <= length);
  }
  bool uses(ValueKind kind) const;
  bool is_constant(ValueId id) const { return values[id].kind == ValueKind::constant; }

  // For people: a line a test.
  std::string listing() const;
};

// What of a program is to be made into a graph.
enum class Scope {
  whole,
  // Only what fields in the first HEAD_BYTES of the frame decide, with IP headers of 20 bytes. Everything
  // else goes to PUNT.
  head,
};

constexpr uint32_t HEAD_BYTES = 64;
constexpr uint32_t PLAIN_HEADER_WORDS = 5;  // the length of an IP header without options, in its own unit

}  // namespace carom
