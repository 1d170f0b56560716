#include "io/xdp_live.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/error.h"
#include "core/privileges.h"
#include "core/thread.h"
#include "generate.bpf.h"
#include "io/netdev.h"

namespace carom {
namespace {

constexpr XdpObject OBJECT{generate_object, sizeof generate_object, "judge"};
// A page, less what the kernel keeps before and behind the data (bpf_prog_test_run_xdp() in
// net/bpf/test_run.c).
constexpr uint32_t LARGEST_FRAME = 4096 - 256 - 320 - 2;
constexpr useconds_t END_PAUSE_US = 200;
constexpr uint32_t FLAG_LIVE_FRAMES = 1u << 1;  // BPF_F_TEST_XDP_LIVE_FRAMES

// Ends a system call, and does nothing else.
int wake_signal() noexcept { return SIGRTMIN + 4; }

// What is handed up carries the time of its coming in front of it.
IoConfig below_config(IoConfig config) {
  config.rx_stamps = true;
  config.tx_stamps = false;
  config.timestamps = Provenance::kernel;
  return config;
}

const char* sending_program(const LivePrograms& wanted) {
  return wanted.constants.frames ? "send_frames" : "send_ticks";
}

void prepare(XdpProgram& program, const IoConfig& config, const LivePrograms& wanted) {
  generate_constants constants = wanted.constants;
  constants.interface = static_cast<uint32_t>(interface_index("xdp_live", config.link));
  struct stat own {};
  if (stat("/proc/thread-self/ns/net", &own) != 0)
    throw system_error(operation_text("xdp_live", config.link, "find its network namespace"), errno);
  constants.network_namespace = static_cast<uint32_t>(own.st_ino);
  program.set_constants(&constants, sizeof constants);
  program.resize("entries", size_t{constants.mask} + 1);
  program.resize("dues", size_t{constants.mask} + 1);
  program.resize("headers", std::max<size_t>(1, wanted.headers.size()));
  if (constants.frames)
    program.resize("frames", size_t{constants.frame_mask} + 1, GENERATE_FRAME_STRIDE(constants.longest));
  program.leave_out(constants.frames ? "send_ticks" : "send_frames");
}

[[noreturn]] void refuse_redirect(const Link& link, const std::string& lack) {
  throw Error(ErrorCode::environment, operation_text("xdp_live", link, "send live frames"), lack,
              "use --backend af_xdp, which needs no such driver");
}

void require_redirect(const Link& link) {
  if (std::string lack = redirect_lack(link); !lack.empty()) refuse_redirect(link, lack);
}

// Returns the error's number, 0 for none.
int run_live(int program, uint32_t size, uint32_t batch, int times) noexcept {
  std::array<uint8_t, LARGEST_FRAME + 2> blank{};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = blank.data(), .data_size_in = size, .repeat = times,
              .flags = FLAG_LIVE_FRAMES, .batch_size = batch);
  return bpf_prog_test_run_opts(program, &options) == 0 ? 0 : errno;
}

int run_live(int program, const generate_constants& constants, int times) noexcept {
  // Longer than what is sent: bpf/generate.bpf.c says why.
  return run_live(program, constants.longest + 2, constants.batch, times);
}

// What the driver has is told by the kernel since Linux 6.3. Before, a frame finds it out that goes nowhere:
// it is longer than the link carries, and the kernel looks for the driver's function before it looks at the
// length (__xdp_enqueue() in kernel/bpf/devmap.c). Needs the programs that trace.
void require_redirect(const Link& link, const XdpProgram& program, generate_shared& shared) {
  constexpr uint32_t HEADERS_MAX = 64;
  constexpr uint32_t SURE_SIZE = 3400;  // a live frame, with whatever the kernel keeps in its page
  uint32_t too_long = link.mtu + HEADERS_MAX;
  if (too_long > SURE_SIZE) return;
  if (int error = run_live(program.program("probe_redirect"), too_long, 1, 1); error != 0)
    throw system_error(operation_text("xdp_live", link, "ask what its driver can do"), error);
  if (shared.redirect_error == -EOPNOTSUPP) refuse_redirect(link, redirect_lack_text(link));
  shared.refused = 0;
}

// Nothing is sent by it: it only shows that the kernel lets it run.
void require_live(const Link& link, const XdpProgram& program, const LivePrograms& wanted) {
  if (int error = run_live(program.program(sending_program(wanted)), wanted.constants, 1); error != 0) {
    throw system_error(operation_text("xdp_live", link, "run a program with live frames"), error,
                       "live frames need Linux 5.18, CAP_BPF and CAP_NET_ADMIN");
  }
}

}  // namespace

std::string XdpLiveIo::probe(const IoConfig& config, bool tries) {
  return reason_of([&] {
    IoCounters counters;
    LivePrograms programs{};
    programs.constants.header_length = 42;
    programs.constants.longest = 66;
    programs.constants.batch = 1;
    programs.headers.resize(1);
    if (tries) return void(XdpLiveIo(config, counters, programs));
    AfXdpIo::look_at(config);
    require_redirect(config.link);
    XdpProgram loaded(config, OBJECT, [&](XdpProgram& program) { prepare(program, config, programs); });
    require_live(config.link, loaded, programs);
    loaded.trace("count_not_redirected");
    auto* shared = static_cast<generate_shared*>(loaded.memory(".bss", sizeof(generate_shared)));
    require_redirect(config.link, loaded, *shared);
  });
}

XdpLiveIo::XdpLiveIo(const IoConfig& config, IoCounters& counters, const LivePrograms& wanted)
    : below_(below_config(config), counters, nullptr, OBJECT,
             [&](XdpProgram& program) { prepare(program, config, wanted); }),
      counters_(counters),
      cpu_(config.cpu),
      constants_(wanted.constants),
      program_(sending_program(wanted)),
      frame_mask_(wanted.constants.frame_mask),
      frame_stride_(GENERATE_FRAME_STRIDE(wanted.constants.longest)) {
  require_redirect(config.link);
  XdpProgram& program = *below_.program();
  size_t entries = size_t{wanted.constants.mask} + 1;
  shared_ = static_cast<generate_shared*>(program.memory(".bss", sizeof(generate_shared)));
  // Where several queues are served, the first by which an order comes is the judge's.
  shared_->judge.queue = config.more_queues.empty() ? config.queue + 1 : 0;
  shared_->link = wanted.link;  // until now all frames went on to the kernel
  entries_ = static_cast<ledger_entry*>(program.memory("entries", entries * sizeof(ledger_entry)));
  dues_ = static_cast<ledger_due*>(program.memory("dues", entries * sizeof(ledger_due)));
  histograms_ = static_cast<const uint64_t*>(
      program.memory("histograms", size_t{GENERATE_HISTOGRAMS} * GENERATE_HISTOGRAM_SIZE * sizeof(uint64_t)));
  if (wanted.constants.frames)
    frames_ = static_cast<uint8_t*>(program.memory("frames", (frame_mask_ + 1) * frame_stride_));
  for (uint32_t flow = 0; flow < wanted.headers.size(); flow++) {
    program.update("headers", &flow, &wanted.headers[flow]);
  }
  program.trace("count_refused");
  program.trace("count_not_redirected");
  if (constants_.longest > LARGEST_FRAME) {
    throw Error(ErrorCode::usage, operation_text("xdp_live", config.link, "send frames of this size"),
                "the kernel's live frames have up to " + std::to_string(LARGEST_FRAME) + " bytes",
                "use a smaller MTU or --size, or --backend af_packet");
  }
  require_live(config.link, program, wanted);
  require_redirect(config.link, program, *shared_);
  shared_->sender.alive = 0;
  shared_->sender.at = constants_.batch - 1;
  notes_ = below_.notes();
  notes_.push_back("live frames from the kernel, " + std::to_string(constants_.batch) + " to a batch");
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  sigaction(wake_signal(), &nothing, nullptr);
  // The kernel asks for these at each run of the program.
  sender_ = start_confined("carom-sender", {CAP_BPF, CAP_NET_ADMIN}, [this] { send(); });
  sender_id_.wait(0);
}

XdpLiveIo::~XdpLiveIo() { end_sending(); }

void XdpLiveIo::send() {
  sender_id_.store(gettid());
  sender_id_.notify_one();
  sigset_t wake;
  sigemptyset(&wake);
  sigaddset(&wake, wake_signal());
  pthread_sigmask(SIG_UNBLOCK, &wake, nullptr);
  try {
    if (cpu_ >= 0) pin_to_cpu(cpu_);
  } catch (const std::exception&) {
    failure_.store(EINVAL);
  }
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stage_.load() != Stage::wait; });
  }
  while (stage_.load() == Stage::send) {
    // Only whole batches: the program counts them.
    int batch = static_cast<int>(constants_.batch);
    if (int error = run_live(below_.program()->program(program_), constants_, INT32_MAX / batch * batch);
        error != 0 && error != EINTR) {
      failure_.store(error);
      break;
    }
  }
  gone_.store(true);
}

void XdpLiveIo::begin_sending() noexcept {
  {
    std::lock_guard lock(mutex_);
    if (stage_.load() == Stage::wait) stage_.store(Stage::send);
  }
  changed_.notify_all();
}

void XdpLiveIo::end_sending() noexcept {
  if (!sender_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stage_.store(Stage::end);
  }
  changed_.notify_all();
  // A signal that comes between two system calls is lost, so it is sent until it has come.
  while (!gone_.load()) {
    pthread_kill(sender_.native_handle(), wake_signal());
    usleep(END_PAUSE_US);
  }
  sender_.join();
}

void XdpLiveIo::settle() noexcept {
  below_.settle();
  counters_.tx_invalid.set(shared_->sender.failed);
  counters_.xdp_tx_errors.set(__atomic_load_n(&shared_->refused, __ATOMIC_RELAXED));
  std::array<uint64_t, 2> sums{};
  if (!below_.program()->sum_cpus("owns", sums)) return;
  counters_.passed_on.set(sums[0]);
  counters_.unserved_queue.set(sums[1]);
}

}  // namespace carom
