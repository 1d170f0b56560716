// What measures, as one translation unit: each of these files alone spends most of its time on the same
// headers.
#include "addon/addon.cpp"
#include "addon/arrivals.cpp"
#include "addon/capture.cpp"
#include "addon/frame_socket.cpp"
#include "addon/link_watch.cpp"
#include "addon/phc.cpp"
#include "addon/read.cpp"
#include "addon/read_generator.cpp"
#include "addon/roles.cpp"
#include "addon/write.cpp"
