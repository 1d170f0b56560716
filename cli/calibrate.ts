/** carom calibrate: how long the cable between two ports is, with what lies between their stamps and the wire. */

import pc from "picocolors";
import { optionGroup } from "../config/option.js";
import { flag, fromText, integer } from "../config/values.js";
import { resolveLink } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { type Calibration, calibrate, type OneWay } from "../run/calibrate.js";
import { calibrationsPath, keepCalibration } from "../run/calibrations.js";
import { count, row } from "../run/lines.js";
import { defineCommand } from "./command.js";

const option = optionGroup("Calibration");

/** One name, or two; an empty one is carom's own namespace. */
function names() {
  return fromText("one or two names, the option given twice or with a comma", (text) => {
    const parts = text.split(",").map((part) => part.trim());
    return parts.length <= 2 && parts.every((part) => !part.includes("\0")) ? parts : undefined;
  });
}

export const command = defineCommand({
  name: "calibrate",
  summary: "how long a cable between two ports is, by their hardware stamps",
  description:
    "Two ports, one cable between them: frames go both ways, and the NICs stamp when each left and arrived. What it " +
    "takes from stamp to stamp, the ports' own share included, is kept with its spread, the date and the ports; " +
    "carom run --calibrated subtracts it from each round trip that the NIC stamped.",
  options: {
    interface: {
      ...option(names(), "the two ports: --interface A --interface B", "name"),
      repeats: true,
    },
    namespace: {
      ...option(names(), "their network namespaces, where they have any: one, or one each", "name"),
      repeats: true,
    },
    frames: option(integer(20, 1_000_000), "frames each way", "count", "1000"),
    keep: option(flag(), "keep the result for --calibrated", "", "true"),
  },
  examples: [["carom calibrate --interface eth1 --interface eth2", "the cable between eth1 and eth2"]],
  async run(values, context) {
    const [first, second] = values.interface ?? [];
    if (!first || !second || first === second) {
      const hint = "carom calibrate --interface A --interface B";
      throw new CaromError("usage", "carom calibrate", "it needs the two ends of a cable", hint);
    }
    const [near = "", far = near] = values.namespace ?? [];
    const links = [resolveLink(first, near), resolveLink(second, far)] as const;
    const started = new Date();
    const found = await calibrate(...links, values.frames);
    const ports = links.map(({ interfaceName: name, mac }) => ({ interface: name, mac }));
    const [one, other] = [ports[0]!, ports[1]!];
    const { path_ns, spread_ns, forth, back } = found;
    const frames = forth.frames + back.frames;
    const entry = { date: started.toISOString(), ports: [one, other], path_ns, spread_ns, frames } as const;
    if (values.keep) keepCalibration({ ...entry, ports: [one, other] });
    for (const line of lines(first, second, found)) context.say(line);
    if (values.keep) context.say(row("kept", `in ${calibrationsPath()}, for carom run --calibrated`));
    context.result({ schema: "carom.calibration", version: 1, ...entry, ...found });
    return 0;
  },
});

function lines(
  first: string,
  second: string,
  { path_ns, spread_ns, forth, back, clocks }: Calibration,
): string[] {
  const way = ({ frames, lost, min_ns, median_ns, max_ns }: OneWay) =>
    `min ${min_ns.toFixed(1)} ns, median ${median_ns.toFixed(1)} ns, max ${max_ns.toFixed(1)} ns of ${count(frames)} frames` +
    (lost === 0 ? "" : `; ${count(lost)} more lack a stamp`);
  const bound = clocks === null ? "" : `, each ±${clocks.one_way_error_ns.toFixed(1)} ns`;
  return [
    pc.bold(`carom calibrate · ${first} ↔ ${second}`),
    "",
    row("path", `${path_ns.toFixed(1)} ns from stamp to stamp, spread ${spread_ns.toFixed(1)} ns`),
    row("forth", way(forth) + bound),
    row("back", way(back) + bound),
    row(
      "",
      "the mean of both ways has no part of the clocks' offset; where the ways differ, it has that of neither",
    ),
    ...(clocks === null
      ? [row("clocks", "one: nothing is converted")]
      : [
          row("clocks", `${clocks.devices.join(" against ")} by ${clocks.method}`),
          row(
            "",
            `offset ${clocks.before.offset_ns} ns ±${clocks.before.error_ns} before, ${clocks.after.offset_ns} ns ±${clocks.after.error_ns} after`,
          ),
          row("", `drift ${clocks.drift_ppb.toFixed(1)} ppb`),
        ]),
  ];
}
