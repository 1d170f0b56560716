// What the library throws when memory or threads run out becomes an error like any other, on every thread.
#include <unistd.h>

#include <future>
#include <new>
#include <stdexcept>
#include <system_error>

#include "capture/writer.h"
#include "core/error.h"
#include "core/thread.h"
#include "loop/role.h"
#include "test/test.h"

namespace carom::test {
namespace {

using Throw = void (*)();

struct Case {
  Throw action;
  ErrorCode code;
  const char* detail;
};

constexpr Case CASES[] = {
    {[] { throw Error(ErrorCode::usage, "ask", "too much"); }, ErrorCode::usage, "too much"},
    {[] { throw std::bad_alloc(); }, ErrorCode::environment, "there is not enough memory"},
    {[] { throw std::system_error(EAGAIN, std::generic_category()); }, ErrorCode::environment,
     "EAGAIN (Resource temporarily unavailable)"},
    {[] { throw std::length_error("vector::reserve"); }, ErrorCode::internal, "vector::reserve"},
    {[] { throw 7; }, ErrorCode::internal, "something was thrown that says nothing"},
};

template <class Action>
void expect_error(const Case& wanted, Action action) {
  try {
    action();
  } catch (const Error& error) {
    expect(error.code == wanted.code, "the code");
    expect(error.detail == wanted.detail, error.detail.c_str());
    return;
  }
  fail("nothing was thrown", __FILE__, __LINE__);
}

void while_opening(Chance&) {
  for (const Case& each : CASES) {
    expect_error(each, [&] { in_network_namespace("", each.action); });
    Role role(IoConfig{});
    expect_error(each, [&] { role.open(each.action); });
  }
}

void while_running(Chance&) {
  for (const Case& each : CASES) {
    Role role(IoConfig{});
    role.open([&] {
      if (role.opened({})) each.action();
    });
    std::promise<std::optional<Error>> ended;
    role.start([&](const std::optional<Error>& failure) { ended.set_value(failure); });
    std::optional<Error> failure = ended.get_future().get();
    expect(failure.has_value() && failure->detail == each.detail, "whoever started it is told");
  }
}

// Notes come from the role's thread while others read them.
void notes(Chance&) {
  constexpr int COUNT = 2000;
  Role role(IoConfig{});
  role.open([&] {
    if (!role.opened({"opened"})) return;
    for (int i = 0; i < COUNT; i++) role.note("while it runs");
  });
  std::promise<void> ended;
  role.start([&](const auto&) { ended.set_value(); });
  size_t seen = 0;
  for (auto end = ended.get_future(); end.wait_for(std::chrono::seconds(0)) != std::future_status::ready;) {
    size_t now = role.notes().size();
    expect(now >= seen, "they grow");
    seen = now;
  }
  expect_equal(role.notes().size(), size_t{1 + COUNT}, "all of them");
}

// The writer's thread, which is in the middle of a file.
void while_writing(Chance&) {
  char path[] = "/tmp/carom-test-XXXXXX";
  int fd = mkstemp(path);
  expect(fd >= 0, "make a file");
  close(fd);
  CaptureOutput output{};
  output.files.path = path;
  output.buffer_bytes = 1 << 20;
  CaptureSource source;
  source.interface.snap_length = 65535;
  source.statistics = [](uint64_t) { return PcapngStatistics{}; };
  source.comment = [](const CaptureRecord&, std::vector<std::string>&) { throw std::bad_alloc(); };
  CaptureWriter writer(output, std::move(source));
  uint8_t frame[60] = {};
  for (uint64_t i = 0; i < 10; i++)
    writer.ring().put({i, sizeof frame, -1, 0, PcapngDirection::in}, {frame, sizeof frame}, 65535);
  writer.finish([] { return false; });
  unlink(path);
  expect(writer.has_failed() && writer.failure().has_value(), "it has failed");
  expect(writer.failure()->detail == "there is not enough memory", writer.failure()->detail.c_str());
  expect_equal(writer.written.get(), 0u, "written");
  expect_equal(writer.lost.get(), 10u, "each frame is counted");
}

const Tests TESTS{
    {"errors: of any kind, while a role is opened", while_opening},
    {"errors: of any kind, while a role runs", while_running},
    {"errors: of a capture's writer", while_writing},
    {"notes are read while they are written", notes},
};

}  // namespace
}  // namespace carom::test
