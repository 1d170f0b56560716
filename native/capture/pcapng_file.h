// Reads pcapng (draft-ietf-opsawg-pcapng): sections of both byte orders, interfaces of any link type and time
// resolution, packets in Enhanced, Simple and (obsolete) Packet Blocks. Blocks of all other types are passed
// over, whatever their length. The length of a section is not needed, and not believed.
#pragma once

#include <vector>

#include "capture/records.h"

namespace carom {

class PcapngFile {
 public:
  // Whether a file that begins with these four bytes is one.
  static bool begins(const uint8_t* type) noexcept;

  // The header of the first section. Step::nothing, or Step::broken when it is not one that can be read.
  Step open(CaptureInput& in) noexcept { return section(in); }
  Step next(CaptureInput& in, CapturedFrame& out) noexcept;

  uint64_t interfaces() const noexcept { return described_; }  // so far, of all sections

  // Of the interfaces that had packets so far; where none had any, of those described. Up to 16.
  const std::vector<uint32_t>& link_types() const noexcept { return used_.empty() ? known_ : used_; }

 private:
  struct Interface {
    uint16_t link_type = 0;
    bool is_readable = false;
    bool is_used = false;
    bool is_binary = false;    // the unit of time is a power of two
    uint8_t exponent = 6;      // of the unit, negative
    uint32_t fcs = 0;          // bytes at the end of each frame
    uint32_t snap_length = 0;  // 0: none
    uint64_t factor = 1000;    // ns of a unit that is a power of ten, or
    uint64_t divisor = 1;      // units of a ns; 0: a unit is so small that all of them are no ns
    int64_t offset_s = 0;      // what is added to each time
  };
  struct Packet {
    uint32_t interface;
    uint32_t captured;
    uint32_t length;
    uint32_t data;  // where its bytes begin in the block
    uint64_t units;
    bool has_time;
  };

  uint16_t number16(const uint8_t* at) const noexcept;
  uint32_t number(const uint8_t* at) const noexcept;
  Step section(CaptureInput& in) noexcept;
  Step end_block(CaptureInput& in, uint32_t length) noexcept;
  void interface(const uint8_t* block, uint32_t length, uint32_t there) noexcept;
  bool read_option(Interface& out, uint16_t code, const uint8_t* value, uint32_t size) noexcept;
  Packet read_packet(const uint8_t* block, uint32_t type) const noexcept;
  Step packet(CaptureInput& in, CapturedFrame& out, uint32_t type, uint32_t length, uint32_t there) noexcept;
  uint32_t fcs_of(CaptureInput& in, const Interface& from, const uint8_t* at, const uint8_t* end) noexcept;
  template <class Each>
  bool each_option(const uint8_t* at, const uint8_t* end, Each each) const noexcept;

  bool swapped_ = false;  // the section has the other byte order
  uint32_t pending_ = 0;  // the length of a block that is longer than the window, and to be passed
  uint64_t described_ = 0;
  std::vector<Interface> interfaces_;  // of this section
  std::vector<uint32_t> known_;
  std::vector<uint32_t> used_;
};

}  // namespace carom
