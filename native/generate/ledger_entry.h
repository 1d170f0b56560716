/* What the ledger keeps of a tick: plain C, as eBPF programs send and judge from the same memory. */
#ifndef CAROM_LEDGER_ENTRY_H
#define CAROM_LEDGER_ENTRY_H

#include "../strategy/strategy.h"
#include "../wire.gen.h"

enum ledger_state {
  LEDGER_PLANNED,        /* not sent yet */
  LEDGER_WITHHELD,       /* never sent to the device, or spoilt, on purpose */
  LEDGER_QUIET,          /* sent, must not be answered */
  LEDGER_WAITING,        /* sent, its answer is due */
  LEDGER_MISSING,        /* its answer did not come in time */
  LEDGER_AWAITING_STAMP, /* answered; the kernel's time of leaving is not known yet */
  LEDGER_ANSWERED,
  LEDGER_ANSWERED_BELOW, /* answered and counted by an eBPF program */
};

/* State and flags are one word, so that two sides that meet in an entry can change it at once. */
struct ledger_status {
  __u8 state;    /* enum ledger_state */
  __u8 measured; /* 0: of the warm-up */
  __u8 copies;   /* answers that may follow the first one */
  __u8 stream;
};

struct ledger_entry {
  __u64 planned_ns;
  __u64 sent_ns;
  __u64 received_ns;
  __u64 stamp_ns;   /* of leaving; of arrival while a stamp is awaited. Where an eBPF program sends: its
                         starved_ns, times two, and one more if the schedule slipped */
  struct tick tick; /* its timestamp is unique, and grows from entry to entry */
  /* By the low bits of its number: matching by price or symbol, the next in the list of those that wait; of a
   * planned tick, the next in its frame. Where an eBPF program sends: the number of its headers, and in the
   * upper half the size of its frame. */
  __u32 next;
  union {
    struct ledger_status status;
    __u32 word;
  };
} __attribute__((aligned(64)));

/* What must come back, in the stride of a BPF array. */
struct ledger_due {
  struct decision decision;
  __u32 pad;
};

CAROM_WIRE_ASSERT(sizeof(struct ledger_entry) == 64 && sizeof(struct ledger_due) == 16,
                  "the strides of BPF arrays");

#endif
