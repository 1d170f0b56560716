#include "io/xdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "io/arrivals.h"
#include "io/before_others.h"
#include "io/cpu_values.h"
#include "io/socket.h"
#include "io/xdp_holder.h"

namespace carom {
namespace {

// What libbpf says while it works; shown only when something fails.
thread_local std::string libbpf_log;

int keep_log(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  std::string line(static_cast<size_t>(length) + 1, '\0');  // the verifier's whole log is one of them
  vsnprintf(line.data(), line.size(), format, arguments);
  libbpf_log.append(line, 0, static_cast<size_t>(length));
  return 0;
}

// The verifier says what it refused at the end.
std::string last_lines(std::string log, int lines) {
  if (size_t end = log.find("-- END PROG LOAD LOG"); end != std::string::npos)
    log.resize(end);  // libbpf's own
  size_t at = log.size();
  for (int i = 0; i <= lines && at != std::string::npos && at > 0; i++) at = log.rfind('\n', at - 1);
  return at == std::string::npos ? log : log.substr(at == 0 ? 0 : at + 1);
}

// libbpf tries five times, and has no other way to tell it of more. Once in a process, before any object is
// opened.
void be_patient() {
  static const int handler = [] {
    LIBBPF_OPTS(
        libbpf_prog_handler_opts, options,
        .prog_prepare_load_fn = [](bpf_program*, bpf_prog_load_opts* load, long) {
          load->attempts = LOAD_ATTEMPTS;
          return 0;
        });
    return libbpf_register_prog_handler("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, &options);
  }();
  if (handler < 0) throw system_error("prepare to load XDP programs", -handler);
}

}  // namespace

void XdpProgram::CloseObject::operator()(bpf_object* object) const noexcept { bpf_object__close(object); }

void XdpProgram::DestroyLink::operator()(bpf_link* link) const noexcept { bpf_link__destroy(link); }

XdpProgram::XdpProgram(const IoConfig& config, const XdpObject& object, const Prepare& prepare)
    : link_(config.link), stamps_any_(config.stamps_arrivals && config.stamps_any) {
  if (config.filter) filter_ = std::make_unique<XdpFilter>(*config.filter);
  load(object, [&](XdpProgram& program) {
    if (prepare) prepare(program);
    prepare_filter();
    if (config.stamps_arrivals) Arrivals::prepare(program, config.local_port, config.stamps_any);
  });
  if (filters()) filter_->connect(program("wanted"), program("unwanted"));
}

XdpProgram::XdpProgram(const IoConfig& config, int interface, const XdpObject& object, const Prepare& prepare)
    : XdpProgram(config, object, prepare) {
  attach(config, interface, program(object.program));
}

XdpProgram::~XdpProgram() {
  if (link_fd_ >= 0) close(link_fd_);
  for (std::span<uint8_t> mapped : memory_) munmap(mapped.data(), mapped.size());
}

std::string XdpProgram::operation(const std::string& what) const {
  return operation_text("XDP", link_, what);
}

int XdpProgram::load_once(const XdpObject& object, const Prepare& prepare, bool before_others) {
  libbpf_log.clear();
  object_.reset(bpf_object__open_mem(object.bytes, object.size, nullptr));
  if (!object_) throw Error(ErrorCode::internal, operation("open the program"), libbpf_log);
  prepare(*this);
  const BeforeOthers hurry(before_others);
  return bpf_object__load(object_.get());
}

void XdpProgram::load(const XdpObject& object, const Prepare& prepare) {
  be_patient();
  libbpf_set_print(keep_log);
  // The verifier gives up when a signal comes, a stop of the process included (kernel/bpf/verifier.c,
  // EAGAIN). Where stops come one after the other and other programs have the cores, no attempt would end
  // before the next stop: then it is let before the others. An object can be loaded once, so a new one is
  // opened.
  int error = load_once(object, prepare, false);
  if (error == -EAGAIN) error = load_once(object, prepare, true);
  if (error != 0) {
    if (error == -EPERM) throw system_error(operation("load the program"), -error);
    if (error == -EAGAIN)
      throw system_error(operation("load the program"), -error,
                         "signals interrupted the kernel's verifier each time: try again");
    throw Error(ErrorCode::environment, operation("load the program"),
                errno_text(-error) + ": " + last_lines(libbpf_log, 6),
                "the kernel's verifier refuses it: a kernel older than 6.1, or one with other rules");
  }
  require_counts();
}

// Programs that a filter needs are left out without one; not every object has them.
void XdpProgram::prepare_filter() {
  if (filters()) {
    const uint8_t filtering = 1;
    set_constants(&filtering, sizeof filtering, ".rodata.filter");
    check(bpf_map__reuse_fd(find_map("stages"), filter_->stages()), "connect the filter");
    return;
  }
  for (const char* name : {"wanted", "unwanted"}) {
    if (bpf_object__find_program_by_name(object_.get(), name) != nullptr) leave_out(name);
  }
}

void XdpProgram::set_constants(const void* bytes, size_t size, const char* section) {
  bpf_map* constants = find_map(section);
  size_t whole = 0;
  const void* initial = bpf_map__initial_value(constants, &whole);
  if (initial == nullptr || whole < size)
    throw Error(ErrorCode::internal, operation("configure the program"), "it has no such constants");
  std::string values(static_cast<const char*>(initial), whole);
  memcpy(values.data(), bytes, size);
  check(bpf_map__set_initial_value(constants, values.data(), values.size()),
        std::string("set the constants ") + section);
}

void XdpProgram::attach(const IoConfig& config, int interface, int program) {
  auto try_attach = [&](uint32_t flags) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    return bpf_link_create(program, interface, BPF_XDP, &options);
  };
  if (config.xdp_mode != "generic") {
    mode_ = "native";
    link_fd_ = try_attach(XDP_FLAGS_DRV_MODE);
  }
  // ERANGE: veth's word for an MTU that is too large.
  bool no_native = link_fd_ == -EOPNOTSUPP || link_fd_ == -EINVAL || link_fd_ == -ERANGE;
  if (config.xdp_mode == "generic" || (config.xdp_mode == "auto" && no_native)) {
    mode_ = "generic";
    lacks_native_ = no_native;
    link_fd_ = try_attach(XDP_FLAGS_SKB_MODE);
  }
  if (link_fd_ >= 0) return;
  const std::string attempt = operation(std::string("attach the program (") + mode_ + ")");
  if (link_fd_ == -EBUSY || link_fd_ == -EEXIST) throw xdp_held_error(attempt, -link_fd_, link_, interface);
  std::string hint;
  if (no_native) {
    hint =
        "the driver has no native XDP, or the MTU is too large for it: try --xdp-mode generic, or a smaller "
        "MTU";
  }
  throw system_error(attempt, -link_fd_, hint);
}

// Of libbpf: 0, or an errno, negative.
void XdpProgram::check(int result, const std::string& what) const {
  if (result < 0) throw system_error(operation(what), -result);
}

bpf_map* XdpProgram::find_map(const char* name) const {
  bpf_map* found = bpf_object__find_map_by_name(object_.get(), name);
  if (found == nullptr)
    throw Error(ErrorCode::internal, operation(std::string("find the map ") + name),
                "it has none of that name");
  return found;
}

bpf_program* XdpProgram::find_program(const char* name) const {
  bpf_program* found = bpf_object__find_program_by_name(object_.get(), name);
  if (found == nullptr)
    throw Error(ErrorCode::internal, operation(std::string("find ") + name),
                "it has no program of that name");
  return found;
}

int XdpProgram::map(const char* name) const { return bpf_map__fd(find_map(name)); }

void XdpProgram::update(const char* name, const void* key, const void* value) {
  if (bpf_map_update_elem(map(name), key, value, BPF_ANY) != 0) {
    throw system_error(operation(std::string("write the map ") + name), errno);
  }
}

int XdpProgram::program(const char* name) const { return bpf_program__fd(find_program(name)); }

void XdpProgram::trace(const char* name) {
  traces_.emplace_back(bpf_program__attach(find_program(name)));
  if (!traces_.back())
    throw system_error(operation(std::string("attach the tracing program ") + name), errno);
}

void* XdpProgram::memory(const char* name, size_t size) {
  size_t page = static_cast<size_t>(getpagesize());
  size_t whole = (size + page - 1) / page * page;
  void* mapped = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, map(name), 0);
  if (mapped == MAP_FAILED) throw system_error(operation("map the program's memory"), errno);
  memory_.emplace_back(static_cast<uint8_t*>(mapped), whole);
  return mapped;
}

bool XdpProgram::sum_cpus(const char* name, std::span<uint64_t> sums) const noexcept {
  const bpf_map* found = bpf_object__find_map_by_name(object_.get(), name);
  if (found == nullptr) return false;
  return sum_cpu_values(libbpf_num_possible_cpus(), bpf_map__value_size(found), sums, [&](uint64_t* values) {
    uint32_t zero = 0;
    return bpf_map_lookup_elem(bpf_map__fd(found), &zero, values) == 0;
  });
}

bool XdpProgram::read(const char* name, void* value) const noexcept {
  const bpf_map* found = bpf_object__find_map_by_name(object_.get(), name);
  const uint32_t zero = 0;
  return found != nullptr && bpf_map_lookup_elem(bpf_map__fd(found), &zero, value) == 0;
}

// Once, where it can be told: later a count that can't be read stays as it was.
void XdpProgram::require_counts() const {
  uint64_t sum = 0;
  if (bpf_object__find_map_by_name(object_.get(), "owns") == nullptr || sum_cpus("owns", {&sum, 1})) return;
  throw Error(ErrorCode::environment, operation("read its counters"),
              "of " + std::to_string(libbpf_num_possible_cpus()) + " possible CPUs: " + errno_text(errno));
}

uint64_t XdpProgram::filtered() const noexcept {
  uint64_t count = 0;
  if (filters()) sum_cpus("filtered", {&count, 1});
  return count;
}

void XdpProgram::resize(const char* name, size_t entries, size_t value_size) {
  bpf_map* found = find_map(name);
  const std::string what = std::string("set the size of the map ") + name;
  check(bpf_map__set_max_entries(found, static_cast<uint32_t>(entries)), what);
  if (value_size != 0) check(bpf_map__set_value_size(found, static_cast<uint32_t>(value_size)), what);
}

void XdpProgram::leave_out(const char* name) {
  check(bpf_program__set_autoload(find_program(name), false), std::string("leave out ") + name);
}

void XdpProgram::withdraw(uint32_t queue) noexcept {
  bpf_map_delete_elem(bpf_map__fd(bpf_object__find_map_by_name(object_.get(), "sockets")), &queue);
}

void XdpProgram::direct(uint32_t queue, int socket) { update("sockets", &queue, &socket); }

}  // namespace carom
