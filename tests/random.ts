/** Random numbers that are the same in every run, so that what fails once can be looked at. */

/** How many cases a test takes: a slice of them, and all of them under `npm run prove`. */
export function casesOf(slice: number, all: number): number {
  return process.env.CAROM_PROVE === "1" ? all : slice;
}

/** @returns a function that gives a whole number from 0 to below */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  // mulberry32: small, fast, and good enough to make inputs with.
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
