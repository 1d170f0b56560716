#include "io/packet_tap.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <cctype>
#include <cstring>

#include "core/error.h"

namespace carom {
namespace {

constexpr uint32_t RETIRE_MS = 20;         // a block that does not fill is handed over after this
constexpr uint32_t SLOT_BYTES = 2048;      // V3 packs frames closely: this only has to divide a block
constexpr uint32_t WHOLE_FRAME = 0x40000;  // more than any frame has
constexpr size_t COUNTERS_BYTES = 65536;   // of /proc/net/dev: some hundred interfaces

static_assert(sizeof(bpf_insn) == sizeof(sock_filter));

// The word "vlan" asks of a tag that the kernel has taken out of the frame before a socket's filter sees it.
bool asks_for_tag(const std::string& expression) {
  const std::string word = "vlan";
  auto is_letter = [](char c) { return isalnum(static_cast<unsigned char>(c)) != 0; };
  for (size_t at = expression.find(word); at != std::string::npos; at = expression.find(word, at + 1)) {
    bool begins = at == 0 || !is_letter(expression[at - 1]);
    size_t end = at + word.size();
    if (begins && (end == expression.size() || !is_letter(expression[end]))) return true;
  }
  return false;
}

// What the kernel runs: the direction, then the expression; what is taken is cut to `length`.
std::vector<sock_filter> program_of(std::span<const bpf_insn> expression, TapDirection direction,
                                    uint32_t length) {
  std::vector<sock_filter> program;
  if (direction == TapDirection::out) {
    program.push_back(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  for (const bpf_insn& from : expression) {
    sock_filter to{};
    to.code = static_cast<uint16_t>(from.code);
    to.jt = static_cast<uint8_t>(from.jt);
    to.jf = static_cast<uint8_t>(from.jf);
    to.k = from.k;
    if (to.code == (BPF_RET | BPF_K) && to.k != 0) to.k = length;
    program.push_back(to);
  }
  if (expression.empty()) program.push_back(BPF_STMT(BPF_RET | BPF_K, length));
  return program;
}

ifreq request_of(const Link& link) {
  ifreq request{};
  strncpy(request.ifr_name, link.interface_name.c_str(), IFNAMSIZ - 1);
  return request;
}

}  // namespace

PacketTap::PacketTap(const TapConfig& config) : config_(config) {
  auto operation = [&](const char* what) { return operation_text("capture", config.link, what); };
  const PacketFilter filter(config.filter);
  int interface = interface_index("capture", config.link);
  counters_ = Fd(open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC));
  // Protocol 0 receives nothing until bind: no frame slips in before the filter is there.
  fd_ = Fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd_.open()) throw system_error(operation("open a packet socket"), errno);
  ifreq request = request_of(config.link);
  if (ioctl(fd_.get(), SIOCGIFHWADDR, &request) != 0) throw system_error(operation("ask what it is"), errno);
  bool is_loopback = request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER && !is_loopback) {
    throw Error(ErrorCode::usage, operation("capture"), "it is no Ethernet interface",
                "carom captures Ethernet frames");
  }
  set_option(fd_.get(), SOL_PACKET, PACKET_VERSION, TPACKET_V3, operation("PACKET_VERSION"));
  // On a loopback interface each frame goes out and comes in: once is enough.
  if (config.direction == TapDirection::in || (is_loopback && config.direction == TapDirection::both))
    set_option(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, operation("PACKET_IGNORE_OUTGOING"));
  bool is_hardware = config.timestamps == Provenance::hardware;
  set_option(fd_.get(), SOL_PACKET, PACKET_TIMESTAMP,
             is_hardware ? SOF_TIMESTAMPING_RAW_HARDWARE : SOF_TIMESTAMPING_SOFTWARE,
             operation("PACKET_TIMESTAMP"));
  IoConfig stamps{};
  stamps.timestamps = config.timestamps;
  stamps.rx_stamps = true;
  request_timestamps(fd_.get(), stamps, operation("set up"));
  attach(filter, operation("set the filter (SO_ATTACH_FILTER)"));
  make_ring(operation("make the ring (PACKET_RX_RING)"));
  try {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = interface;
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw system_error(operation("bind"), errno);
    packet_mreq wanted{interface, PACKET_MR_PROMISC, 0, {}};
    if (config.promiscuous) {
      set_option(fd_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof wanted,
                 operation("see frames for others (PACKET_MR_PROMISC)"));
    }
  } catch (...) {
    munmap(ring_, blocks_ * BLOCK_BYTES);
    throw;
  }
  drops_before_ = read_interface_drops();
  notes_.push_back("TPACKET_V3 ring of " + std::to_string(blocks_) + " MiB");
  if (!filters_in_kernel()) notes_.push_back("the filter runs in this thread: " + why_not_in_kernel_);
}

PacketTap::~PacketTap() {
  if (ring_ != nullptr) munmap(ring_, blocks_ * BLOCK_BYTES);
}

void PacketTap::attach(const PacketFilter& filter, const std::string& operation) {
  std::vector<bpf_insn> expression;
  if (filter.filter() != nullptr) expression = socket_code(*filter.filter());
  if (asks_for_tag(config_.filter)) {
    why_not_in_kernel_ = "it asks for VLAN tags, which the kernel has put aside";
  } else if (expression.empty() && !config_.filter.empty()) {
    why_not_in_kernel_ = "it is more than the kernel takes";
  }
  if (!filters_in_kernel()) expression.clear();
  uint32_t length = filters_in_kernel() ? config_.snap_length : WHOLE_FRAME;
  std::vector<sock_filter> code = program_of(expression, config_.direction, length);
  sock_fprog program{static_cast<uint16_t>(code.size()), code.data()};
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    throw system_error(
        operation, errno,
        errno == ENOMEM || errno == EINVAL ? "it is longer than the kernel takes: make it simpler" : "");
  }
}

void PacketTap::make_ring(const std::string& operation) {
  blocks_ = config_.ring_bytes / BLOCK_BYTES;
  tpacket_req3 request{};
  request.tp_block_size = BLOCK_BYTES;
  request.tp_block_nr = static_cast<uint32_t>(blocks_);
  request.tp_frame_size = SLOT_BYTES;
  request.tp_frame_nr = static_cast<uint32_t>(blocks_ * (BLOCK_BYTES / SLOT_BYTES));
  request.tp_retire_blk_tov = RETIRE_MS;
  if (setsockopt(fd_.get(), SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0)
    throw system_error(operation, errno, "try a smaller --ring");
  void* memory =
      mmap(nullptr, blocks_ * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (memory == MAP_FAILED) throw system_error(operation, errno, "try a smaller --ring");
  ring_ = static_cast<uint8_t*>(memory);
}

bool PacketTap::wait(const tpacket_block_desc* block, int timeout_ms) noexcept {
  pollfd wanted{fd_.get(), POLLIN, 0};
  if (poll(&wanted, 1, timeout_ms) > 0 && (wanted.revents & POLLERR) != 0) {
    // The interface went down; it may come up again. Taking the error away lets the next call wait.
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  return is_ready(block);
}

TappedFrame PacketTap::view(const tpacket3_hdr* packet, bool losing) const noexcept {
  const auto* bytes = reinterpret_cast<const uint8_t*>(packet);
  const auto* address = reinterpret_cast<const sockaddr_ll*>(bytes + TPACKET_ALIGN(sizeof(tpacket3_hdr)));
  bool has_tag = (packet->tp_status & TP_STATUS_VLAN_VALID) != 0;
  bool has_type = (packet->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
  return {bytes + packet->tp_mac,
          packet->tp_snaplen,
          packet->tp_len,
          has_tag ? static_cast<int32_t>(packet->hv1.tp_vlan_tci) : -1,
          has_type ? packet->hv1.tp_vlan_tpid : static_cast<uint16_t>(ETH_P_8021Q),
          address->sll_pkttype,
          (packet->tp_status & TP_STATUS_TS_RAW_HARDWARE) != 0,
          losing,
          uint64_t{packet->tp_sec} * 1'000'000'000 + packet->tp_nsec};
}

void PacketTap::mute() noexcept {
  sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program{1, none};
  setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

uint64_t PacketTap::take_ring_drops() noexcept {
  tpacket_stats_v3 statistics{};
  socklen_t size = sizeof statistics;
  if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) return 0;
  return statistics.tp_drops;
}

uint64_t PacketTap::interface_drops() const noexcept {
  uint64_t now = read_interface_drops();
  return now > drops_before_ ? now - drops_before_ : 0;
}

// The fourth number of what it received, in the interface's line: what it dropped or missed.
uint64_t PacketTap::read_interface_drops() const noexcept {
  static thread_local std::vector<char> text(COUNTERS_BYTES);
  size_t size = 0;
  while (size + 1 < text.size()) {
    // A page at the most each time.
    ssize_t more =
        pread(counters_.get(), text.data() + size, text.size() - 1 - size, static_cast<off_t>(size));
    if (more <= 0) break;
    size += static_cast<size_t>(more);
  }
  text[size] = 0;
  const std::string& name = config_.link.interface_name;
  for (char* line = text.data(); line != nullptr; line = strchr(line, '\n')) {
    line += strspn(line, " \n");
    if (strncmp(line, name.c_str(), name.size()) != 0 || line[name.size()] != ':') continue;
    unsigned long long bytes, packets, errors, dropped;
    if (sscanf(line + name.size() + 1, "%llu %llu %llu %llu", &bytes, &packets, &errors, &dropped) == 4)
      return dropped;
  }
  return drops_before_;
}

bool PacketTap::is_gone() const noexcept { return if_nametoindex(config_.link.interface_name.c_str()) == 0; }

}  // namespace carom
