// libpcap's language (pcap-filter(7)) to a program.
#pragma once

#include <string>

#include "filter/program.h"

namespace carom {

// For Ethernet frames. "" takes every frame. Throws Error (usage) with libpcap's message, and a caret under
// the place where that can be found.
Program compile_expression(const std::string& expression);

// In quotes, and cut when it is long: for messages.
std::string quoted(const std::string& expression);

// The expression, and a caret under its character `at`, on two lines of their own.
std::string show_place(const std::string& expression, size_t at);

}  // namespace carom
