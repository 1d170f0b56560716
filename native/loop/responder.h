// The responder's role: what it is given, what can change while it runs, and what it counts.
#pragma once

#include <array>

#include "core/handover.h"
#include "core/histogram.h"
#include "core/passages.h"
#include "frame/build.h"
#include "frame/parse.h"
#include "loop/nic_stamp_logs.h"
#include "loop/role.h"
#include "loop/trace.h"
#include "order/answer_limit.h"
#include "strategy/runner.h"

namespace carom {

// What can change while a responder runs.
struct ResponderSettings {
  bool enabled;  // false: everything that comes in is counted and thrown away
  StrategyConfig strategy;
  answer_limit limit;  // for each source
};

struct ResponderConfig {
  IoConfig io;
  StrategyConfig strategy;
  answer_limit limit;
  bool has_response_address;  // false: the tick's sender is answered
  bool response_ipv6;
  Endpoint response;         // the port always counts
  uint32_t breakdown_every;  // one tick of so many is followed (core/passages.h); 0: none
  uint32_t passage_room;     // so many of them are kept
};

// Every tick is in one of orders, quiet_ticks, orders_unsent, orders_limited, symbol_over_limit and
// undecidable.
struct ResponderCounters {
  Counter frames;             // everything that was received
  Counter disabled;           // of those, thrown away because the responder was disabled
  Counter datagrams;          // those for us: right address, group and port
  Counter ticks;              // whole ones
  Counter orders;             // sent
  Counter quiet_ticks;        // the strategy wants none
  Counter partial_ticks;      // datagrams with bytes behind the last whole tick
  Counter orders_unsent;      // no room to send, however often it was tried
  Counter orders_limited;     // not sent: the source has had its answers for now
  Counter symbol_over_limit;  // ticks of a symbol for whose state there is no room
  Counter undecidable;        // the strategy's state is in the kernel (xdp), and the tick is not
  Counter wrong_mac;
  Counter wrong_address;
  Counter wrong_group;
  Counter wrong_port;
  Counter unanswerable;  // over a family in which the link has no address
  std::array<Counter, static_cast<size_t>(ParseResult::COUNT)> refused;  // by the parser's reason
};

struct ResponderRole : Role {
  // Settings with what is made from them: one object, so that a packet sees all of a change or nothing.
  struct Live {
    explicit Live(const ResponderSettings& settings) : settings(settings), rules(settings.strategy) {}
    const ResponderSettings settings;
    const StrategyRules rules;
  };

  explicit ResponderRole(const ResponderConfig& config)
      : Role(config.io),
        config(config),
        passages(config.breakdown_every, config.passage_room),
        nic(config.io, config.breakdown_every, config.passage_room) {
    change({true, config.strategy, config.limit});
  }
  ~ResponderRole() { close(); }  // before what the thread uses goes

  // Puts settings in force between two packets. Called by one thread that is not the loop's. Throws Error for
  // what can't change.
  void change(const ResponderSettings& settings);

  const ResponderConfig config;
  ResponderCounters counters;
  // ns of each tick, from when its batch was taken up until the orders of that were handed over; where the
  // kernel works, what its program takes, of one packet in so many.
  Histogram processing;
  Handover<Live> live;
  Trace trace;
  PassageLog passages;
  NicStampLogs nic;
  bool fixed_symbols =
      config.strategy.keeps_state();  // they can't change any more; a backend may say so, too
};

}  // namespace carom
