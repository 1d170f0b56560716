// A filter, ready to run: a program on one of the engines. All of them give the same verdicts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "filter/frame_layout.h"
#include "filter/graph.h"
#include "filter/machine_code.h"
#include "filter/program.h"
#include "frame/headers.h"

namespace carom {

struct FilterEngine {
  std::string_view name;
  std::string_view says;
  uint32_t lanes;  // frames in lockstep; 0: one after the other
  bool has_head;   // reads the first bytes of a frame at once, and gathers for what needs more
  // "" if this processor has what it takes, otherwise why not.
  std::string (*probe)();
};

// From the reference to the fastest; `simd`, the last, chooses the best of those that begin with its name.
std::span<const FilterEngine> filter_engines();

class Filter {
 public:
  struct Options {
    std::string_view engine = "auto";
    FrameLayout layout = FILTER_FRAME;
    bool listed = false;  // keeps the machine code as text
  };

  // Throws Error: usage for an engine that does not exist, environment for one that can't be had here.
  Filter(Program program, const Options& options);
  ~Filter();
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  // Decides a batch: bit i % 64 of verdicts[i / 64] is 1 if frame i is accepted. All words that hold a
  // verdict are written, unused bits as 0.
  void match(const void* frames, uint32_t count, uint64_t* verdicts) const noexcept;

  std::string_view engine() const noexcept { return engine_->name; }
  bool never() const noexcept { return whole_.never(); }
  bool always() const noexcept { return whole_.always(); }
  // Every frame that an Ethernet interface gives: those have at least their header.
  bool always_ethernet() const noexcept { return whole_.always_from(ETHERNET_SIZE); }
  const Program& program() const noexcept { return *program_; }
  const Graph& graph() const noexcept { return whole_; }
  size_t code_bytes() const noexcept { return head_.size() + general_.size(); }
  // Whether the first bytes of a frame are read at once, and by what graph.
  const Graph* head_graph() const noexcept { return head_.size() != 0 ? &head_graph_ : nullptr; }
  const std::string& listing() const noexcept { return listing_; }

 private:
  void make_code(bool listed);
  void match_chunk(const uint8_t* frames, uint32_t count, uint64_t* verdicts) const noexcept;
  void match_general(const uint8_t* frames, uint32_t count, uint64_t* verdicts) const noexcept;
  void interpret_some(const uint8_t* frames, const uint64_t* which, uint32_t count,
                      uint64_t* verdicts) const noexcept;
  uint64_t run_lanes(FilterFunction function, const uint8_t* frames, uint32_t count, uint64_t* verdicts,
                     uint64_t* punts) const noexcept;

  std::unique_ptr<const Program> program_;  // stays where it is: graphs and code refer to its sets
  FrameLayout layout_;
  const FilterEngine* engine_;
  Graph whole_;
  Graph head_graph_;
  MachineCode general_;
  MachineCode head_;
  std::string listing_;
};

}  // namespace carom
