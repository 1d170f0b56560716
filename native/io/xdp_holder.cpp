#include "io/xdp_holder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <linux/if_link.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "io/socket.h"

namespace carom {
namespace {

struct Process {
  std::string pid;
  std::string command;    // "tcpdump", or "carom respond"
  std::string responder;  // the name of carom's, "" for any other
};

std::string read_all(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The entries of a folder whose names are numbers; none when it can't be read.
std::vector<std::string> numbered(const std::string& folder) {
  std::vector<std::string> names;
  DIR* directory = opendir(folder.c_str());
  if (directory == nullptr) return names;
  while (const dirent* entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") == std::string::npos) names.push_back(std::move(name));
  }
  closedir(directory);
  return names;
}

bool is_bpf(const std::string& descriptor) {
  char target[64];
  ssize_t length = readlink(descriptor.c_str(), target, sizeof target);
  return length > 0 && std::string_view(target, static_cast<size_t>(length)).starts_with("anon_inode:bpf");
}

bool holds_link(const std::string& pid, const std::string& program_line) {
  const std::string process = "/proc/" + pid;
  for (const std::string& descriptor : numbered(process + "/fdinfo")) {
    if (!is_bpf(process + "/fd/" + descriptor)) continue;
    std::string info = read_all(process + "/fdinfo/" + descriptor);
    if (info.find("link_type:\txdp\n") != std::string::npos && info.find(program_line) != std::string::npos)
      return true;
  }
  return false;
}

std::vector<std::string> arguments_of(const std::string& pid) {
  std::vector<std::string> arguments;
  std::string all = read_all("/proc/" + pid + "/cmdline");
  for (size_t at = 0; at < all.size();) {
    size_t end = std::min(all.find('\0', at), all.size());
    arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return arguments;
}

// The name in "… carom respond … --name NAME".
std::string responder_name(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == "--name" && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].starts_with("--name=")) return arguments[i].substr(7);
  }
  return "responder";
}

Process describe(const std::string& pid) {
  std::string command = read_all("/proc/" + pid + "/comm");
  if (!command.empty()) command.pop_back();  // the end of the line
  Process process{pid, command, ""};
  std::vector<std::string> arguments = arguments_of(pid);
  for (size_t i = 0; i + 1 < arguments.size(); i++) {
    if (!arguments[i].ends_with("/carom") && !arguments[i].ends_with("/cli/main.js")) continue;
    process.command = "carom " + arguments[i + 1];
    if (arguments[i + 1] == "respond") process.responder = responder_name(arguments);
    break;
  }
  return process;
}

std::optional<Process> holder_of(uint32_t program) {
  const std::string line = "prog_id:\t" + std::to_string(program) + "\n";
  for (const std::string& pid : numbered("/proc")) {
    if (holds_link(pid, line)) return describe(pid);
  }
  return std::nullopt;
}

// Whether a link attaches the program, or may: not everybody may look. One that is held by nobody who can be
// seen is pinned, or of a container.
bool is_linked(uint32_t program) {
  for (uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    Fd link(bpf_link_get_fd_by_id(id));
    bpf_link_info info{};
    uint32_t size = sizeof info;
    if (link.open() && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 &&
        info.type == BPF_LINK_TYPE_XDP && info.prog_id == program)
      return true;
  }
  return errno != ENOENT;  // which says that there are no more
}

std::string program_text(uint32_t program) {
  std::string text = "program " + std::to_string(program);
  Fd fd(bpf_prog_get_fd_by_id(program));
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  if (fd.open() && bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 && info.name[0] != '\0')
    text += std::string(", ") + info.name + ",";
  return text;
}

std::string detach_command(const Link& link, bool generic) {
  std::string enter = link.network_namespace.empty() ? "" : "nsenter --net=" + link.network_namespace + " ";
  return enter + "ip link set dev " + link.interface_name + (generic ? " xdpgeneric off" : " xdp off");
}

}  // namespace

Error xdp_held_error(const std::string& operation, int number, const Link& link, int interface) {
  Error error =
      system_error(operation, number, "ip link show " + link.interface_name + " says what is attached");
  LIBBPF_OPTS(bpf_xdp_query_opts, found);
  if (bpf_xdp_query(interface, 0, &found) != 0 || found.prog_id == 0) return error;
  error.detail += ": " + program_text(found.prog_id) + " is attached";
  if (std::optional<Process> holder = holder_of(found.prog_id)) {
    error.detail += " by process " + holder->pid + " (" + holder->command + ")";
    error.hint = holder->responder.empty() ? "end that process, or use another interface"
                                           : "carom stop --name " + holder->responder + " ends it";
    error.hint += "; one process serves several queues of an interface: --queues 0-1";
  } else if (is_linked(found.prog_id)) {
    error.detail += " by a link whose holder can't be seen from here";
    error.hint = "it is pinned below /sys/fs/bpf, or a process in a container holds it: bpftool link show";
  } else {
    error.detail += ", and no process holds it";
    error.hint = detach_command(link, found.attach_mode == XDP_ATTACHED_SKB) + " detaches it";
  }
  return error;
}

}  // namespace carom
