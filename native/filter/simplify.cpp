#include "filter/simplify.h"

#include <algorithm>
#include <unordered_map>

#include "filter/graph_builder.h"

namespace carom {
namespace {

constexpr uint64_t NEVER = UINT64_MAX;

bool can_reject(const Graph& graph, const Block& block) {
  return std::any_of(block.values.begin(), block.values.end(),
                     [&](ValueId id) { return graph.values[id].kind == ValueKind::indirect; });
}

// How many bytes a frame needs, at the least, to be accepted by way of each block. One that can't be is
// replaced by REJECT, one that does nothing but accept by ACCEPT.
std::vector<uint64_t> shorten(Graph& graph) {
  std::vector<uint64_t> needed(graph.blocks.size());
  std::vector<BlockId> becomes(graph.blocks.size());
  for (BlockId id = 0; id < FIRST_BLOCK; id++) becomes[id] = id;
  needed[REJECT] = NEVER;
  for (BlockId id = static_cast<BlockId>(graph.blocks.size()); id-- > FIRST_BLOCK;) {
    Block& block = graph.blocks[id];
    block.yes = becomes[block.yes];
    block.no = becomes[block.no];
    if (block.tests && block.yes == block.no && block.yes < FIRST_BLOCK) block.tests = false;
    uint64_t after = needed[block.yes];
    if (block.tests) after = std::min(after, needed[block.no]);
    needed[id] = after == NEVER ? NEVER : std::max<uint64_t>(block.bytes, after);
    bool does_nothing = !block.tests && needed[id] == 0 && !can_reject(graph, block);
    becomes[id] = needed[id] == NEVER ? REJECT : does_nothing && block.yes < FIRST_BLOCK ? block.yes : id;
  }
  graph.first = becomes[graph.first];
  return needed;
}

// Forgets the ways that are no longer there.
void drop_unreached(Graph& graph) {
  if (graph.first >= FIRST_BLOCK) graph.blocks[graph.first].reached = true;
  for (BlockId id = FIRST_BLOCK; id < graph.blocks.size(); id++) {
    Block& block = graph.blocks[id];
    size_t kept = 0;
    for (size_t i = 0; i < block.before.size(); i++) {
      auto [from, is_no] = block.before[i];
      const Block& source = graph.blocks[from];
      bool leads_here = source.reached && (is_no ? source.tests && source.no == id : source.yes == id);
      if (!leads_here) continue;
      block.before[kept] = block.before[i];
      for (Join& join : block.joins) join.from[kept] = join.from[i];
      kept++;
    }
    block.before.resize(kept);
    for (Join& join : block.joins) join.from.resize(kept);
    block.reached |= kept > 0;
  }
}

// A check where a frame first can turn out too short, and none where it is known to be long enough. As it
// asks for all that is needed further on, most programs are left with one.
void hoist_checks(Graph& graph, std::span<const uint64_t> needed) {
  std::vector<uint64_t> known(graph.blocks.size());
  for (BlockId id = FIRST_BLOCK; id < graph.blocks.size(); id++) {
    Block& block = graph.blocks[id];
    if (!block.reached) continue;
    uint64_t before = block.before.empty() ? 0 : NEVER;
    for (const Edge& edge : block.before) before = std::min(before, known[edge.from]);
    known[id] = std::max(before, needed[id]);
    block.bytes = needed[id] > before ? static_cast<uint32_t>(needed[id]) : 0;
    block.known = static_cast<uint32_t>(known[id]);
  }
}

// Values that nobody uses go, but for loads that can reject a frame.
void drop_unused(Graph& graph) {
  auto use = [&](ValueId id) {
    if (id != NO_VALUE) graph.values[id].used = true;
  };
  for (BlockId id = static_cast<BlockId>(graph.blocks.size()); id-- > FIRST_BLOCK;) {
    Block& block = graph.blocks[id];
    if (!block.reached) continue;
    if (block.tests) use(block.test.a), use(block.test.b);
    for (size_t i = block.values.size(); i-- > 0;) {
      Value& value = graph.values[block.values[i]];
      if (value.kind == ValueKind::indirect) value.used = true;
      if (value.used) use(value.a), use(value.b);
    }
    std::erase_if(block.values, [&](ValueId value) { return !graph.values[value].used; });
    std::erase_if(block.joins, [&](const Join& join) { return !graph.values[join.value].used; });
    for (const Join& join : block.joins) {
      for (ValueId from : join.from) use(from);
    }
  }
}

// Whether a block does nothing but a test that can't reject a frame by itself.
bool is_pure_test(const Block& block) {
  return block.reached && block.tests && block.bytes == 0 && block.values.empty() && block.joins.empty();
}

// Tests in a row that all have the same way out may come in any order: those of one value are put side by
// side, so that who has few registers loads it once ("host A or host B").
void group_tests(Graph& graph) {
  std::vector<bool> done(graph.blocks.size());
  for (BlockId id = FIRST_BLOCK; id < graph.blocks.size(); id++) {
    if (done[id] || !is_pure_test(graph.blocks[id])) continue;
    for (bool goes_on_by_no : {true, false}) {
      auto next_of = [&](const Block& one) { return goes_on_by_no ? one.no : one.yes; };
      auto out_of = [&](const Block& one) { return goes_on_by_no ? one.yes : one.no; };
      const BlockId out = out_of(graph.blocks[id]);
      if (out >= FIRST_BLOCK && !graph.blocks[out].joins.empty()) continue;
      std::vector<BlockId> row{id};
      std::vector<ValueId> order{graph.blocks[id].test.a};
      for (;;) {
        BlockId next = next_of(graph.blocks[row.back()]);
        if (next < FIRST_BLOCK || !is_pure_test(graph.blocks[next])) break;
        if (graph.blocks[next].before.size() != 1 || out_of(graph.blocks[next]) != out) break;
        row.push_back(next);
        order.push_back(graph.blocks[next].test.a);
      }
      if (row.size() < 3) continue;
      std::unordered_map<ValueId, size_t> first;
      for (size_t i = 0; i < order.size(); i++) first.try_emplace(order[i], i);
      std::vector<Test> tests;
      for (BlockId block : row) tests.push_back(graph.blocks[block].test);
      std::stable_sort(tests.begin(), tests.end(),
                       [&](const Test& a, const Test& b) { return first[a.a] < first[b.a]; });
      for (size_t i = 0; i < row.size(); i++) {
        graph.blocks[row[i]].test = tests[i];
        done[row[i]] = true;
      }
      break;
    }
  }
}

}  // namespace

Graph simplify(const Program& program, Scope scope, Checks checks) {
  Graph graph = GraphBuilder(program, scope).build();
  std::vector<uint64_t> loaded;
  for (const Block& block : graph.blocks) loaded.push_back(block.bytes);
  std::vector<uint64_t> needed = shorten(graph);
  if (checks == Checks::late) needed = std::move(loaded);
  drop_unreached(graph);
  hoist_checks(graph, needed);
  drop_unused(graph);
  group_tests(graph);
  return graph;
}

}  // namespace carom
