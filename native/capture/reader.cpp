#include "capture/reader.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include "core/error.h"

namespace carom {
namespace {

constexpr size_t MAGIC_SIZE = 4;

// The name that libpcap has for a link type: its own numbers are others for some of those in files.
int dlt_of(uint32_t link_type) noexcept {
  constexpr uint32_t LINK_TYPE_RAW = 101;
  constexpr uint32_t OPENBSD_RAW = 14;
  if (link_type == LINK_TYPE_RAW || link_type == OPENBSD_RAW) return DLT_RAW;
  return static_cast<int>(link_type);
}

}  // namespace

CaptureReader::CaptureReader(const std::string& path)
    : path_(path), bytes_(path), in_{CaptureWindow(bytes_)} {
  open();
}

CaptureReader::CaptureReader(Again, const CaptureReader& other)
    : path_(other.path_), bytes_(other.path_, other.bytes_), in_{CaptureWindow(bytes_), other.in_.remarks} {
  open();
}

void CaptureReader::open() {
  Step step;
  if (!in_.window.has(MAGIC_SIZE)) {
    step = in_.cut_short(0, MAGIC_SIZE, "file header bytes");
  } else if (PcapngFile::begins(in_.window.data())) {
    step = pcapng_.open(in_);
    format_ = CaptureFormat::pcapng;
  } else if (PcapFile::begins(in_.window.data())) {
    step = pcap_.open(in_);
    format_ = pcap_.is_nano() ? CaptureFormat::pcap_ns : CaptureFormat::pcap_us;
  } else {
    step = in_.broken("unknown file format");
  }
  if (step == Step::nothing) return;
  std::string detail = *bytes_.trouble() != 0 ? bytes_.trouble() : "not a capture: " + in_.trouble;
  throw Error(ErrorCode::usage, "read the capture " + (path_ == "-" ? "on standard input" : path_), detail,
              "carom reads pcap and pcapng, plain or compressed with gzip or zstd");
}

bool CaptureReader::next(CapturedFrame& out) noexcept {
  if (ended_) return false;
  Step step;
  do {
    step = format_ == CaptureFormat::pcapng ? pcapng_.next(in_, out) : pcap_.next(in_, out);
  } while (step == Step::nothing);
  if (step != Step::frame) return stop(step == Step::broken);
  end_.frames++;
  return true;
}

bool CaptureReader::stop(bool is_broken) noexcept {
  ended_ = true;
  end_.packets = in_.packets;
  end_.bytes = is_broken ? in_.trouble_at : in_.window.position();
  end_.cancelled = bytes_.cancelled();
  if (end_.cancelled) return false;
  if (*bytes_.trouble() != 0) {
    end_.broken = bytes_.trouble();
  } else if (is_broken) {
    end_.broken = in_.trouble;
  }
  return false;
}

std::vector<uint32_t> CaptureReader::link_types() const {
  return format_ == CaptureFormat::pcapng ? pcapng_.link_types() : std::vector{pcap_.link_type()};
}

std::string CaptureReader::link_types_text() const {
  std::string text;
  for (uint32_t link_type : link_types()) text += (text.empty() ? "" : ", ") + link_type_text(link_type);
  return text.empty() ? "no interface" : text;
}

std::string CaptureEnd::text() const {
  if (broken.empty()) return "";
  return "frame " + std::to_string(packets + 1) + ", at byte " + std::to_string(bytes) + ": " + broken;
}

std::string link_type_text(uint32_t link_type) {
  const char* name = pcap_datalink_val_to_name(dlt_of(link_type));
  const char* description = pcap_datalink_val_to_description(dlt_of(link_type));
  if (name == nullptr) return "number " + std::to_string(link_type);
  return std::string(name) + (description == nullptr ? "" : " (" + std::string(description) + ")");
}

}  // namespace carom
