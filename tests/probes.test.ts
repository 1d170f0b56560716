/** The static probes: that they are in the addon as docs/trace.md has them, and what a tracer reads from them. */

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openFrameSocket } from "../native/index.js";
import { isAnswered, socketPath } from "../responder/control.js";
import { encodeTick } from "../wire/codec.js";
import { buildFrame } from "../wire/frame.js";
import { backendTest, carom, launch, type Running, reportOf, startCarom } from "./cli_support.js";
import { PREFIX, until, withLab } from "./lab_support.js";

const ADDON = fileURLToPath(new URL("../../native/build/Release/carom.node", import.meta.url));
const DOCS = new URL("../../docs/trace.md", import.meta.url);
const TICKS = 40;

/** Of each probe the sizes of its arguments in bytes, from the notes in the addon: "8@%rax 4@8(%rbx)". */
function probesInAddon(): Map<string, string> {
  const { stdout, error } = spawnSync("readelf", ["-n", ADDON], { encoding: "utf8" });
  assert.is(error, undefined);
  const notes = [...stdout.matchAll(/Provider: carom\n\s+Name: (\w+)\n.*\n\s+Arguments: (.*)/g)];
  const sizes = notes.map(
    ([, name = "", list = ""]) =>
      [name, [...list.matchAll(/-?(\d)@/g)].map(([, size]) => size).join()] as const,
  );
  for (const [name, list] of sizes)
    assert.is(list, new Map(sizes).get(name), `${name} has the same arguments everywhere`);
  return new Map(sizes);
}

/** The same from the table in the documentation: "| `name` | when | `a` u64 ns, `b` u8 |". */
function probesInDocs(): Map<string, string> {
  const [, section = ""] = readFileSync(DOCS, "utf8").split("\n## Static probes\n");
  const rows = [...section.matchAll(/^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$/gm)];
  const bytes: Readonly<Record<string, string>> = { u8: "1", u32: "4", u64: "8", string: "8" };
  return new Map(
    rows.map(([, name = "", list = ""]) => [
      name,
      [...list.matchAll(/`\w+` (u8|u32|u64|string)/g)].map(([, type]) => bytes[type!]).join(),
    ]),
  );
}

test("the addon has the probes of docs/trace.md, with these arguments", () => {
  const sorted = (probes: ReadonlyMap<string, string>) => [...probes].sort();
  assert.equal(sorted(probesInAddon()), sorted(probesInDocs()));
  assert.ok(probesInDocs().size >= 7);
});

const attempt = spawnSync("bpftrace", ["-e", "BEGIN { exit(); }"], { encoding: "utf8" });
const whyNot = attempt.error?.message ?? (attempt.status === 0 ? "" : attempt.stderr.trim());

function tracerTest(name: string, action: () => Promise<void>): void {
  if (whyNot === "") backendTest(name, ["af_xdp"], action);
  else test.skip(`${name} (bpftrace: ${whyNot})`);
}

tracerTest("bpftrace lists them, and reads what happens", async () => {
  const listed = spawnSync("bpftrace", ["-l", `usdt:${ADDON}:*`], { encoding: "utf8" }).stdout;
  const names = listed
    .trim()
    .split("\n")
    .map((line) => line.split(":").at(-1)!);
  assert.equal(names.sort(), [...probesInDocs().keys()].sort());

  const name = `${PREFIX}-probes`;
  await withLab({ name }, async (lab) => {
    const show = (probe: string, format: string, args: string) =>
      `usdt:${ADDON}:carom:${probe} { printf("%d ${probe} ${format}\\n", pid, ${args}); }`;
    const program = [
      show("tick_sent", "%llu %llu %llu", "arg0, arg1, arg2"),
      show("tick_decided", "%llu %u %u %u", "arg0, arg1, arg2, arg3"),
      show("orders_received", "%u %llu", "arg0, arg1"),
      show("order_judged", "%u %llu %llu", "arg0, arg1, arg2"),
      show("frame_refused", "%s %u", "str(arg0), arg1"),
      'interval:ms:100 { printf("ready\\n"); }',
    ];
    const tracer = launch(["bpftrace", "-B", "line", "-e", program.join("\n")]);
    let responder: Running | undefined;
    try {
      await tracer.said("ready");
      responder = startCarom("respond", "--lab", name, "--name", name); // now: it spins, and compiling takes a core
      await until("the responder answers", () => isAnswered(name));
      const options = ["--rate", "1k", "--count", String(TICKS), "--warmup", "0", "--no-responder", "--json"];
      const { verdicts } = reportOf(await carom("run", "--lab", name, ...options));
      const socket = openFrameSocket({ link: lab.generator, holdPort: 0 });
      socket.send(
        buildFrame({
          ethernet: { source: lab.generator.mac, destination: lab.responder.mac },
          ip: { version: 4, source: lab.generator.address4, destination: lab.responder.address4, ttl: 16 },
          udp: { sourcePort: 5000, destinationPort: 8080, checksum: "bad" },
          payload: encodeTick({ symbol: "AAPL", price: 1, quantity: 1, timestamp: 1n }),
        }),
      );
      await tracer.said(`${responder.child.pid} frame_refused`);
      socket.close();
      tracer.child.kill("SIGINT");
      const { stdout } = await tracer.end;
      // Whatever has the addon loaded is traced, other people's caroms as well.
      const of = (probe: string, pid: number | string) =>
        [...stdout.matchAll(new RegExp(`^${pid} ${probe} (.+)$`, "gm"))].map(([, text = ""]) =>
          text.split(" "),
        );
      const timestamps = (rows: string[][]) => rows.map(([timestamp]) => timestamp).sort();

      const answering = responder.child.pid!;
      assert.equal(of("frame_refused", answering), [["bad_udp_checksum", "66"]]);
      const decided = of("tick_decided", answering);
      assert.is(decided.length, TICKS);
      const senders = new Set([...stdout.matchAll(/^(\d+) tick_sent /gm)].map(([, pid]) => pid!));
      const sending = [...senders].find((pid) =>
        isDeepStrictEqual(timestamps(of("tick_sent", pid)), timestamps(decided)),
      );
      assert.ok(sending !== undefined, "one process sent each tick that was decided, and no other");
      const sent = of("tick_sent", sending);
      for (const [, planned, actual] of sent)
        assert.ok(BigInt(actual!) >= BigInt(planned!), `${planned} ${actual}`);
      for (const [, price, order, why] of decided)
        assert.equal([order, why], Number(price) < 10_000 ? ["1", "0"] : ["0", "4"], `at ${price}`);
      const orders = decided.filter(([, , order]) => order === "1");
      assert.is(orders.length, verdicts.correct);
      const bytes = of("orders_received", sending).reduce((sum, [size]) => sum + Number(size), 0);
      assert.is(bytes, 41 * orders.length);
      const judged = of("order_judged", sending);
      assert.is(judged.length, orders.length);
      for (const [verdict, latency_ns, timestamp] of judged) {
        assert.is(verdict, "0", "correct");
        assert.ok(Number(latency_ns) > 100, `${latency_ns} ns`);
        assert.ok(
          orders.some(([order]) => order === timestamp),
          "of a tick that had to be answered",
        );
      }
    } finally {
      tracer.child.kill("SIGKILL");
      responder?.child.kill("SIGKILL");
      await responder?.end;
      rmSync(socketPath(name), { force: true });
    }
  });
});

test.run();
