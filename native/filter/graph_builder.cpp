#include "filter/graph_builder.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include <algorithm>

#include "filter/constants.h"

namespace carom {
namespace {

constexpr size_t FACTS_MAX = 64;  // tests looked at for one that is known
constexpr size_t CANDIDATES_MAX = 8;
constexpr uint64_t FOLLOWED_MAX = 20'000'000;  // instructions: bounds the time for hostile programs

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

uint8_t size_of(const Instruction& one) {
  return BPF_SIZE(one.code) == BPF_W ? 4 : BPF_SIZE(one.code) == BPF_H ? 2 : 1;
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
  const uint8_t size = size_of(one);
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
      return make(indirect(size, state_[1], one.k));
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
  branch(test_of(one, state_), at + 1 + one.yes, at + 1 + one.no);
}

Test GraphBuilder::test_of(const Instruction& one, const State& state) {
  static constexpr TestKind KINDS[] = {TestKind::equal, TestKind::above, TestKind::at_least, TestKind::bits};
  ValueId b = BPF_SRC(one.code) == BPF_X ? state[1] : constant(one.k);
  Test test{KINDS[(BPF_OP(one.code) - BPF_JEQ) >> 4], state[0], b};
  bool is_symmetric = test.kind == TestKind::equal || test.kind == TestKind::bits;
  if (is_symmetric && graph_.is_constant(test.a)) std::swap(test.a, test.b);
  // libpcap compares by a subtraction.
  const Value value = graph_.values[test.a];
  bool is_zero = graph_.is_constant(test.b) && graph_.values[test.b].k == 0;
  if (test.kind == TestKind::equal && is_zero && value.kind == ValueKind::subtract) {
    test = {TestKind::equal, value.a, value.b};
    if (graph_.is_constant(test.a)) std::swap(test.a, test.b);
  }
  return test;
}

// The most that a value can be, as far as that is easily seen.
uint32_t GraphBuilder::most(ValueId id) const {
  const Value& value = graph_.values[id];
  switch (value.kind) {
    case ValueKind::constant:
      return value.k;
    case ValueKind::field:
    case ValueKind::indirect:
      return value.size == 4 ? UINT32_MAX : (1u << 8 * value.size) - 1;
    case ValueKind::bit_and:
      return graph_.is_constant(value.b) ? graph_.values[value.b].k : UINT32_MAX;
    case ValueKind::shift_left: {
      uint64_t shifted =
          graph_.is_constant(value.b) ? uint64_t{most(value.a)} << graph_.values[value.b].k : UINT32_MAX;
      return static_cast<uint32_t>(std::min<uint64_t>(shifted, UINT32_MAX));
    }
    default:
      return UINT32_MAX;
  }
}

// A load at X + k, where X is a sum with a constant that can't overflow: the constant becomes a part of k.
Value GraphBuilder::indirect(uint8_t size, ValueId x, uint32_t k) const {
  const Value& sum = graph_.values[x];
  if (sum.kind == ValueKind::add && graph_.is_constant(sum.b)) {
    uint64_t all = uint64_t{k} + graph_.values[sum.b].k;
    if (all < FRAME_BYTES_MAX / 2 && most(sum.a) < FRAME_BYTES_MAX / 2) {
      return {ValueKind::indirect, size, sum.a, NO_VALUE, static_cast<uint32_t>(all)};
    }
  }
  return {ValueKind::indirect, size, x, NO_VALUE, k};
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

// The value as it was made before on every way to the end of a block, or NO_VALUE.
ValueId GraphBuilder::find(const Value& wanted, BlockId at) const {
  auto there = made_.find(key_of(wanted));
  if (there == made_.end()) return NO_VALUE;
  const std::vector<ValueId>& ids = there->second;
  size_t oldest = ids.size() > CANDIDATES_MAX ? ids.size() - CANDIDATES_MAX : 0;
  for (size_t i = ids.size(); i-- > oldest;) {
    const Value& one = graph_.values[ids[i]];
    if (same(one, wanted) && dominates(one.block, at)) return ids[i];
  }
  return NO_VALUE;
}

// The value as it was made before, where that is on every way to here; otherwise it is computed here.
ValueId GraphBuilder::make(Value wanted) {
  ValueId there = find(wanted, current_);
  if (there != NO_VALUE) return there;
  ValueId id = static_cast<ValueId>(graph_.values.size());
  wanted.block = current_;
  graph_.values.push_back(wanted);
  made_[key_of(wanted)].push_back(id);
  block().values.push_back(id);
  return id;
}

ValueId GraphBuilder::calculate(ValueKind kind, ValueId a, ValueId b) {
  if (kind == ValueKind::add && graph_.is_constant(a)) std::swap(a, b);
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

// What a test gives in a block, from constants and from the tests that every way to it has passed.
std::optional<bool> GraphBuilder::known(const Test& test, BlockId at) const {
  const Value& a = graph_.values[test.a];
  const Value& b = graph_.values[test.b];
  bool is_constant = graph_.is_constant(test.b);
  if (graph_.is_constant(test.a) && is_constant) return holds(test.kind, a.k, b.k);
  if (test.kind == TestKind::at_least && is_constant && b.k == 0) return true;
  if (test.kind == TestKind::above && is_constant && b.k == UINT32_MAX) return false;
  if (test.kind == TestKind::bits && is_constant && b.k == 0) return false;
  auto there = facts_.find(test.a);
  if (there == facts_.end()) return std::nullopt;
  const std::vector<Fact>& facts = there->second;
  size_t oldest = facts.size() > FACTS_MAX ? facts.size() - FACTS_MAX : 0;
  for (size_t i = facts.size(); i-- > oldest;) {
    std::optional<bool> outcome = concluded(facts[i].test, facts[i].outcome, test);
    if (outcome && dominates(facts[i].block, at)) return outcome;
  }
  return std::nullopt;
}

// The same on a way out of a block, from what that way says, too.
std::optional<bool> GraphBuilder::known_on(const Edge& edge, const Test& test) const {
  const Block& from = graph_.blocks[edge.from];
  std::optional<bool> outcome;
  if (from.tests) outcome = concluded(from.test, !edge.is_no, test);
  return outcome ? outcome : known(test, edge.from);
}

// What one test that was passed says of another one.
std::optional<bool> GraphBuilder::concluded(const Test& passed, bool outcome, const Test& test) const {
  if (passed == test) return outcome;
  bool is_fixed = passed.kind == TestKind::equal && outcome && passed.a == test.a;
  if (!is_fixed || !graph_.is_constant(passed.b) || !graph_.is_constant(test.b)) return std::nullopt;
  return holds(test.kind, graph_.values[passed.b].k, graph_.values[test.b].k);
}

bool GraphBuilder::dominates(BlockId above, BlockId below) const {
  const uint32_t depth = places_[above].depth;
  while (places_[below].depth > depth) {
    BlockId far = places_[below].jump;
    below = places_[far].depth >= depth ? far : places_[below].above;
  }
  return below == above;
}

// The last block that every way to both of two passes.
BlockId GraphBuilder::common(BlockId one, BlockId other) const {
  if (places_[one].depth < places_[other].depth) std::swap(one, other);
  while (places_[one].depth > places_[other].depth) {
    BlockId far = places_[one].jump;
    one = places_[far].depth >= places_[other].depth ? far : places_[one].above;
  }
  while (one != other) {
    bool is_far = places_[one].jump != places_[other].jump;
    one = is_far ? places_[one].jump : places_[one].above;
    other = is_far ? places_[other].jump : places_[other].above;
  }
  return one;
}

GraphBuilder::Place GraphBuilder::place_below(BlockId above) const {
  const Place& place = places_[above];
  const Place& far = places_[place.jump];
  bool is_even = place.depth - far.depth == far.depth - places_[far.jump].depth;
  return {above, is_even ? far.jump : above, place.depth + 1};
}

// Begins the next block, with what the registers hold on all the ways into it.
void GraphBuilder::open(std::vector<Arrival> arrivals) {
  current_ = static_cast<BlockId>(graph_.blocks.size());
  Block fresh;
  BlockId above = current_;
  for (const Arrival& arrival : arrivals) {
    auto [from, is_no] = arrival.edge;
    fresh.before.push_back(arrival.edge);
    (is_no ? graph_.blocks[from].no : graph_.blocks[from].yes) = current_;
    above = above == current_ ? from : common(above, from);
  }
  if (arrivals.size() == 1 && graph_.blocks[above].tests) {
    const Test& passed = graph_.blocks[above].test;
    facts_[passed.a].push_back({current_, passed, !arrivals[0].edge.is_no});
  }
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
  places_.push_back(above == current_ ? Place{current_, current_, 0} : place_below(above));
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
  State state = state_;
  target = follow(edge, target, state);
  if (std::optional<BlockId> at = end_at(target)) {
    (edge.is_no ? from.no : from.yes) = *at;
  } else {
    arrivals_[target].push_back({edge, state});
  }
}

// Where a way really leads: past tests whose outcome it knows, as long as it needs no value that was not
// there before. `state` becomes what the registers hold there.
uint32_t GraphBuilder::follow(const Edge& edge, uint32_t target, State& state) {
  std::span<const Instruction> all = program_.instructions();
  target = skip_jumps(target);
  State here = state;
  for (uint32_t at = target; followed_ < FOLLOWED_MAX; followed_++) {
    const Instruction& one = all[at];
    if (BPF_CLASS(one.code) == BPF_RET) break;
    if (BPF_CLASS(one.code) != BPF_JMP) {
      if (!step(one, edge.from, here)) break;
      at++;
      continue;
    }
    if (BPF_OP(one.code) == BPF_JA) {
      at = skip_jumps(at);
      continue;
    }
    std::optional<bool> outcome = known_on(edge, test_of(one, here));
    if (!outcome) break;
    at = target = skip_jumps(at + 1 + (*outcome ? one.yes : one.no));
    state = here;
  }
  return target;
}

// Runs an instruction from values that are there at the end of a block; false when it needs another one.
bool GraphBuilder::step(const Instruction& one, BlockId at, State& state) {
  ValueId value = NO_VALUE;
  switch (BPF_CLASS(one.code)) {
    case BPF_LD:
    case BPF_LDX:
      value = load_again(one, at, state);
      if (value != NO_VALUE) state[BPF_CLASS(one.code) == BPF_LDX] = value;
      return value != NO_VALUE;
    case BPF_ST:
    case BPF_STX:
      state[2 + one.k] = state[BPF_CLASS(one.code) == BPF_STX];
      return true;
    case BPF_ALU: {
      uint16_t operation = BPF_OP(one.code);
      ValueId b = BPF_SRC(one.code) == BPF_X ? state[1] : constant(one.k);
      bool divides = operation == BPF_DIV || operation == BPF_MOD;
      if (operation == BPF_NEG || (divides && BPF_SRC(one.code) == BPF_X)) return false;
      value = calculate_again(kind_of(operation), state[0], b, at);
      break;
    }
    default:
      if (one.code == CODE_IN_SET) {
        value = find({ValueKind::in_set, 0, state[2 + (one.k >> 16)], state[0], one.k & 0xffff}, at);
        break;
      }
      state[BPF_MISCOP(one.code) == BPF_TAX] = state[BPF_MISCOP(one.code) != BPF_TAX];
      return true;
  }
  if (value != NO_VALUE) state[0] = value;
  return value != NO_VALUE;
}

ValueId GraphBuilder::load_again(const Instruction& one, BlockId at, const State& state) {
  const uint8_t size = size_of(one);
  switch (BPF_MODE(one.code)) {
    case BPF_IMM:
      return constant(one.k);
    case BPF_MEM:
      return state[2 + one.k];
    case BPF_LEN:
      return find({ValueKind::length}, at);
    case BPF_ABS:
      return find({ValueKind::field, size, NO_VALUE, NO_VALUE, one.k}, at);
    case BPF_IND: {
      if (!graph_.is_constant(state[1])) {
        return find(indirect(size, state[1], one.k), at);
      }
      uint64_t place = uint64_t{graph_.values[state[1]].k} + one.k;
      if (place > UINT32_MAX) return NO_VALUE;
      return find({ValueKind::field, size, NO_VALUE, NO_VALUE, static_cast<uint32_t>(place)}, at);
    }
    default: {  // BPF_MSH
      ValueId field = find({ValueKind::field, 1, NO_VALUE, NO_VALUE, one.k}, at);
      if (field == NO_VALUE) return NO_VALUE;
      ValueId words = calculate_again(ValueKind::bit_and, field, constant(0xf), at);
      if (words == NO_VALUE) return NO_VALUE;
      if (scope_ == Scope::whole) return calculate_again(ValueKind::shift_left, words, constant(2), at);
      bool is_plain = known({TestKind::equal, words, constant(PLAIN_HEADER_WORDS)}, at) == true;
      return is_plain ? constant(PLAIN_HEADER_WORDS * 4) : NO_VALUE;
    }
  }
}

ValueId GraphBuilder::calculate_again(ValueKind kind, ValueId a, ValueId b, BlockId at) {
  if (kind == ValueKind::add && graph_.is_constant(a)) std::swap(a, b);
  ValueId id = simpler(kind, a, b);
  return id != NO_VALUE ? id : find({kind, 0, a, b}, at);
}

void GraphBuilder::jump(uint32_t target) {
  go({current_, false}, skip_jumps(target));
  current_ = REJECT;
}

void GraphBuilder::branch(Test test, uint32_t yes, uint32_t no) {
  yes = skip_jumps(yes);
  no = skip_jumps(no);
  std::optional<bool> outcome = yes == no ? true : known(test, current_);
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
  if (std::optional<bool> is = known(test, current_)) {
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
