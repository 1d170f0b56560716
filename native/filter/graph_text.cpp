// The simplified program for people.
#include "filter/graph.h"

#include <algorithm>

namespace carom {
namespace {

std::string number(uint32_t value) {
  char text[16];
  snprintf(text, sizeof text, value < 10 ? "%u" : "0x%x", value);
  return text;
}

std::string place(BlockId id) {
  switch (id) {
    case ACCEPT:
      return "accept";
    case REJECT:
      return "reject";
    case PUNT:
      return "ask the general engine";
    default:
      return std::string("block ").append(std::to_string(id - FIRST_BLOCK));
  }
}

std::string numbered(const char* what, uint32_t id) {
  std::string text(what);
  return text.append(std::to_string(id));
}

class Writer {
 public:
  explicit Writer(const Graph& graph) : graph_(graph) {}

  std::string write() {
    if (graph_.first < FIRST_BLOCK) return place(graph_.first) + " every frame\n";
    for (BlockId id = FIRST_BLOCK; id < graph_.blocks.size(); id++) {
      if (graph_.blocks[id].reached) write(id);
    }
    return text_;
  }

 private:
  void write(BlockId id) {
    const Block& block = graph_.blocks[id];
    text_ += place(id) + ":\n";
    if (block.bytes != 0) line("reject if shorter than " + std::to_string(block.bytes) + " bytes");
    for (const Join& join : block.joins) {
      std::string text = numbered("v", join.value) + " = one of";
      for (size_t i = 0; i < join.from.size(); i++) {
        text += (i == 0 ? " " : ", ") + name(join.from[i]) + " from " + place(block.before[i].from);
      }
      line(text);
    }
    for (ValueId value : block.values) line(numbered("v", value) + " = " + formula(graph_.values[value]));
    if (!block.tests) {
      line(place(block.yes));
      return;
    }
    static constexpr const char* SIGNS[] = {" == ", " > ", " >= ", " & "};
    const Test& test = block.test;
    line("if " + name(test.a) + SIGNS[static_cast<int>(test.kind)] + name(test.b) + ": " + place(block.yes) +
         ", else: " + place(block.no));
  }

  void line(const std::string& text) { text_ += "  " + text + "\n"; }

  std::string name(ValueId id) const {
    return graph_.is_constant(id) ? number(graph_.values[id].k) : numbered("v", id);
  }

  std::string formula(const Value& value) const {
    static constexpr const char* SIGNS[] = {" + ", " - ", " * ", " / ",  " % ",
                                            " & ", " | ", " ^ ", " << ", " >> "};
    switch (value.kind) {
      case ValueKind::length:
        return "length";
      case ValueKind::field:
        return numbered("frame[", value.k) + ":" + std::to_string(value.size) + "]";
      case ValueKind::indirect:
        return "frame[" + name(value.a) + " + " + std::to_string(value.k) + ":" + std::to_string(value.size) +
               "]";
      case ValueKind::in_set:
        return name(value.a) + ":" + name(value.b) + " in set " + std::to_string(value.k) + " of " +
               std::to_string(graph_.sets[value.k].size());
      default:
        return name(value.a) + SIGNS[static_cast<int>(value.kind) - static_cast<int>(ValueKind::add)] +
               name(value.b);
    }
  }

  const Graph& graph_;
  std::string text_;
};

}  // namespace

bool Graph::uses(ValueKind kind) const {
  return std::any_of(blocks.begin(), blocks.end(), [&](const Block& block) {
    return block.reached && std::any_of(block.values.begin(), block.values.end(),
                                        [&](ValueId id) { return values[id].kind == kind; });
  });
}

std::string Graph::listing() const { return Writer(*this).write(); }

}  // namespace carom
