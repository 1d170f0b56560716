// What reads captures and sends them, as one translation unit: see unit_roles.cpp.
#include "addon/filter_capture.cpp"
#include "addon/inspect.cpp"
#include "addon/preview.cpp"
#include "addon/replay.cpp"
