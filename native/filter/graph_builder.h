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

  // Where a block lies among those that every way to it passes.
  struct Place {
    BlockId above;
    uint32_t depth;
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
  std::optional<bool> known(const Test& test) const;
  bool dominates(BlockId above, BlockId below) const;

  void open(std::vector<Arrival> arrivals);
  void go(Edge edge, uint32_t target);
  void jump(uint32_t target);
  void branch(Test test, uint32_t yes, uint32_t no);
  void end(BlockId at);
  bool require(Test test, bool outcome, BlockId otherwise);

  Block& block() { return graph_.blocks[current_]; }
  bool is_open() const { return current_ != REJECT; }
  uint32_t skip_jumps(uint32_t at) const;
  std::optional<BlockId> end_at(uint32_t at) const;

  const Program& program_;
  Scope scope_;
  Graph graph_;
  std::vector<std::vector<Arrival>> arrivals_;  // for each instruction
  std::vector<Place> places_;                   // for each block
  std::unordered_map<uint64_t, std::vector<ValueId>> made_;
  BlockId current_ = REJECT;  // none
  State state_{};
};

}  // namespace carom
