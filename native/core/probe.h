// Static probes (USDT): a no-op in the code until a tracer asks for it. `bpftrace -l 'usdt:FILE:*'` lists
// them. Source: SystemTap's sys/sdt.h.
#pragma once

#include <sys/sdt.h>

#define CAROM_PROBE1(name, a) STAP_PROBE1(carom, name, a)
#define CAROM_PROBE2(name, a, b) STAP_PROBE2(carom, name, a, b)
#define CAROM_PROBE3(name, a, b, c) STAP_PROBE3(carom, name, a, b, c)
#define CAROM_PROBE4(name, a, b, c, d) STAP_PROBE4(carom, name, a, b, c, d)
