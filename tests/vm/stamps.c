// SPDX-License-Identifier: GPL-2.0 OR MIT
// Reads hardware stamps by SO_TIMESTAMPING, and clocks by their own system calls: a second opinion on what
// carom reports, that shares no code with it. Source: Documentation/networking/timestamping.rst of the
// kernel.
//
// stamps watch INTERFACE     until SIGTERM: of each tick (24 bytes over UDP) and order (41 bytes) that
// arrives,
//                            "tick KEY STAMP" or "order KEY STAMP": the tick's timestamp, and when it arrived
// stamps ping A B COUNT      sends frames on A, which is linked with B: "COUNT SENT ARRIVED", by their clocks
// stamps launch A COUNT      sets A's clock to CLOCK_TAI, and sends frames at times of it: "WANTED SENT"
// stamps mode INTERFACE      "TX_TYPE RX_FILTER"; with two numbers more, sets them
// stamps unsteer INTERFACE   its clock runs at its own rate again, whatever a servo has asked for
// stamps clocks A B          reads both clocks: "RAW_A PHC_A RAW_B PHC_B" (PTP_SYS_OFFSET_PRECISE)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <linux/ptp_clock.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_TXTIME
#define SO_TXTIME 61
#define SCM_TXTIME SO_TXTIME
#endif
enum { PAYLOAD = 24, FRAME = 14 + 20 + 8 + PAYLOAD, LAUNCH_AHEAD_NS = 200000000 };

static volatile sig_atomic_t is_over;

static void end(int signal) {
  (void)signal;
  is_over = 1;
}

static void fail(const char* what) {
  fprintf(stderr, "stamps: %s: %s\n", what, strerror(errno));
  exit(1);
}

static long long ns_of(struct timespec time) { return time.tv_sec * 1000000000LL + time.tv_nsec; }

static void ask_interface(const char* interface, unsigned long what, void* data) {
  struct ifreq request = {0};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
  request.ifr_data = data;
  if (fd < 0 || ioctl(fd, what, &request) != 0) fail(interface);
  close(fd);
}

static void set_mode(const char* interface, int tx_type, int rx_filter) {
  struct hwtstamp_config config = {.tx_type = tx_type, .rx_filter = rx_filter};
  ask_interface(interface, SIOCSHWTSTAMP, &config);
}

static int open_clock(const char* interface) {
  struct ethtool_ts_info info = {.cmd = ETHTOOL_GET_TS_INFO};
  char path[32];
  ask_interface(interface, SIOCETHTOOL, &info);
  snprintf(path, sizeof path, "/dev/ptp%d", info.phc_index);
  int fd = open(path, O_RDWR);
  if (fd < 0) fail(path);
  return fd;
}

static int open_packet(const char* interface, int protocol, int flags) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(protocol));
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(protocol),
                                .sll_ifindex = (int)if_nametoindex(interface)};
  int one = 1, bytes = 1 << 22;
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, sizeof address) != 0) fail(interface);
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) != 0) fail("SO_TIMESTAMPING");
  return fd;
}

// One message; the length of its frame, -1 without one. Its hardware stamp, 0 for none.
static ssize_t take(int fd, int from, unsigned char* frame, size_t size, long long* stamp) {
  char control[512];
  struct iovec vector = {frame, size};
  struct msghdr message = {
      .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t length = recvmsg(fd, &message, from | MSG_DONTWAIT);
  *stamp = 0;
  for (struct cmsghdr* c = length < 0 ? NULL : CMSG_FIRSTHDR(&message); c != NULL;
       c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPING) continue;
    struct timespec times[3];
    memcpy(times, CMSG_DATA(c), sizeof times);
    *stamp = ns_of(times[2]);
  }
  return length;
}

static int watch(const char* interface) {
  int fd = open_packet(interface, ETH_P_IP, SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE);
  unsigned char frame[2048];
  long long stamp;
  signal(SIGTERM, end);
  puts("ready");
  fflush(stdout);
  while (!is_over) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    poll(&wait, 1, 100);
    ssize_t length;
    while ((length = take(fd, 0, frame, sizeof frame, &stamp)) >= 0) {
      if (length < 42 || frame[23] != IPPROTO_UDP) continue;
      const unsigned char* payload = frame + 42;
      int bytes = (frame[38] << 8 | frame[39]) - 8;
      if (bytes == 24) {
        unsigned long long key;
        memcpy(&key, payload + 16, sizeof key);
        printf("tick %016llx %lld\n", key, stamp);
      } else if (bytes == 41) {
        printf("order %.16s %lld\n", (const char*)payload + 25, stamp);
      }
    }
  }
  return 0;
}

static void write_frame(unsigned char* frame, unsigned number) {
  static const unsigned char HEADERS[42] = {
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0,   0,  0, 1, 8, 0, 0x45, 0, 0, 20 + 8 + PAYLOAD, 0, 0, 0, 0,
      64,   17,   0,    0,    198,  18,   0, 9, 198, 18, 0, 8, 0, 9, 0,    9, 0, 8 + PAYLOAD,      0, 0};
  memcpy(frame, HEADERS, sizeof HEADERS);
  memset(frame + 42, 0, PAYLOAD);
  memcpy(frame + 42, &number, sizeof number);
}

static void send_at(int fd, unsigned char* frame, long long launch_ns) {
  char control[CMSG_SPACE(sizeof launch_ns)] = {0};
  struct iovec vector = {frame, FRAME};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (launch_ns != 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_TXTIME;
    c->cmsg_len = CMSG_LEN(sizeof launch_ns);
    memcpy(CMSG_DATA(c), &launch_ns, sizeof launch_ns);
  }
  if (sendmsg(fd, &message, 0) < 0) fail("send");
}

// The stamp of one frame that is on its way, from the socket that sent it or receives it.
static long long wait_for(int fd, int from, unsigned number) {
  unsigned char frame[2048];
  long long stamp = 0;
  for (int turn = 0; turn < 5000; turn++) {
    ssize_t length;
    while ((length = take(fd, from, frame, sizeof frame, &stamp)) >= 0) {
      unsigned seen;
      if (length < FRAME) continue;
      memcpy(&seen, frame + length - (length > FRAME ? length - 42 : PAYLOAD), sizeof seen);
      if (seen == number && stamp != 0) return stamp;
    }
    usleep(1000);
  }
  return 0;
}

static int open_sender(const char* interface) {
  int fd = open_packet(interface, 0, SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_TX_HARDWARE);
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_IP),
                                .sll_ifindex = (int)if_nametoindex(interface)};
  if (bind(fd, (struct sockaddr*)&address, sizeof address) != 0) fail(interface);
  set_mode(interface, HWTSTAMP_TX_ON, HWTSTAMP_FILTER_ALL);
  return fd;
}

static int ping(const char* from, const char* to, unsigned count) {
  int tx = open_sender(from);
  set_mode(to, HWTSTAMP_TX_ON, HWTSTAMP_FILTER_ALL);
  int rx = open_packet(to, ETH_P_IP, SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_RX_HARDWARE);
  for (unsigned i = 0; i < count; i++) {
    unsigned char frame[FRAME];
    write_frame(frame, i);
    send_at(tx, frame, 0);
    long long sent = wait_for(tx, MSG_ERRQUEUE, i);
    printf("%u %lld %lld\n", i, sent, wait_for(rx, 0, i));
  }
  return 0;
}

// With the qdisc etf and its "offload", the NIC holds each frame until the time that goes with it.
static int launch(const char* from, unsigned count) {
  struct {
    clockid_t clock;
    uint32_t flags;
  } option = {CLOCK_TAI, 0};
  int tx = open_sender(from), device = open_clock(from);
  clockid_t clock = (~(clockid_t)device << 3) | 3;
  struct timespec now;
  if (setsockopt(tx, SOL_SOCKET, SO_TXTIME, &option, sizeof option) != 0) fail("SO_TXTIME");
  if (clock_gettime(CLOCK_TAI, &now) != 0 || clock_settime(clock, &now) != 0) fail("set the clock");
  for (unsigned i = 0; i < count; i++) {
    unsigned char frame[FRAME];
    write_frame(frame, i);
    if (clock_gettime(clock, &now) != 0) fail("read the clock");
    long long wanted = ns_of(now) + LAUNCH_AHEAD_NS;
    send_at(tx, frame, wanted);
    printf("%lld %lld\n", wanted, wait_for(tx, MSG_ERRQUEUE, i));
  }
  return 0;
}

static int clocks(const char* const* interfaces) {
  for (int i = 0; i < 2; i++) {
    struct ptp_sys_offset_precise found = {0};
    if (ioctl(open_clock(interfaces[i]), PTP_SYS_OFFSET_PRECISE, &found) != 0) fail(interfaces[i]);
    printf("%lld %lld%c", found.sys_monoraw.sec * 1000000000LL + found.sys_monoraw.nsec,
           found.device.sec * 1000000000LL + found.device.nsec, i == 0 ? ' ' : '\n');
  }
  return 0;
}

static int unsteer(const char* interface) {
  struct timex wanted = {.modes = ADJ_FREQUENCY};
  if (clock_adjtime((~(clockid_t)open_clock(interface) << 3) | 3, &wanted) < 0) fail("steer the clock");
  return 0;
}

static int mode(int argc, char** argv) {
  struct hwtstamp_config config = {0};
  if (argc == 5) set_mode(argv[2], atoi(argv[3]), atoi(argv[4]));
  ask_interface(argv[2], SIOCGHWTSTAMP, &config);
  printf("%d %d\n", config.tx_type, config.rx_filter);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "watch") == 0) return watch(argv[2]);
  if (argc == 5 && strcmp(argv[1], "ping") == 0) return ping(argv[2], argv[3], (unsigned)atoi(argv[4]));
  if (argc == 4 && strcmp(argv[1], "launch") == 0) return launch(argv[2], (unsigned)atoi(argv[3]));
  if (argc == 3 && strcmp(argv[1], "unsteer") == 0) return unsteer(argv[2]);
  if (argc == 4 && strcmp(argv[1], "clocks") == 0) return clocks((const char* const*)argv + 2);
  if ((argc == 3 || argc == 5) && strcmp(argv[1], "mode") == 0) return mode(argc, argv);
  fputs("stamps: see the head of stamps.c for what it takes\n", stderr);
  return 2;
}
