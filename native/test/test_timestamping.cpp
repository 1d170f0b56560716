// The switch of a NIC's timestamping: on while somebody holds it, and afterwards what it was before, whoever
// comes and goes, and however it ends. The NIC is memory that processes share.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "io/nic_timestamping.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr const char* OPERATION = "timestamps on eth7: switch on";

struct Nic {
  std::atomic<int> tx_type{HWTSTAMP_TX_OFF};
  std::atomic<int> rx_filter{HWTSTAMP_FILTER_PTP_V2_EVENT};
  std::atomic<int> write_error{0};
  std::atomic<bool> stamps_less{false};  // as a driver that stamps PTP frames alone, whatever it is asked for
};

class FakeSwitch : public TimestampingSwitch {
 public:
  explicit FakeSwitch(Nic& nic) : nic_(nic) {}
  int read(hwtstamp_config& config) noexcept override {
    config = {0, nic_.tx_type.load(), nic_.rx_filter.load()};
    return 0;
  }
  int write(hwtstamp_config& config) noexcept override {
    if (int error = nic_.write_error.load(); error != 0) return error;
    if (nic_.stamps_less.load() && config.rx_filter == HWTSTAMP_FILTER_ALL)
      config.rx_filter = HWTSTAMP_FILTER_PTP_V2_EVENT;
    nic_.tx_type.store(config.tx_type);
    nic_.rx_filter.store(config.rx_filter);
    return 0;
  }

 private:
  Nic& nic_;
};

// A NIC that processes share, and a folder for its record, which is empty at the end.
struct Bench {
  Bench() {
    char name[] = "/tmp/carom-test-XXXXXX";
    expect(mkdtemp(name) != nullptr, "make a folder");
    folder = std::string(name) + "/records";
    void* memory = mmap(nullptr, sizeof(Nic), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED, "share memory");
    nic = new (memory) Nic;
  }
  ~Bench() {
    munmap(nic, sizeof(Nic));
    std::filesystem::remove_all(std::filesystem::path(folder).parent_path());
  }
  std::unique_ptr<NicTimestamping> hold() const {
    return std::make_unique<NicTimestamping>(OPERATION,
                                             TimestampingPlace{4026531840, 7, "eth7", "/run/netns/x y"},
                                             std::make_unique<FakeSwitch>(*nic), folder);
  }
  std::vector<std::string> restore() const {
    return restore_timestamping(folder, [this](const TimestampingPlace& place) {
      expect(place.network_namespace == 4026531840 && place.interface == 7 &&
                 place.interface_name == "eth7" && place.namespace_path == "/run/netns/x y",
             "the record says where it is");
      return std::make_unique<FakeSwitch>(*nic);
    });
  }
  // A process that holds it and is killed.
  void killed() const {
    int ready[2];
    expect(pipe(ready) == 0, "make a pipe");
    pid_t child = fork();
    if (child == 0) {
      auto held = hold();
      if (write(ready[1], "r", 1) == 1) pause();
      _exit(1);
    }
    close(ready[1]);  // so that the end of a process that could not hold it is seen
    char byte = 0;
    expect(read(ready[0], &byte, 1) == 1, "the process holds it");
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(ready[0]);
  }
  void expect_on(const char* when) const {
    expect(nic->tx_type.load() == HWTSTAMP_TX_ON && nic->rx_filter.load() == HWTSTAMP_FILTER_ALL, when);
  }
  void expect_before(const char* when) const {
    expect(nic->tx_type.load() == HWTSTAMP_TX_OFF && nic->rx_filter.load() == HWTSTAMP_FILTER_PTP_V2_EVENT,
           when);
    expect(records() == 0, "no record is left");
  }
  size_t records() const {
    auto found = std::filesystem::directory_iterator(folder);
    return static_cast<size_t>(std::distance(begin(found), end(found)));
  }

  std::string folder;
  Nic* nic;
};

std::string refusal(const Bench& bench) {
  try {
    bench.hold();
  } catch (const Error& error) {
    return error.operation + ": " + error.detail;
  }
  return "";
}

void alone(Chance&) {
  Bench bench;
  auto held = bench.hold();
  bench.expect_on("while it is held");
  expect_equal(bench.records(), 1u, "what it was before is written down");
  expect(bench.restore().empty(), "what is held is not abandoned");
  bench.expect_on("still");
  expect(held->release().empty(), "no problem");
  bench.expect_before("afterwards");
}

void several(Chance& chance) {
  Bench bench;
  for (int round = 0; round < 20; round++) {
    std::vector<std::unique_ptr<NicTimestamping>> held;
    for (uint32_t i = 0; i < 2 + chance.below(3); i++) held.push_back(bench.hold());
    while (!held.empty()) {
      bench.expect_on("as long as one holds it");
      held.erase(held.begin() + chance.below(static_cast<uint32_t>(held.size())));
    }
    bench.expect_before("as before the first, after the last");
  }
}

void killed(Chance&) {
  Bench bench;
  bench.killed();
  bench.expect_on("a killed process leaves it on");
  std::vector<std::string> lines = bench.restore();
  expect(
      lines ==
          std::vector<std::string>{"timestamping of eth7 was left on by a process that was killed: put back"},
      "the next one puts it back, and says so");
  bench.expect_before("then");
  expect(bench.restore().empty(), "once");

  bench.killed();
  bench.hold();
  bench.expect_before("the next holder puts it back to what was before the killed one");

  auto held = bench.hold();
  bench.killed();
  expect(bench.restore().empty(), "another one still holds it");
  bench.expect_on("still");
  held.reset();
  bench.expect_before("after the last");
}

// A PTP daemon that has set its own meanwhile keeps it.
void changed_by_others(Chance&) {
  Bench bench;
  for (bool opens_again : {false, true}) {
    bench.killed();
    bench.nic->tx_type = HWTSTAMP_TX_ONESTEP_SYNC;
    bench.nic->rx_filter = HWTSTAMP_FILTER_PTP_V2_SYNC;
    if (opens_again) {
      auto held = bench.hold();
      bench.expect_on("while it is held");
    }
    bench.restore();
    expect_equal(bench.nic->tx_type.load(), HWTSTAMP_TX_ONESTEP_SYNC, "sent frames");
    expect_equal(bench.nic->rx_filter.load(), HWTSTAMP_FILTER_PTP_V2_SYNC, "received frames");
    expect_equal(bench.records(), 0u, "records");
  }
}

void refused(Chance&) {
  Bench bench;
  bench.nic->write_error = ERANGE;
  expect(refusal(bench).starts_with(std::string(OPERATION) + " (SIOCSHWTSTAMP): ERANGE"),
         "the driver's refusal");
  bench.expect_before("nothing was changed");
  bench.nic->write_error = 0;
  bench.nic->stamps_less = true;
  expect(refusal(bench).ends_with("the driver stamps fewer frames than it was asked to"),
         "a driver that does less");
  bench.expect_before("and it is undone");
}

void not_put_back(Chance&) {
  Bench bench;
  auto held = bench.hold();
  bench.nic->write_error = EPERM;
  expect(held->release().starts_with("the NIC's timestamping could not be put back: EPERM"), "it is told");
  bench.expect_on("it is still on");
  expect_equal(bench.restore().size(), 1u, "tried, and told");
  bench.nic->write_error = 0;
  bench.restore();
  bench.expect_before("once it is allowed");
}

// Whatever threads do in whatever order, with one that looks for what was abandoned among them.
void at_once(Chance&) {
  Bench bench;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; i++) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 60; round++) {
        if (i == 0) {
          bench.restore();
          continue;
        }
        auto held = bench.hold();
        if (bench.nic->rx_filter.load() != HWTSTAMP_FILTER_ALL) failures++;
        if (!held->release().empty()) failures++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  expect_equal(failures.load(), 0, "it was on while it was held");
  bench.expect_before("after the last");
}

const Tests TESTS{
    {"timestamping: on while it is held, then as before", alone},
    {"timestamping: several holders, one owner", several},
    {"timestamping: what a killed process left on is put back", killed},
    {"timestamping: what others have set meanwhile stays", changed_by_others},
    {"timestamping: a driver that refuses, or does less", refused},
    {"timestamping: what could not be put back is told, and tried again", not_put_back},
    {"timestamping: holders come and go at once", at_once},
};

}  // namespace
}  // namespace carom::test
