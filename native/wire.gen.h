/* Generated from wire/schema.ts by `npm run wire`. Do not edit. Little-endian, packed. */
#ifndef CAROM_WIRE_GEN_H
#define CAROM_WIRE_GEN_H

#include <linux/types.h>
#ifndef __cplusplus
#include <stddef.h>
#define CAROM_WIRE_ASSERT _Static_assert
#else
#include <cstddef>
#define CAROM_WIRE_ASSERT static_assert
#endif

#define CAROM_WIRE_LAYOUT_HASH "96ae93c2db9fd4ec"

/* one tick, from the exchange side */
struct market_data {
  char symbol[8]; /* ASCII, padded with spaces */
  __u32 price; /* cents */
  __u32 quantity; /* shares */
  __u64 timestamp; /* ns; unique for each tick of a run */
} __attribute__((packed));
#define MARKET_DATA_SIZE 24
CAROM_WIRE_ASSERT(sizeof(struct market_data) == 24, "market_data size");
CAROM_WIRE_ASSERT(offsetof(struct market_data, symbol) == 0, "market_data.symbol");
CAROM_WIRE_ASSERT(offsetof(struct market_data, price) == 8, "market_data.price");
CAROM_WIRE_ASSERT(offsetof(struct market_data, quantity) == 12, "market_data.quantity");
CAROM_WIRE_ASSERT(offsetof(struct market_data, timestamp) == 16, "market_data.timestamp");

/* one order, from the trader side */
struct trading_order {
  char symbol[8]; /* as in the tick */
  __u32 price; /* cents */
  __u32 quantity; /* shares */
  __u8 side; /* 0 buy, 1 sell */
  __u64 timestamp; /* ns, when the order was made */
  char cl_ord_id[16]; /* the tick's timestamp as 16 lower-case hex digits */
} __attribute__((packed));
#define TRADING_ORDER_SIZE 41
CAROM_WIRE_ASSERT(sizeof(struct trading_order) == 41, "trading_order size");
CAROM_WIRE_ASSERT(offsetof(struct trading_order, symbol) == 0, "trading_order.symbol");
CAROM_WIRE_ASSERT(offsetof(struct trading_order, price) == 8, "trading_order.price");
CAROM_WIRE_ASSERT(offsetof(struct trading_order, quantity) == 12, "trading_order.quantity");
CAROM_WIRE_ASSERT(offsetof(struct trading_order, side) == 16, "trading_order.side");
CAROM_WIRE_ASSERT(offsetof(struct trading_order, timestamp) == 17, "trading_order.timestamp");
CAROM_WIRE_ASSERT(offsetof(struct trading_order, cl_ord_id) == 25, "trading_order.clOrdId");

#endif
