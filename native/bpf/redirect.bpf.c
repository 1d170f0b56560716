// Takes the UDP datagrams for one port to the AF_XDP socket of the queue they came in on; everything else
// (ARP, IGMP, ssh) goes on to the kernel. Where it is asked to, it leaves the time in front of the frame.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Set before the program is loaded.
const volatile __be16 port = 0;  // network order
const volatile __u8 stamp = 0;   // 1: the time of arrival, CLOCK_TAI in ns, in the 8 bytes before the frame

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct vlan_header {
  __be16 tag;
  __be16 ethertype;
};

static __always_inline int is_ours(void* data, void* end) {
  struct ethhdr* ethernet = data;
  if ((void*)(ethernet + 1) > end) return 0;
  __be16 ethertype = ethernet->h_proto;
  void* ip = ethernet + 1;
  if (ethertype == bpf_htons(ETH_P_8021Q)) {
    struct vlan_header* vlan = ip;
    if ((void*)(vlan + 1) > end) return 0;
    ethertype = vlan->ethertype;
    ip = vlan + 1;
  }
  struct udphdr* udp;
  if (ethertype == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip4 = ip;
    if ((void*)(ip4 + 1) > end || ip4->protocol != IPPROTO_UDP) return 0;
    if ((ip4->frag_off & bpf_htons(0x1fff)) != 0) return 0;  // a later fragment has no ports
    udp = ip + (ip4->ihl & 15) * 4;
  } else if (ethertype == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip6 = ip;
    if ((void*)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_UDP) return 0;
    udp = (void*)(ip6 + 1);
  } else {
    return 0;
  }
  if ((void*)(udp + 1) > end) return 0;
  return udp->dest == port;
}

SEC("xdp")
int redirect(struct xdp_md* context) {
  if (!is_ours((void*)(long)context->data, (void*)(long)context->data_end)) return XDP_PASS;
  if (stamp) {
    __u64 now = bpf_ktime_get_tai_ns();
    if (bpf_xdp_adjust_meta(context, -(int)sizeof(now)) == 0) {
      __u64* meta = (void*)(long)context->data_meta;
      if ((void*)(meta + 1) <= (void*)(long)context->data) *meta = now;
    }
  }
  // XDP_PASS where this queue has no socket.
  return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
