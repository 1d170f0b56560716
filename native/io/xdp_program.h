// An XDP program: loaded, configured, attached and, however the process ends, detached.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/packet_io.h"
#include "io/xdp_filter.h"

struct bpf_link;
struct bpf_map;
struct bpf_object;
struct bpf_program;

namespace carom {

// A compiled eBPF object that the addon carries, and the program in it.
struct XdpObject {
  const unsigned char* bytes;
  size_t size;
  const char* program;
};

class XdpProgram {
 public:
  static constexpr uint32_t QUEUES = 64;  // the room in the maps of sockets

  // Called before the program is loaded: sets what can't change afterwards.
  using Prepare = std::function<void(XdpProgram&)>;

  // Attaches to the interface. Throws Error, with what is there already if something is. The attachment is a
  // BPF link that is not pinned, so the kernel removes it when the process ends, by kill -9 too.
  XdpProgram(const IoConfig& config, int interface, const XdpObject& object, const Prepare& prepare);

  // Only loads it: what the kernel's verifier says of it. Throws Error.
  XdpProgram(const IoConfig& config, const XdpObject& object, const Prepare& prepare);
  ~XdpProgram();
  XdpProgram(const XdpProgram&) = delete;
  XdpProgram& operator=(const XdpProgram&) = delete;

  // Sets the first bytes of the program's constants, those in a section (".rodata"); in Prepare only.
  void set_constants(const void* bytes, size_t size, const char* section = ".rodata");

  // The descriptor of one of its maps; once it is loaded.
  int map(const char* name) const;

  bool stamps_any() const noexcept { return stamps_any_; }  // frames, not ticks (io/arrivals.h)

  // Writes an entry of a map. Throws Error.
  void update(const char* map, const void* key, const void* value);

  // The descriptor of another program of the object.
  int program(const char* name) const;

  // Attaches another program of the object, to the tracepoint that it names. Throws Error.
  void trace(const char* name);

  // The memory of a map, shared with the programs: of one of their sections (".bss"), or of an array that can
  // be mapped. Throws Error.
  void* memory(const char* map, size_t size);

  // The sum over all CPUs of each of the 64-bit numbers at the beginning of a map's first value.
  // False when they can't be read.
  bool sum_cpus(const char* map, std::span<uint64_t> sums) const noexcept;

  // Reads a map's first value. False when it can't be read.
  bool read(const char* map, void* value) const noexcept;

  // Changes how many entries a map has, and how many bytes each of them; in Prepare only.
  void resize(const char* map, size_t entries, size_t value_size = 0);  // 0: as it is

  // Leaves out a program of the object that is not needed; in Prepare only.
  void leave_out(const char* name);

  // Gives the frames of a queue to an AF_XDP socket. Throws Error.
  void direct(uint32_t queue, int socket);

  // From now on to none.
  void withdraw(uint32_t queue) noexcept;

  // Whether the filter of the configuration is in the driver; if not, why.
  bool filters() const noexcept { return filter_ && filter_->why_not().empty(); }
  const std::string& why_no_filter() const noexcept { return filter_->why_not(); }

  // Frames that it did not want.
  uint64_t filtered() const noexcept;

  // "native" or "generic".
  const char* mode() const noexcept { return mode_; }

  // Whether it is generic because the driver would not take it.
  bool lacks_native() const noexcept { return lacks_native_; }

 private:
  struct CloseObject {
    void operator()(bpf_object*) const noexcept;
  };
  struct DestroyLink {
    void operator()(bpf_link*) const noexcept;
  };

  void load(const XdpObject& object, const Prepare& prepare);
  int load_once(const XdpObject& object, const Prepare& prepare, bool before_others);  // 0 or -errno
  void prepare_filter();
  void require_counts() const;
  void check(int result, const std::string& what) const;
  bpf_map* find_map(const char* name) const;
  bpf_program* find_program(const char* name) const;
  void attach(const IoConfig& config, int interface, int program);
  std::string operation(const std::string& what) const;

  Link link_;
  bool stamps_any_ = false;
  std::unique_ptr<XdpFilter> filter_;
  std::unique_ptr<bpf_object, CloseObject> object_;
  std::vector<std::span<uint8_t>> memory_;  // mapped
  std::vector<std::unique_ptr<bpf_link, DestroyLink>> traces_;
  int link_fd_ = -1;
  const char* mode_ = "";
  bool lacks_native_ = false;
};

}  // namespace carom
