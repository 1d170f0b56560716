#include "capture/trading.h"

#include "order/native_order.h"

namespace carom {

void Trading::add(const uint8_t* frame, uint32_t captured, uint64_t time_ns) {
  Datagram datagram{};
  ParseResult result = parse_frame(frame, captured, {ANY_VLAN, true}, datagram);
  if (result == ParseResult::unfinished_checksum) {
    // The frame is from before its NIC: it goes out with a right one.
    counters_.unfinished++;
    result = parse_frame(frame, captured, {ANY_VLAN, false}, datagram);
  }
  if (result != ParseResult::ok) {
    counters_.refused[static_cast<size_t>(result)]++;
    return;
  }
  const uint8_t* at = datagram.payload;
  uint32_t left = datagram.payload_length;
  if (datagram.destination_port == tick_port_) {
    counters_.tick_datagrams++;
    for (; left >= MARKET_DATA_SIZE; left -= MARKET_DATA_SIZE, at += MARKET_DATA_SIZE) {
      market_data read;
      memcpy(&read, at, sizeof read);
      tick(read, time_ns);
    }
    if (left != 0) counters_.partial_ticks++;
  } else if (datagram.destination_port == order_port_) {
    counters_.order_datagrams++;
    for (; left >= TRADING_ORDER_SIZE; left -= TRADING_ORDER_SIZE, at += TRADING_ORDER_SIZE) {
      trading_order read;
      memcpy(&read, at, sizeof read);
      order(read, time_ns);
    }
    if (left != 0) counters_.partial_orders++;
  }
}

void Trading::tick(const market_data& tick, uint64_t time_ns) {
  counters_.ticks++;
  std::array<char, 8> symbol;
  memcpy(symbol.data(), tick.symbol, sizeof symbol);
  symbols_.at(symbol).add({1, 1, 0});
  if (ticks_.find(tick.timestamp) != nullptr) {
    counters_.tick_copies++;
  } else {
    ticks_.add(tick.timestamp, time_ns);
  }
}

void Trading::order(const trading_order& order, uint64_t time_ns) {
  counters_.orders++;
  counters_.sides[order.side < 2 ? order.side : 2]++;
  std::array<char, 8> symbol;
  memcpy(symbol.data(), order.symbol, sizeof symbol);
  symbols_.at(symbol).add({1, 0, 1});
  uint64_t timestamp = read_hex(order.cl_ord_id);
  char text[sizeof order.cl_ord_id];
  write_hex(text, timestamp);
  if (memcmp(text, order.cl_ord_id, sizeof text) != 0) {
    counters_.bad_ids++;
    return;
  }
  TickMemory::Tick* tick = ticks_.find(timestamp);
  if (tick == nullptr) {
    counters_.unmatched++;
  } else if (tick->answered) {
    counters_.repeated++;
  } else {
    tick->answered = 1;
    counters_.matched++;
    if (time_ns >= tick->time_ns) {
      round_trips_.record(time_ns - tick->time_ns);
    } else {
      counters_.early++;
    }
  }
}

}  // namespace carom
