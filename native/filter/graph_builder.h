// The first pass of simplify(): runs a program on unknown values, block by block.
#pragma once

#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

#include "filter/frame_layout.h"
#include "filter/graph.h"

namespace carom {

class GraphBuilder {
 public:
  GraphBuilder(const Program& program, Scope scope);
  Graph build();

 private:
  // What the registers hold: A, X, then the scratch memory.
  using State = std::array<ValueId, 2 + SCRATCH_WORDS>;

  // A way that waits for the instruction that it leads to.
  struct Arrival {
    Edge edge;
    State state;
  };

  // Where a block lies among those that every way to it passes. `jump` is one far above it, so that any of
  // them is found in O(log n) steps (Myers, "An applicative random-access stack", 1983).
  struct Place {
    BlockId above;
    BlockId jump;
    uint32_t depth;
  };

  // What every way into a block has found out.
  struct Fact {
    BlockId block;
    Test test;
    bool outcome;
  };

  void run(const Instruction& one, uint32_t at);
  void run_load(const Instruction& one);
  void run_calculation(const Instruction& one);
  void run_jump(const Instruction& one, uint32_t at);
  ValueId load_field(uint64_t at, uint8_t size);
  ValueId load(const Instruction& one);

  ValueId constant(uint32_t k);
  ValueId make(Value wanted);
  ValueId calculate(ValueKind kind, ValueId a, ValueId b);
  ValueId simpler(ValueKind kind, ValueId a, ValueId b);
  uint32_t most(ValueId id) const;
  Value indirect(uint8_t size, ValueId x, uint32_t k) const;
  ValueId find(const Value& wanted, BlockId at) const;
  std::optional<bool> known(const Test& test, BlockId at) const;
  std::optional<bool> concluded(const Test& passed, bool outcome, const Test& test) const;
  std::optional<bool> known_on(const Edge& edge, const Test& test) const;
  bool dominates(BlockId above, BlockId below) const;
  BlockId common(BlockId one, BlockId other) const;
  Place place_below(BlockId above) const;

  void open(std::vector<Arrival> arrivals);
  void go(Edge edge, uint32_t target);
  uint32_t follow(const Edge& edge, uint32_t target, State& state);
  bool step(const Instruction& one, BlockId at, State& state);
  ValueId load_again(const Instruction& one, BlockId at, const State& state);
  ValueId calculate_again(ValueKind kind, ValueId a, ValueId b, BlockId at);
  void jump(uint32_t target);
  void branch(Test test, uint32_t yes, uint32_t no);
  void end(BlockId at);
  bool require(Test test, bool outcome, BlockId otherwise);

  Block& block() { return graph_.blocks[current_]; }
  bool is_open() const { return current_ != REJECT; }
  uint32_t skip_jumps(uint32_t at) const;
  Test test_of(const Instruction& one, const State& state);
  std::optional<BlockId> end_at(uint32_t at) const;

  const Program& program_;
  Scope scope_;
  Graph graph_;
  std::vector<std::vector<Arrival>> arrivals_;  // for each instruction
  std::vector<Place> places_;                   // for each block
  std::unordered_map<uint64_t, std::vector<ValueId>> made_;
  std::unordered_map<ValueId, std::vector<Fact>> facts_;  // by the first value of the test
  uint64_t followed_ = 0;                                 // instructions
  BlockId current_ = REJECT;                              // none
  State state_{};
};

}  // namespace carom
