/* SPDX-License-Identifier: GPL-2.0 OR MIT
 * Shared with user space: frames by the queue that nobody serves (bpf/unserved.h). */
#pragma once

#include <linux/types.h>

#define UNSERVED_QUEUES 64

struct unserved_queues {
  __u64 frames[UNSERVED_QUEUES];
};
