#include "io/xdp_program.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "core/error.h"
#include "io/socket.h"
#include "redirect.bpf.h"

namespace carom {
namespace {

// What libbpf says while it works; shown only when something fails.
thread_local std::string libbpf_log;

int keep_log(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[512];
  vsnprintf(line, sizeof line, format, arguments);
  libbpf_log += line;
  return 0;
}

// The verifier says what it refused at the end.
std::string last_lines(const std::string& log, int lines) {
  size_t at = log.size();
  for (int i = 0; i <= lines && at != std::string::npos && at > 0; i++) at = log.rfind('\n', at - 1);
  return at == std::string::npos ? log : log.substr(at == 0 ? 0 : at + 1);
}

struct [[gnu::packed]] Settings {  // .rodata of the program, in its order
  uint16_t port;
  uint8_t stamp;
};

}  // namespace

void XdpProgram::CloseObject::operator()(bpf_object* object) const noexcept { bpf_object__close(object); }

XdpProgram::XdpProgram(const IoConfig& config, int interface, bool stamp) : link_(config.link) {
  auto operation = [&](const char* what) { return operation_text("af_xdp", link_, what); };
  libbpf_set_print(keep_log);
  libbpf_log.clear();
  bpf_object* object = bpf_object__open_mem(redirect_object, sizeof redirect_object, nullptr);
  if (object == nullptr) throw Error(ErrorCode::internal, operation("open the XDP program"), libbpf_log);
  object_.reset(object);
  bpf_map* settings = bpf_object__find_map_by_name(object, ".rodata");
  size_t settings_size = 0;
  const void* initial = bpf_map__initial_value(settings, &settings_size);
  if (initial == nullptr || settings_size < sizeof(Settings)) {
    throw Error(ErrorCode::internal, operation("configure the XDP program"), "it has no settings");
  }
  std::string values(static_cast<const char*>(initial), settings_size);
  const Settings chosen{htons(config.local_port), static_cast<uint8_t>(stamp ? 1 : 0)};
  memcpy(values.data(), &chosen, sizeof chosen);
  bpf_map__set_initial_value(settings, values.data(), values.size());
  if (int error = bpf_object__load(object); error != 0) {
    Error refused = system_error(operation("load the XDP program"), -error);
    if (error != -EPERM) refused.detail += ": " + last_lines(libbpf_log, 6);
    throw refused;
  }
  int program = bpf_program__fd(bpf_object__find_program_by_name(object, "redirect"));
  auto attach = [&](uint32_t flags) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    return bpf_link_create(program, interface, BPF_XDP, &options);
  };
  if (config.xdp_mode != "generic") {
    mode_ = "native";
    link_fd_ = attach(XDP_FLAGS_DRV_MODE);
  }
  bool no_native = link_fd_ == -EOPNOTSUPP || link_fd_ == -EINVAL;
  if (config.xdp_mode == "generic" || (config.xdp_mode == "auto" && no_native)) {
    mode_ = "generic";
    link_fd_ = attach(XDP_FLAGS_SKB_MODE);
  }
  if (link_fd_ < 0) {
    std::string hint;
    if (link_fd_ == -EBUSY || link_fd_ == -EEXIST) {
      hint = "another XDP program is attached: ip link show " + link_.interface_name +
             " names it; detach it with ip link set " + link_.interface_name + " xdp off";
    } else if (link_fd_ == -EOPNOTSUPP || link_fd_ == -EINVAL) {
      hint =
          "the driver has no native XDP, or the MTU is too large for it: try --xdp-mode generic, or a "
          "smaller MTU";
    }
    throw system_error(operation((std::string("attach the XDP program (") + mode_ + ")").c_str()), -link_fd_,
                       hint);
  }
}

XdpProgram::~XdpProgram() {
  if (link_fd_ >= 0) close(link_fd_);
}

void XdpProgram::direct(uint32_t queue, int socket) {
  int map = bpf_map__fd(bpf_object__find_map_by_name(object_.get(), "sockets"));
  if (bpf_map_update_elem(map, &queue, &socket, BPF_ANY) != 0) {
    throw system_error(
        operation_text("af_xdp", link_, "direct queue " + std::to_string(queue) + " to the socket"), errno);
  }
}

}  // namespace carom
