/** What the native core finds out about the machine: its clocks, its interfaces, what this process may do. */

export interface ClockInfo {
  readonly frequencyHz: number; // of the TSC, calibrated against CLOCK_MONOTONIC_RAW
  readonly resolutionNs: number;
  readonly readCostNs: number;
  readonly errorPpm: number; // spread of the calibration
}

/** The clocks of the kernel beside the TSC's timeline: two readings tell what they did in between. */
export interface ClocksReading {
  readonly timelineNs: number; // of the TSC
  readonly rawOffsetNs: bigint; // CLOCK_MONOTONIC_RAW less the timeline
  readonly monotonicOffsetNs: bigint; // CLOCK_MONOTONIC less the timeline
  readonly widthNs: number; // of the bracket: no offset is off by more than half of it
}

/** CLOCK_REALTIME beside the TSC's timeline. */
export interface RealtimeReading {
  readonly timelineNs: number;
  readonly offsetNs: bigint; // CLOCK_REALTIME less the timeline
  readonly widthNs: number; // of the bracket: it is not off by more than half of it
}

/** What the kernel was told of CLOCK_REALTIME by whoever disciplines it: chrony, ntpd, phc2sys (adjtimex(2)). */
export interface ClockDiscipline {
  readonly synchronised: boolean;
  readonly maxErrorNs: number;
  readonly estimatedErrorNs: number;
  readonly taiOffsetS: number; // TAI less UTC; 0 where nobody said
}

export interface BackendProbe {
  readonly name: string;
  readonly roles: readonly ("generator" | "responder")[];
  readonly tried: boolean; // false: nothing was attached to the interface, or bound to it
  readonly reason: string; // "" when usable, otherwise why not
  readonly hint: string;
}

/** What ETHTOOL_GET_TS_INFO says of an interface. */
export interface TimestampingInfo {
  readonly hardwareTx: boolean;
  readonly hardwareRx: boolean;
  readonly softwareTx: boolean;
  readonly softwareRx: boolean;
  readonly phcIndex: number; // -1: no hardware clock
}

/** A PTP hardware clock and one of the system's at one moment. */
export interface PhcReading {
  readonly phcNs: bigint;
  readonly systemNs: bigint;
  readonly isRaw: boolean; // the system's is CLOCK_MONOTONIC_RAW, otherwise CLOCK_REALTIME
  readonly realtimeNs: bigint; // CLOCK_REALTIME at that moment
  readonly widthNs: number; // of the bracket: the two are not further apart than half of it
  readonly method: string;
}

/** The next ticks of a feed, as the generator would send them. */
export interface FeedSample {
  readonly planned_ns: Float64Array; // from the start of the run; exact up to 2^53 ns, 104 days
  readonly symbols: Uint32Array; // indices into the symbols of the configuration
  readonly prices: Uint32Array;
  readonly quantities: Uint32Array;
}

/** What a thread of this process may do, as the kernel says. */
export interface ThreadPrivileges {
  readonly id: number; // the kernel's
  readonly name: string;
  readonly capabilities: bigint; // effective or permitted: a bit each, as capability.h numbers them
  readonly noNewPrivileges: boolean;
}
