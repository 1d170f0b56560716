#include "filter/graph_builder.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include <algorithm>

#include "filter/constants.h"

namespace carom {
namespace {

constexpr uint32_t FACTS_MAX = 64;        // tests looked at for one that is known
constexpr uint32_t DOMINATORS_MAX = 512;  // blocks looked at: bounds the time for hostile programs
constexpr size_t CANDIDATES_MAX = 8;

ValueKind kind_of(uint16_t operation) {
  switch (operation) {
    case BPF_ADD:
      return ValueKind::add;
    case BPF_MUL:
      return ValueKind::multiply;
    case BPF_DIV:
      return ValueKind::divide;
    case BPF_MOD:
      return ValueKind::modulo;
    case BPF_AND:
      return ValueKind::bit_and;
    case BPF_OR:
      return ValueKind::bit_or;
    case BPF_XOR:
      return ValueKind::bit_xor;
    case BPF_LSH:
      return ValueKind::shift_left;
    case BPF_RSH:
      return ValueKind::shift_right;
    default:
      return ValueKind::subtract;  // BPF_SUB, and BPF_NEG from zero
  }
}

// Different values may share a key: it only finds candidates.
uint64_t key_of(const Value& value) {
  uint64_t key = static_cast<uint64_t>(value.kind) << 8 | value.size;
  for (uint32_t part : {value.a, value.b, value.k}) key = (key ^ part) * 0x9e3779b97f4a7c15ull;
  return key;
}

bool same(const Value& one, const Value& other) {
  return one.kind == other.kind && one.size == other.size && one.a == other.a && one.b == other.b &&
         one.k == other.k;
}

}  // namespace

GraphBuilder::GraphBuilder(const Program& program, Scope scope) : program_(program), scope_(scope) {
  arrivals_.resize(program.instructions().size());
  graph_.blocks.resize(FIRST_BLOCK);
  graph_.sets = program.sets();
  places_.resize(FIRST_BLOCK);
}

Graph GraphBuilder::build() {
  State nothing;
  nothing.fill(constant(0));
  graph_.first = FIRST_BLOCK;
  open({});
  state_ = nothing;
  std::span<const Instruction> all = program_.instructions();
  for (uint32_t at = 0; at < all.size(); at++) {
    if (!arrivals_[at].empty()) {
      if (is_open()) go({current_, false}, at);
      open(std::exchange(arrivals_[at], {}));
    }
    if (is_open()) run(all[at], at);
  }
  return std::move(graph_);
}

void GraphBuilder::run(const Instruction& one, uint32_t at) {
  switch (BPF_CLASS(one.code)) {
    case BPF_RET:
      if (BPF_RVAL(one.code) != BPF_A) {
        end(one.k != 0 ? ACCEPT : REJECT);
      } else if (require({TestKind::equal, state_[0], constant(0)}, false, REJECT)) {
        end(ACCEPT);
      }
      break;
    case BPF_LD:
    case BPF_LDX:
      run_load(one);
      break;
    case BPF_ST:
    case BPF_STX:
      state_[2 + one.k] = state_[BPF_CLASS(one.code) == BPF_STX];
      break;
    case BPF_ALU:
      run_calculation(one);
      break;
    case BPF_JMP:
      run_jump(one, at);
      break;
    case BPF_MISC:
      if (one.code == CODE_IN_SET) {
        state_[0] = make({ValueKind::in_set, 0, state_[2 + (one.k >> 16)], state_[0], one.k & 0xffff});
      } else if (BPF_MISCOP(one.code) == BPF_TAX) {
        state_[1] = state_[0];
      } else {
        state_[0] = state_[1];
      }
      break;
  }
}

void GraphBuilder::run_load(const Instruction& one) {
  ValueId value = load(one);
  if (is_open()) state_[BPF_CLASS(one.code) == BPF_LDX] = value;
}

ValueId GraphBuilder::load(const Instruction& one) {
  uint8_t size = BPF_SIZE(one.code) == BPF_W ? 4 : BPF_SIZE(one.code) == BPF_H ? 2 : 1;
  switch (BPF_MODE(one.code)) {
    case BPF_IMM:
      return constant(one.k);
    case BPF_MEM:
      return state_[2 + one.k];
    case BPF_LEN:
      return make({ValueKind::length});
    case BPF_ABS:
      return load_field(one.k, size);
    case BPF_IND:
      if (graph_.is_constant(state_[1]))
        return load_field(uint64_t{graph_.values[state_[1]].k} + one.k, size);
      if (scope_ == Scope::head || uint64_t{one.k} + size > FRAME_BYTES_MAX) {
        end(scope_ == Scope::head ? PUNT : REJECT);
        return NO_VALUE;
      }
      return make({ValueKind::indirect, size, state_[1], NO_VALUE, one.k});
    default: {  // BPF_MSH
      ValueId field = load_field(one.k, 1);
      if (!is_open()) return NO_VALUE;
      ValueId words = calculate(ValueKind::bit_and, field, constant(0xf));
      if (scope_ == Scope::whole) return calculate(ValueKind::shift_left, words, constant(2));
      require({TestKind::equal, words, constant(PLAIN_HEADER_WORDS)}, true, PUNT);
      return constant(PLAIN_HEADER_WORDS * 4);
    }
  }
}

ValueId GraphBuilder::load_field(uint64_t at, uint8_t size) {
  uint64_t bytes = at + size;
  if (bytes > FRAME_BYTES_MAX || (scope_ == Scope::head && bytes > HEAD_BYTES)) {
    end(bytes > FRAME_BYTES_MAX ? REJECT : PUNT);
    return NO_VALUE;
  }
  block().bytes = std::max(block().bytes, static_cast<uint32_t>(bytes));
  return make({ValueKind::field, size, NO_VALUE, NO_VALUE, static_cast<uint32_t>(at)});
}

void GraphBuilder::run_calculation(const Instruction& one) {
  uint16_t operation = BPF_OP(one.code);
  if (operation == BPF_NEG) {
    state_[0] = calculate(ValueKind::subtract, constant(0), state_[0]);
    return;
  }
  ValueId b = BPF_SRC(one.code) == BPF_X ? state_[1] : constant(one.k);
  bool divides = operation == BPF_DIV || operation == BPF_MOD;
  if (divides && !require({TestKind::equal, b, constant(0)}, false, REJECT)) return;
  state_[0] = calculate(kind_of(operation), state_[0], b);
}

void GraphBuilder::run_jump(const Instruction& one, uint32_t at) {
  if (BPF_OP(one.code) == BPF_JA) {
    jump(at + 1 + one.k);
    return;
  }
  static constexpr TestKind KINDS[] = {TestKind::equal, TestKind::above, TestKind::at_least, TestKind::bits};
  ValueId b = BPF_SRC(one.code) == BPF_X ? state_[1] : constant(one.k);
  branch({KINDS[(BPF_OP(one.code) - BPF_JEQ) >> 4], state_[0], b}, at + 1 + one.yes, at + 1 + one.no);
}

ValueId GraphBuilder::constant(uint32_t k) {
  Value wanted{ValueKind::constant};
  wanted.k = k;
  std::vector<ValueId>& there = made_[key_of(wanted)];
  for (ValueId id : there) {
    if (same(graph_.values[id], wanted)) return id;
  }
  graph_.values.push_back(wanted);
  there.push_back(static_cast<ValueId>(graph_.values.size() - 1));
  return there.back();
}

// The value as it was made before, where that is on every way to here; otherwise it is computed here.
ValueId GraphBuilder::make(Value wanted) {
  std::vector<ValueId>& there = made_[key_of(wanted)];
  size_t oldest = there.size() > CANDIDATES_MAX ? there.size() - CANDIDATES_MAX : 0;
  for (size_t i = there.size(); i-- > oldest;) {
    const Value& one = graph_.values[there[i]];
    if (same(one, wanted) && dominates(one.block, current_)) return there[i];
  }
  ValueId id = static_cast<ValueId>(graph_.values.size());
  wanted.block = current_;
  graph_.values.push_back(wanted);
  there.push_back(id);
  block().values.push_back(id);
  return id;
}

ValueId GraphBuilder::calculate(ValueKind kind, ValueId a, ValueId b) {
  ValueId id = simpler(kind, a, b);
  return id != NO_VALUE ? id : make({kind, 0, a, b});
}

// A value that is there already, where the operation needs none of its own.
ValueId GraphBuilder::simpler(ValueKind kind, ValueId a, ValueId b) {
  if (!graph_.is_constant(b)) return NO_VALUE;
  uint32_t k = graph_.values[b].k;
  if (graph_.is_constant(a)) return constant(result(kind, graph_.values[a].k, k));
  switch (kind) {
    case ValueKind::add:
    case ValueKind::subtract:
    case ValueKind::bit_or:
    case ValueKind::bit_xor:
      return k == 0 ? a : NO_VALUE;
    case ValueKind::shift_left:
    case ValueKind::shift_right:
      return k == 0 ? a : k > 31 ? constant(0) : NO_VALUE;
    case ValueKind::multiply:
      return k == 1 ? a : k == 0 ? b : NO_VALUE;
    case ValueKind::divide:
      return k == 1 ? a : NO_VALUE;
    case ValueKind::modulo:
      return k == 1 ? constant(0) : NO_VALUE;
    case ValueKind::bit_and: {
      const Value& value = graph_.values[a];
      bool is_field = value.kind == ValueKind::field || value.kind == ValueKind::indirect;
      uint32_t all = is_field && value.size < 4 ? (1u << 8 * value.size) - 1 : UINT32_MAX;
      return k == 0 ? b : (k & all) == all ? a : NO_VALUE;
    }
    default:
      return NO_VALUE;
  }
}

// What a test gives here, from constants and from the tests that every way to here has passed.
std::optional<bool> GraphBuilder::known(const Test& test) const {
  const Value& a = graph_.values[test.a];
  const Value& b = graph_.values[test.b];
  bool is_constant = graph_.is_constant(test.b);
  if (graph_.is_constant(test.a) && is_constant) return holds(test.kind, a.k, b.k);
  if (test.kind == TestKind::at_least && is_constant && b.k == 0) return true;
  if (test.kind == TestKind::above && is_constant && b.k == UINT32_MAX) return false;
  if (test.kind == TestKind::bits && is_constant && b.k == 0) return false;
  BlockId at = current_;
  for (uint32_t i = 0; i < FACTS_MAX && at >= FIRST_BLOCK; i++, at = places_[at].above) {
    if (graph_.blocks[at].before.size() != 1) continue;
    auto [from, is_no] = graph_.blocks[at].before[0];
    if (!graph_.blocks[from].tests) continue;
    const Test& passed = graph_.blocks[from].test;
    if (passed == test) return !is_no;
    bool is_fixed = passed.kind == TestKind::equal && !is_no && passed.a == test.a;
    if (is_fixed && is_constant && graph_.is_constant(passed.b)) {
      return holds(test.kind, graph_.values[passed.b].k, b.k);
    }
  }
  return std::nullopt;
}

bool GraphBuilder::dominates(BlockId above, BlockId below) const {
  for (uint32_t i = 0; i < DOMINATORS_MAX && places_[below].depth > places_[above].depth; i++) {
    below = places_[below].above;
  }
  return below == above;
}

// Begins the next block, with what the registers hold on all the ways into it.
void GraphBuilder::open(std::vector<Arrival> arrivals) {
  current_ = static_cast<BlockId>(graph_.blocks.size());
  Block fresh;
  Place place{current_, 0};
  for (const Arrival& arrival : arrivals) {
    auto [from, is_no] = arrival.edge;
    fresh.before.push_back(arrival.edge);
    (is_no ? graph_.blocks[from].no : graph_.blocks[from].yes) = current_;
    BlockId other = from;
    if (place.above == current_) place.above = from;
    while (place.above != other) {
      BlockId& deeper = places_[place.above].depth > places_[other].depth ? place.above : other;
      deeper = places_[deeper].above;
    }
  }
  if (!arrivals.empty()) place.depth = places_[place.above].depth + 1;
  for (size_t i = 0; !arrivals.empty() && i < state_.size(); i++) {
    state_[i] = arrivals[0].state[i];
    bool differs = std::any_of(arrivals.begin(), arrivals.end(),
                               [&](const Arrival& arrival) { return arrival.state[i] != state_[i]; });
    if (!differs) continue;
    Join join{static_cast<ValueId>(graph_.values.size()), {}};
    for (const Arrival& arrival : arrivals) join.from.push_back(arrival.state[i]);
    Value value{ValueKind::join};
    value.block = current_;
    graph_.values.push_back(value);
    state_[i] = join.value;
    fresh.joins.push_back(std::move(join));
  }
  graph_.blocks.push_back(std::move(fresh));
  places_.push_back(place);
}

uint32_t GraphBuilder::skip_jumps(uint32_t at) const {
  std::span<const Instruction> all = program_.instructions();
  while (all[at].code == (BPF_JMP | BPF_JA)) at += 1 + all[at].k;
  return at;
}

std::optional<BlockId> GraphBuilder::end_at(uint32_t at) const {
  const Instruction& one = program_.instructions()[at];
  if (one.code != (BPF_RET | BPF_K)) return std::nullopt;
  return one.k != 0 ? ACCEPT : REJECT;
}

void GraphBuilder::go(Edge edge, uint32_t target) {
  Block& from = graph_.blocks[edge.from];
  if (std::optional<BlockId> at = end_at(target)) {
    (edge.is_no ? from.no : from.yes) = *at;
  } else {
    arrivals_[target].push_back({edge, state_});
  }
}

void GraphBuilder::jump(uint32_t target) {
  go({current_, false}, skip_jumps(target));
  current_ = REJECT;
}

void GraphBuilder::branch(Test test, uint32_t yes, uint32_t no) {
  yes = skip_jumps(yes);
  no = skip_jumps(no);
  bool is_symmetric = test.kind == TestKind::equal || test.kind == TestKind::bits;
  if (is_symmetric && graph_.is_constant(test.a)) std::swap(test.a, test.b);
  std::optional<bool> outcome = yes == no ? true : known(test);
  if (outcome) {
    jump(*outcome ? yes : no);
    return;
  }
  block().tests = true;
  block().test = test;
  go({current_, false}, yes);
  go({current_, true}, no);
  current_ = REJECT;
}

void GraphBuilder::end(BlockId at) {
  block().yes = at;
  current_ = REJECT;
}

// Goes on in a block of its own where the test gives `outcome`, and to an end elsewhere. False when that is
// everywhere.
bool GraphBuilder::require(Test test, bool outcome, BlockId otherwise) {
  if (std::optional<bool> is = known(test)) {
    if (*is != outcome) end(otherwise);
    return *is == outcome;
  }
  block().tests = true;
  block().test = test;
  (outcome ? block().no : block().yes) = otherwise;
  open({{{current_, !outcome}, state_}});
  return true;
}

}  // namespace carom
