// What sends by a plan asks of its source: a Feed, or something with the same public methods. A source may
// count its frames otherwise than by their ticks (weight), may have to wait for what comes next although
// there is more (waits), and may have to get ready before the start (prepare).
#pragma once

#include <cstdint>

#include "generate/feed.h"

namespace carom {

// How much of what is counted as sent is in it.
template <class Source>
uint32_t weight_of(const Source& source, const Transmission& transmission) noexcept {
  if constexpr (requires { source.weight(transmission); }) {
    return source.weight(transmission);
  } else {
    return static_cast<uint32_t>(source.ticks(transmission).size());
  }
}

// Whether the next one is not known yet. To be asked before planned_ns().
template <class Source>
bool waits_for(Source& source) noexcept {
  if constexpr (requires { source.waits(); }) {
    return source.waits();
  } else {
    return false;
  }
}

// False: there is nothing to send, and no run.
template <class Source, class Stopped>
bool prepare_source(Source& source, Stopped stopped) noexcept {
  if constexpr (requires { source.prepare(stopped); }) {
    return source.prepare(stopped);
  } else {
    return true;
  }
}

}  // namespace carom
