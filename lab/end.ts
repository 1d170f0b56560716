/** What has to happen when this process ends, whichever way it does, short of being killed outright. */

const registered = new Set<() => void>();

/**
 * Has an action called when this process ends: by itself, by an error, by process.exit, or by a SIGTERM or
 * SIGHUP for which nobody else listens. SIGINT is left to whoever runs in the foreground.
 * @param action synchronous, must not throw; given twice, it is called once
 */
export function atEndOfProcess(action: () => void): void {
  if (registered.size === 0) {
    endOnSignal("SIGHUP", 1);
    endOnSignal("SIGTERM", 15);
  }
  if (registered.has(action)) return;
  registered.add(action);
  process.on("exit", action);
}

/** By default a signal ends the process without its exit handlers. */
function endOnSignal(signal: NodeJS.Signals, number: number): void {
  // First in line: a listener that asked to be called only once is no longer counted after its turn.
  process.prependListener(signal, () => {
    if (process.listenerCount(signal) === 1) process.exit(128 + number);
  });
}
