// What several roles are configured with.
#pragma once

#include "addon/fields.h"
#include "io/packet_io.h"
#include "strategy/runner.h"

namespace carom {

StrategyConfig read_strategy(const Napi::Object& object);
IoConfig read_io(const Napi::Object& object);

// One tick of so many is followed; 0: none.
uint32_t read_breakdown(const Napi::Object& object);
uint32_t read_passage_room(const Napi::Object& object);

}  // namespace carom
