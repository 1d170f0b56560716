// What the threads of a process that measures may still do once everything is open.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

namespace carom {

// The calling thread keeps these capabilities (CAP_BPF, ...) of those that it has, and can get no others: not
// by a program that it starts either (no_new_privs, and an empty bounding set where the kernel lets it be
// emptied). What the kernel made of it is read back. Throws Error (environment) when it is not that.
void keep_capabilities(std::initializer_list<int> kept);

inline void drop_capabilities() { keep_capabilities({}); }

// The same, and the programs that the thread starts, or becomes, keep these, too.
void bequeath_capabilities(std::initializer_list<int> kept);

// Starts a thread that takes no signals, has a name (up to 15 characters, for /proc and ps) and keeps no
// capabilities but these; `body` runs when it has given up the others. Throws Error when it can't.
std::thread start_confined(const char* name, std::initializer_list<int> kept, std::function<void()> body);

// What one thread may do, as /proc/self/task/ID/status has it.
struct ThreadPrivileges {
  int thread_id;
  std::string name;
  uint64_t capabilities;  // effective or permitted, a bit each
  bool no_new_privileges;
};

// Of every thread of this process. Throws Error when /proc can't be read.
std::vector<ThreadPrivileges> read_privileges();

// Every thread of this process gives up its capabilities, also those that Node and libuv have started; a
// thread that called keep_capabilities() has what it kept, and the calling one keeps these. New threads have
// what the one has that starts them. Throws Error (environment) when a thread has more left.
void confine_process(std::initializer_list<int> kept_here);

}  // namespace carom
