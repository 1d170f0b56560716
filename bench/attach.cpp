// Attaches an XDP program to an interface, says "attached", and keeps it there until it is killed.
//   attach NAMESPACE INTERFACE OBJECT PROGRAM
#include "bpf_object.h"
#include "core/thread.h"

using namespace bench;

int main(int count, char** arguments) {
  if (count != 5) {
    fputs("usage: attach NAMESPACE INTERFACE OBJECT PROGRAM\n", stderr);
    return 2;
  }
  die_with_parent();
  carom::enter_network_namespace(arguments[1]);
  bpf_object* object = open_object(arguments[3]);
  check(bpf_object__load(object) == 0, "load the program");
  attach(program_of(object, arguments[4]), interface_of(arguments[2]));
  puts("attached");
  fflush(stdout);
  pause();
}
