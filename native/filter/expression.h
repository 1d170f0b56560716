// libpcap's language (pcap-filter(7)) to a program.
#pragma once

#include <string>
#include <vector>

#include "filter/language.h"
#include "filter/program.h"

namespace carom {

// What libpcap makes of a text for Ethernet frames, as it is before its optimizer: that needs minutes for a
// thousand hosts, and simplify() does the same. Throws Error (usage) with libpcap's message, and a caret
// under the place in the whole expression where that can be found.
std::vector<Instruction> compile_text(const PcapText& text, const std::string& expression);

// In quotes, and cut when it is long: for messages.
std::string quoted(const std::string& expression);

// The expression, and a caret under its character `at`, on two lines of their own.
std::string show_place(const std::string& expression, size_t at);

}  // namespace carom
