// Who has attached an XDP program to an interface, for the error that says so. Cold.
#pragma once

#include <string>

#include "core/error.h"
#include "io/packet_io.h"

namespace carom {

// The error of an attachment that the kernel refused with EBUSY or EEXIST: which program is there, whose it
// is and how to get rid of it, as far as the calling thread may know. It is to be called in the interface's
// namespace.
Error xdp_held_error(const std::string& operation, int number, const Link& link, int interface);

}  // namespace carom
