/** Control of a running responder: from another process, while packets flow. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openFrameSocket } from "../native/index.js";
import { ask, socketPath } from "../responder/control.js";
import { buildFrame } from "../wire/frame.js";
import { caromHere } from "./cli_support.js";
import { run, withResponder } from "./control_support.js";
import { ip, labTest, MAIN, until } from "./lab_support.js";

interface Stats {
  readonly counters: Record<string, number>;
}

async function counters(name: string) {
  return ((await ask(name, "stats")) as Stats).counters;
}

/** Waits until a counter is what it must be: what is decided in the kernel is counted a little later. */
function counted(name: string, counter: string, count: number): Promise<void> {
  return until(`${count} ${counter}`, async () => (await counters(name))[counter] === count);
}

for (const backend of ["af_xdp", "xdp"]) {
  labTest(`${backend}: settings change while it runs, all of them or none`, async () => {
    await withResponder(backend, async ({ lab, name }) => {
      assert.is(statSync(socketPath(name)).mode & 0o777, 0o600);
      assert.is((await run(lab, "--count", "500")).status, 0);
      const { stdout } = await caromHere(
        "config",
        "--name",
        name,
        "threshold=5000",
        "side=sell",
        "price_offset=-7",
        "--json",
      );
      const { settings, changeable } = JSON.parse(stdout) as {
        settings: Record<string, unknown>;
        changeable: string[];
      };
      assert.ok(changeable.includes("threshold") && !changeable.includes("target_port"));
      assert.is(changeable.includes("symbols"), backend === "af_xdp");
      assert.equal([settings.threshold, settings.side, settings.price_offset], [5000, "sell", -7]);
      const changed = ["--threshold", "5000", "--side", "sell", "--price-offset", "-7"];
      assert.is((await run(lab, "--count", "500", ...changed)).verdicts.correct! > 400, true);
      const refused = await caromHere("config", "--name", name, "quantity=200", "threshold=cheap");
      assert.is(refused.status, 2);
      assert.match(refused.stderr, /threshold.*"cheap" is not a whole number/);
      assert.is(
        (await run(lab, "--count", "100", ...changed)).verdicts.wrong,
        0,
        "quantity did not change either",
      );
      const fixed = await caromHere("config", "--name", name, "target_port=1");
      assert.is(fixed.status, 2);
      assert.match(fixed.stderr, /can't change while the responder runs/);
    });
  });

  labTest(`${backend}: a strategy that remembers gets other settings while it runs`, async () => {
    const strategy = ["--strategy", "crossover"];
    await withResponder(
      backend,
      async ({ lab, name }) => {
        // Symbols of its own for each run: what is remembered stays when settings change.
        const first = await run(lab, ...strategy, "--count", "500", "--feed-symbols", "A,B");
        assert.equal([first.status, first.verdicts.correct! > 10], [0, true]);
        const changed = await caromHere("config", "--name", name, "fast=2", "slow=7", "--json");
        const { settings } = JSON.parse(changed.stdout) as { settings: Record<string, unknown> };
        assert.equal([settings.fast, settings.slow], [2, 7]);
        const averages = [...strategy, "--fast", "2", "--slow", "7"];
        assert.is((await run(lab, ...averages, "--count", "500", "--feed-symbols", "C,D")).status, 0);
        for (const [setting, says] of [
          ["fast=7", /--fast and --slow: the slow average of 7 ticks is not slower/],
          [
            "strategy=book",
            /carom config strategy: it can't change while .*start it anew; what can change: .*\bslow/,
          ],
          ["symbols=A,B", /carom config symbols: it can't change while .*what can change: (?!.*symbols)/],
        ] as const) {
          const refused = await caromHere("config", "--name", name, setting);
          assert.is(refused.status, 2, setting);
          assert.match(refused.stderr, says);
        }
        assert.is(
          (await run(lab, ...averages, "--count", "500", "--feed-symbols", "E,F")).status,
          0,
          "nothing changed",
        );
        const open = ["--rate", "5k", "--timeout", "50ms"];
        const other = await run(lab, ...strategy, ...open, "--count", "500", "--feed-symbols", "G,H");
        assert.is(other.status, 1);
        assert.ok(
          other.notes.some((note) => /^crossover remembers: a tick that was lost/.test(note)),
          `${other.notes}`,
        );
      },
      strategy,
    );
  });

  labTest(`${backend}: spread and the limit on answers change while it runs`, async () => {
    const strategy = ["--strategy", "book"];
    await withResponder(
      backend,
      async ({ lab, name }) => {
        await caromHere("config", "--name", name, "spread=800");
        const spread = [...strategy, "--spread", "800", "--feed-symbols"];
        const wide = await run(lab, ...spread, "A,B", "--count", "500");
        assert.equal([wide.status, wide.verdicts.correct! > 10], [0, true]);
        const before = await counters(name);
        assert.is(before.orders_limited, 0);
        const { stdout } = await caromHere("config", "--name", name, "answer_limit=1", "--json");
        assert.is((JSON.parse(stdout) as { settings: Record<string, unknown> }).settings.answer_limit, 1);
        const limited = await run(lab, ...spread, "C,D", "--count", "500", "--rate", "2k", "--timeout", "1s");
        assert.is(limited.status, 1);
        // One a second, and more on a machine where it takes longer.
        const { correct, late, missing } = limited.verdicts;
        assert.ok(correct! + late! > 0 && correct! + late! < missing!, JSON.stringify(limited.verdicts));
        await counted(name, "orders_limited", missing!);
        await caromHere("config", "--name", name, "answer_limit=0");
        assert.is((await run(lab, ...spread, "E,F", "--count", "500")).status, 0);
      },
      strategy,
    );
  });

  labTest(`${backend}: disable and enable, every tick accounted for`, async () => {
    await withResponder(backend, async ({ lab, name }) => {
      assert.is((await caromHere("disable", "--name", name)).status, 0);
      const silent = await run(
        lab,
        "--rate",
        "2k",
        "--count",
        "300",
        "--timeout",
        "100ms",
        "--trigger-ratio",
        "1",
      );
      assert.equal([silent.status, silent.verdicts.missing], [1, 300]);
      await counted(name, "disabled", 300);
      assert.is((await counters(name)).orders, 0);
      assert.is((await caromHere("enable", "--name", name)).status, 0);
      assert.is(
        (await run(lab, "--rate", "2k", "--count", "300", "--trigger-ratio", "1")).verdicts.correct,
        300,
      );
      await counted(name, "frames", 600);
      const on = await counters(name);
      assert.equal([on.disabled, on.orders, on.frames], [300, 300, 600]);
      await caromHere("reset", "--name", name);
      assert.is((await counters(name)).frames, 0);
    });
  });

  labTest(`${backend}: commands without a pause change no order and lose none`, async () => {
    await withResponder(backend, async ({ lab, name }) => {
      const args = [
        "run",
        "--namespace",
        lab.generator.namespace,
        "--interface",
        "gen0",
        "--rate",
        "5k",
        "--duration",
        "1500ms",
        "--timeout",
        "20s",
        "--ring-size",
        "16384",
      ];
      const measured = spawn(process.execPath, [MAIN, ...args, "--json"], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      let text = "";
      measured.stdout.on("data", (data: Buffer) => {
        text += data.toString();
      });
      const ended = new Promise((resolve) => measured.on("close", resolve));
      let commands = 0;
      while (measured.exitCode === null) {
        // The threshold goes up and down above all prices that must be answered and below all others.
        await Promise.all([
          ask(name, "config", { threshold: "10000", quantity: "100" }),
          ask(name, "stats"),
          ask(name, "status"),
        ]);
        commands += 3;
      }
      await ended;
      const { verdicts } = JSON.parse(text) as { verdicts: Record<string, number> };
      assert.ok(commands > 3, `${commands} commands`);
      assert.equal([verdicts.wrong, verdicts.missing, verdicts.unexpected, verdicts.duplicate], [0, 0, 0, 0]);
    });
  });
}

labTest("status names each reason for which a frame was refused", async () => {
  await withResponder("af_xdp", async ({ lab, name }) => {
    const { generator: from, responder: to } = lab;
    const frame = (udp: object, ip: object) =>
      buildFrame({
        ethernet: { source: from.mac, destination: to.mac },
        ip: { version: 4, source: from.address4, destination: to.address4, ttl: 16, ...ip },
        udp: { sourcePort: 5000, destinationPort: 8080, ...udp },
        payload: Buffer.alloc(24, 0x41),
      });
    const socket = openFrameSocket({ link: from, holdPort: 0 });
    try {
      for (const bytes of [
        frame({ checksum: "bad" }, {}),
        frame({}, { ttl: 0 }),
        frame({}, { ttl: 0 }),
        frame({}, { source: "224.0.0.1" }),
        frame({}, { source: "255.255.255.255" }),
        Buffer.concat([frame({}, {}).subarray(0, 6), Buffer.alloc(6, 0xff), frame({}, {}).subarray(12)]),
      ])
        socket.send(bytes);
      const status = async () =>
        (await ask(name, "status")) as {
          errors: Record<string, number>;
          last_error: { reason: string } | null;
          packets: { processed: number; answered: number };
        };
      // It is looked for once a second.
      await until("a last error is told of", async () => {
        const { last_error, packets } = await status();
        return last_error !== null && packets.processed === 6;
      });
      const { errors, last_error, packets } = await status();
      assert.equal(errors, {
        bad_udp_checksum: 1,
        ttl_zero: 2,
        multicast_source: 1,
        broadcast_source: 1,
        group_source_mac: 1,
      });
      assert.ok(Object.hasOwn(errors, last_error!.reason));
      assert.equal([packets.processed, packets.answered], [6, 0]);
    } finally {
      socket.close();
    }
  });
});

interface Status {
  readonly pid: number;
  readonly started: string;
  readonly uptime_s: number;
  readonly network_namespace: number;
  readonly connections: number;
  readonly processing: Record<string, number>;
  readonly memory_locked_kib: { readonly process: number; readonly bpf: number };
  readonly threads: readonly {
    readonly queue: number;
    readonly cpu: number;
    readonly id: number;
    readonly frames: number;
    readonly context_switches: { readonly voluntary: number; readonly involuntary: number };
    readonly page_faults: { readonly minor: number; readonly major: number };
  }[];
}

interface Resettable {
  readonly packets: { readonly processed: number };
  readonly last_error: { readonly reason: string } | null;
}

/** A field of a thread's file in /proc/PID/task/TID. */
function ofThread({ pid, threads }: Status, file: string, pattern: RegExp): number {
  return Number(pattern.exec(readFileSync(`/proc/${pid}/task/${threads[0]!.id}/${file}`, "utf8"))?.[1]);
}

for (const backend of ["af_xdp", "xdp", "af_packet", "udp"]) {
  labTest(
    `${backend}: status tells what interrupted the responder's thread, and what memory is locked`,
    async () => {
      await withResponder(backend, async ({ lab, name, process: { pid } }) => {
        assert.is((await run(lab, "--count", "500")).status, 0);
        const { stdout } = await caromHere("status", "--name", name, "--json");
        const status = JSON.parse(stdout) as Status;
        assert.is(status.pid, pid);
        assert.is(status.threads.length, 1);
        const [thread] = status.threads;
        assert.is.not(thread!.id, pid, "a thread of its own");
        assert.is(thread!.queue, 0);
        assert.ok(thread!.frames >= 500, `${thread!.frames} frames`);
        assert.is(status.network_namespace, statSync(lab.responder.namespace).ino);
        const age_s = (Date.now() - Date.parse(status.started)) / 1000;
        assert.ok(status.uptime_s > 0 && status.uptime_s <= age_s + 0.1, `${status.uptime_s} s up`);
        assert.is(status.connections, 0);
        const { samples, min_ns, mean_ns, p50_ns, p99_ns, max_ns } = status.processing;
        if (backend !== "xdp") assert.ok(samples! > 0 && min_ns! > 0 && mean_ns! > 0 && p50_ns! > 0);
        assert.ok(p99_ns === null || p99_ns! <= max_ns!);
        // What has been counted since: never less than what was told.
        const { context_switches, page_faults } = thread!;
        const { voluntary, involuntary } = context_switches;
        assert.ok(
          voluntary > 0 && voluntary <= ofThread(status, "status", /^voluntary_ctxt_switches:\s+(\d+)/m),
        );
        assert.ok(involuntary <= ofThread(status, "status", /^nonvoluntary_ctxt_switches:\s+(\d+)/m));
        assert.ok(
          page_faults.minor > 0 && page_faults.minor <= ofThread(status, "stat", /\) \S(?: \S+){6} (\d+)/),
        );
        assert.ok(page_faults.major <= ofThread(status, "stat", /\) \S(?: \S+){8} (\d+)/));
        // Other backends have only those that note interrupts, where eBPF may.
        const { bpf } = status.memory_locked_kib;
        assert.ok(bpf > 0 || (backend !== "af_xdp" && backend !== "xdp"), "maps and programs");
        assert.is(status.memory_locked_kib.process, 0, "nothing is locked by mlock");
        const text = (await caromHere("status", "--name", name)).stdout;
        for (const line of [
          new RegExp(`^ +pid +${pid}$`, "m"),
          /^ +uptime s +[\d.]+$/m,
          /^ +connections +0$/m,
          /^ +memory locked kib: process +0$/m,
          /^ +memory locked kib: bpf +[\d,]+$/m,
          new RegExp(`^ +thread: id +${thread!.id}$`, "m"),
          /^ +thread: context switches: voluntary +[\d,]+$/m,
          /^ +thread: context switches: involuntary +[\d,]+$/m,
          /^ +thread: page faults: minor +[\d,]+$/m,
          /^ +thread: page faults: major +[\d,]+$/m,
        ])
          assert.match(text, line);
      });
    },
  );
}

labTest("reset begins anew: counters, times and threads; a lost interface is told of", async () => {
  await withResponder("af_packet", async ({ lab, name, process: responder }) => {
    const status = async () =>
      JSON.parse((await caromHere("status", "--name", name, "--json")).stdout) as Status & Resettable;
    assert.is((await run(lab, "--count", "300")).status, 0);
    const before = await status();
    assert.ok(before.processing.samples! >= 300 && before.threads[0]!.frames >= 300);
    assert.is(before.processing.samples, before.packets.processed, "a sample for each tick");
    assert.is((await caromHere("reset", "--name", name)).status, 0);
    const after = await status();
    assert.equal([after.packets.processed, after.processing.samples, after.threads[0]!.frames], [0, 0, 0]);
    assert.is(after.processing.max_ns, null);
    assert.is((await run(lab, "--count", "300")).status, 0);
    const again = await status();
    assert.ok(again.processing.samples! > 0 && again.processing.samples! <= again.packets.processed);
    assert.is(again.threads[0]!.frames, again.packets.processed);
    assert.is(again.last_error, null);
    const setLink = (state: string) => ip(lab.responder.namespace, "link", "set", "dut0", state);
    setLink("down");
    setLink("up");
    const down = "the link of dut0 went down"; // it looks once a second
    await until("it is told of", async () => (await status()).last_error?.reason === down);
    lab.down();
    await once(responder, "exit");
    assert.is(responder.exitCode, 1, "nothing can be answered any more");
  });
});

test.run();
