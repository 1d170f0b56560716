#include "io/launch.h"

#include <linux/net_tstamp.h>

#include <cstring>
#include <ctime>

#include "io/socket.h"

namespace carom {

void request_launches(int fd, const std::string& operation) {
  sock_txtime wanted{};
  wanted.clockid = CLOCK_TAI;
  wanted.flags = SOF_TXTIME_REPORT_ERRORS;
  set_option(fd, SOL_SOCKET, SO_TXTIME, &wanted, sizeof wanted, operation + " (SO_TXTIME)");
  set_option(fd, SOL_SOCKET, SO_PRIORITY, LAUNCH_PRIORITY, operation + " (SO_PRIORITY)");
}

void add_launch(msghdr& message, uint8_t* control, uint64_t launch_ns) noexcept {
  size_t used = message.msg_controllen;
  auto* added = reinterpret_cast<cmsghdr*>(control + used);
  added->cmsg_level = SOL_SOCKET;
  added->cmsg_type = SCM_TXTIME;
  added->cmsg_len = CMSG_LEN(sizeof launch_ns);
  memcpy(CMSG_DATA(added), &launch_ns, sizeof launch_ns);
  message.msg_control = control;
  message.msg_controllen = used + LAUNCH_CONTROL;
}

}  // namespace carom
