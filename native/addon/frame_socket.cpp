#include "addon/frame_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/uio.h>

#include <cerrno>
#include <ctime>
#include <optional>
#include <thread>

#include "addon/convert.h"
#include "addon/entry.h"
#include "core/thread.h"
#include "io/socket.h"

namespace carom {
namespace {

constexpr size_t MAX_FRAME = 65536 + 64;
constexpr uint32_t MAX_FRAMES_A_CALL = 4096;
constexpr int RECEIVE_BUFFER = 4 << 20;  // bytes

Fd open_packet_socket(const Link& link) {
  auto operation = [&](const char* what) { return operation_text("frame socket", link, what); };
  int interface = interface_index("frame socket", link);
  Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.open()) throw system_error(operation("open a packet socket"), errno);
  set_option(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, operation("PACKET_IGNORE_OUTGOING"));
  // The tag of a VLAN frame is taken out by the kernel and comes beside the frame.
  set_option(fd.get(), SOL_PACKET, PACKET_AUXDATA, 1, operation("PACKET_AUXDATA"));
  set_option(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, 1, operation("SO_TIMESTAMPNS"));
  set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER, operation("SO_RCVBUF"));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = interface;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw system_error(operation("bind"), errno);
  }
  return fd;
}

struct Received {
  size_t length;
  int64_t time_ns;
};

// One frame into `bytes`, its VLAN tag put back; nothing when there is none.
std::optional<Received> receive_one(int fd, uint8_t* bytes) {
  alignas(cmsghdr) char control[256];
  iovec vector{bytes + 4, MAX_FRAME - 4};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
  if (length < 0) return std::nullopt;
  Received received{static_cast<size_t>(length), 0};
  std::optional<tpacket_auxdata> tag;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      timespec time;
      memcpy(&time, CMSG_DATA(c), sizeof time);
      received.time_ns = time.tv_sec * 1'000'000'000LL + time.tv_nsec;
    } else if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
      tpacket_auxdata data;
      memcpy(&data, CMSG_DATA(c), sizeof data);
      if ((data.tp_status & TP_STATUS_VLAN_VALID) != 0) tag = data;
    }
  }
  if (tag && received.length >= 12) {
    memmove(bytes, bytes + 4, 12);
    store_be16(bytes + 12,
               (tag->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? tag->tp_vlan_tpid : ETHERTYPE_VLAN);
    store_be16(bytes + 14, tag->tp_vlan_tci);
    received.length += 4;
  } else {
    memmove(bytes, bytes + 4, received.length);
  }
  return received;
}

class FrameSocket : public Wrapped<FrameSocket> {
 public:
  static void define(Napi::Env env, Napi::Object exports) {
    exports.Set("FrameSocket",
                DefineClass(env, "FrameSocket",
                            {method<&FrameSocket::send>("send"), method<&FrameSocket::receive>("receive"),
                             method<&FrameSocket::close>("close")}));
  }

  explicit FrameSocket(const Napi::CallbackInfo& info) : Wrapped<FrameSocket>(info) {
    guarded(info.Env(), [&] {
      buffer_.resize(MAX_FRAME);
      if (info.Length() < 1 || !info[0].IsObject()) {
        throw Error(ErrorCode::internal, "open a frame socket", "no configuration was given");
      }
      Napi::Object object = info[0].As<Napi::Object>();
      link_ = read_link(object.Get("link").ToObject());
      IoConfig config{};
      config.link = link_;
      config.local_port = static_cast<uint16_t>(object.Get("holdPort").ToNumber().Uint32Value());
      in_network_namespace(link_.network_namespace, [&] {
        if (config.local_port != 0) held_port_ = hold_port("frame socket", config);
        fd_ = open_packet_socket(link_);
      });
    });
  }

 private:
  void send(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (info.Length() < 1 || !info[0].IsTypedArray()) throw Napi::TypeError::New(env, "send needs bytes");
    Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
    const std::string operation =
        operation_text("frame socket", link_, "send " + std::to_string(bytes.ByteLength()) + " bytes");
    if (!fd_.open()) throw Error(ErrorCode::internal, operation, "the socket is closed");
    if (::send(fd_.get(), bytes.Data(), bytes.ByteLength(), 0) < 0) {
      throw system_error(operation, errno,
                         errno == EMSGSIZE ? "the frame is longer than the interface's MTU allows" : "");
    }
  }

  Napi::Value receive(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Array frames = Napi::Array::New(env);
    for (uint32_t i = 0; i < MAX_FRAMES_A_CALL && fd_.open(); i++) {
      std::optional<Received> received = receive_one(fd_.get(), buffer_.data());
      if (!received) break;
      Napi::Object object = Napi::Object::New(env);
      object.Set("frame", Napi::Buffer<uint8_t>::Copy(env, buffer_.data(), received->length));
      object.Set("time_ns", Napi::BigInt::New(env, received->time_ns));
      frames[i] = object;
    }
    return frames;
  }

  void close(const Napi::CallbackInfo&) {
    fd_ = Fd();
    held_port_ = Fd();
  }

  Link link_;
  Fd held_port_;
  Fd fd_;
  std::vector<uint8_t> buffer_;
};

}  // namespace

void export_frame_socket(Napi::Env env, Napi::Object exports) { FrameSocket::define(env, exports); }

}  // namespace carom
