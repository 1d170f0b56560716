/** The responder's socket and its process: dead ones, nonsense, long answers, names that are taken, the background. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLab } from "../lab/lab.js";
import { ask, socketPath } from "../responder/control.js";
import { type Ended, launch, startCarom } from "./cli_support.js";
import { carom, run, withResponder } from "./control_support.js";
import { labTest, MAIN, PATIENCE_MS, PREFIX, withLab } from "./lab_support.js";

labTest("a hint names the responders that answer, not the sockets of dead ones", async () => {
  await withResponder("udp", async ({ name, process: child }) => {
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("exit", resolve));
    const { status, stderr } = carom("status", "--name", name);
    assert.is(status, 3);
    assert.match(stderr, /there is none of that name running/);
    assert.not.match(stderr, new RegExp(`there are: .*${name}`));
  });
});

labTest("nonsense on the socket is refused, and the next client served", async () => {
  await withResponder("af_packet", async ({ name }) => {
    const talk = (bytes: string | Buffer, lines = 1) =>
      new Promise<string>((resolve) => {
        let text = "";
        const socket = createConnection(socketPath(name), () => socket.write(bytes));
        socket.on("data", (data) => {
          text += data.toString();
          if (text.split("\n").length > lines) socket.destroy();
        });
        socket.on("error", () => {});
        socket.on("close", () => resolve(text));
        setTimeout(() => socket.destroy(), PATIENCE_MS).unref();
      });
    for (const bytes of [
      "{\n",
      "[]\n",
      '{"command":"rm"}\n',
      "\0\xff\n",
      `{"command":"status","settings":{"a":1}}\n`,
    ]) {
      assert.match(await talk(bytes), /"error".*none that a responder knows/, bytes);
    }
    assert.match(await talk("x".repeat(2_100_000)), /too long/);
    // Nothing that comes behind it is carried out.
    assert.match(await talk(`${"x".repeat(2_200_000)}\n{"command":"disable"}\n`), /too long/);
    assert.is(((await ask(name, "status")) as { enabled: boolean }).enabled, true, "not disabled");
    const many = 20_000; // short ones in one go are no long one
    const enables = await talk('{"command":"enable"}\n'.repeat(many), many);
    assert.is(enables.split("\n").filter((line) => line === '{"result":{"enabled":true}}').length, many);
    const { enabled } = (await ask(name, "status")) as { enabled: boolean };
    assert.is(enabled, true);
  });
});

labTest("a long answer in many pieces, and one that is none", async () => {
  const name = `t${process.pid}-long`;
  const text = "0123456789".repeat(400_000);
  let answer = `${JSON.stringify({ result: text })}\n`;
  await withServer(
    name,
    (socket) => {
      for (let at = 0; at < answer.length; at += 7001) socket.write(answer.slice(at, at + 7001));
    },
    async () => {
      assert.is(await ask(name, "status"), text);
      answer = "{nonsense}\n";
      assert.match(String(await ask(name, "status").catch(String)), /its answer makes no sense/);
    },
  );
});

/** What listens in a responder's place, and says the same to everybody. */
async function withServer(name: string, talk: (socket: Socket) => void, action: () => Promise<void>) {
  mkdirSync(dirname(socketPath(name)), { recursive: true, mode: 0o700 });
  const server = createServer((socket) => socket.once("data", () => talk(socket)));
  await new Promise<void>((resolve) => server.listen(socketPath(name), resolve));
  try {
    await action();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

labTest("of a killed responder the socket is taken over; a living one keeps its name", async () => {
  await withResponder("af_packet", async ({ lab, name, process: first }) => {
    const args = ["respond", "--namespace", lab.responder.namespace, "--interface", "dut0", "--name", name];
    const second = carom(...args, "--duration", "10ms", "--backend", "af_packet");
    assert.is(second.status, 3, "a second one is refused");
    first.kill("SIGKILL");
    await new Promise((resolve) => first.on("exit", resolve));
    assert.ok(existsSync(socketPath(name)), "the killed one left its socket");
    const third = carom(...args, "--duration", "100ms", "--backend", "af_packet");
    assert.is(third.status, 0, third.stderr);
    assert.not.ok(existsSync(socketPath(name)));
    const gone = carom("status", "--name", name);
    assert.is(gone.status, 3);
    assert.match(gone.stderr, /none of that name running/);
  });
});

labTest("of those of one name that start in the same moment one runs, and keeps its socket", () =>
  withLab({}, async (lab) => {
    const name = `${PREFIX}-same`;
    const where = ["--namespace", lab.responder.namespace, "--interface", "dut0", "--backend", "udp"];
    // On ports of their own, so that nothing but the name is in their way.
    const all = [1, 2, 3, 4].map((port) =>
      startCarom("respond", ...where, "--name", name, "--cpu", "none", "--target-port", String(7000 + port)),
    );
    try {
      const ends: Ended[] = [];
      const three = new Promise<void>((resolve) => {
        for (const { end } of all) end.then((ended) => ends.push(ended) === 3 && resolve());
      });
      await three;
      for (const { status, stderr } of ends) {
        assert.is(status, 3);
        assert.match(stderr, new RegExp(`a responder of the name ${name} is running`));
      }
      const { pid } = (await ask(name, "status")) as { pid: number };
      const alive = all.filter(({ child }) => child.exitCode === null);
      assert.equal(
        alive.map(({ child }) => child.pid),
        [pid],
      );
      assert.is(carom("stop", "--name", name).status, 0);
      assert.is((await alive[0]!.end).status, 0);
      assert.not.ok(existsSync(socketPath(name)));
    } finally {
      for (const { child } of all) child.kill("SIGKILL");
    }
  }),
);

labTest("in the background it has a log, or none, and no pipe of who started it", () =>
  withLab({}, async (lab) => {
    const name = `${PREFIX}-log`;
    const folder = mkdtempSync(join(tmpdir(), "carom-log-"));
    const log = join(folder, "log");
    const config = join(folder, "config");
    writeFileSync(config, "detach=true\n"); // as good as the flag, and does not start one process after the other
    const where = ["respond", "--namespace", lab.responder.namespace, "--interface", "dut0", "--name", name];
    const outputs = (pid: number) => [1, 2].map((number) => readlinkSync(`/proc/${pid}/fd/${number}`));
    const background = (...options: string[]) => {
      const { status, stdout, stderr } = carom(...where, "--backend", "udp", "--json", ...options);
      assert.is(status, 0, stderr);
      return (JSON.parse(stdout) as { pid: number }).pid;
    };
    try {
      assert.equal(outputs(background("--config", config)), ["/dev/null", "/dev/null"]);
      assert.is(carom("stop", "--name", name).status, 0);
      writeFileSync(log, "before\n");
      const pid = background("--detach", "--log", log);
      assert.equal(outputs(pid), [log, log]);
      assert.is(carom("stop", "--name", name).status, 0);
      assert.match(
        readFileSync(log, "utf8"),
        /^before\nanswering ticks to [\s\S]*"schema":"carom.responder"/,
      );
      const refused = [
        [2, /--log: it is about --detach/, "--log", log],
        [3, /write the log .*: ENOENT/, "--detach", "--log", join(folder, "none", "log")],
        [3, /write the log .*: it is no file/, "--detach", "--log", "/dev/zero"],
        [2, /syntax error/, "--detach", "--filter", "udp udp"],
      ] as const;
      for (const [status, says, ...options] of refused) {
        const ended = carom(...where, ...options);
        assert.is(ended.status, status, ended.stderr);
        assert.match(ended.stderr, says);
      }
    } finally {
      rmSync(folder, { recursive: true });
      carom("stop", "--name", name);
    }
  }),
);

labTest("a standard error that nobody reads any more, or that takes no more, does not end it", () =>
  withLab({}, async (lab) => {
    const name = `${PREFIX}-pipe`;
    const where = ["--namespace", lab.responder.namespace, "--interface", "dut0", "--name", name];
    // With --json it says there that it answers, and at its end what it counted on standard output.
    for (const lost of ["2> >(head -c 0)", "2>/dev/full"]) {
      const script = `exec "$@" ${lost}`;
      const command = [process.execPath, MAIN, "respond", ...where, "--duration", "200ms", "--json"];
      const { status, stdout } = await launch(["bash", "-c", script, "bash", ...command]).end;
      assert.is(status, 0, lost);
      const { elapsed_s } = JSON.parse(stdout) as { elapsed_s: number };
      assert.ok(elapsed_s >= 0.19, `it ran for ${elapsed_s} s`);
    }
  }),
);

labTest("in the background, and stopped", async () => {
  const name = `t${process.pid}-d`;
  const lab = createLab({ name });
  try {
    const where = ["--namespace", lab.responder.namespace, "--interface", "dut0"];
    const started = carom("respond", ...where, "--name", name, "--detach", "--json");
    assert.is(started.status, 0, started.stderr);
    const { pid } = JSON.parse(started.stdout) as { pid: number };
    const again = carom("respond", ...where, "--name", name, "--detach");
    assert.is(again.status, 3);
    assert.match(again.stderr, /is running/);
    assert.is((await run(lab, "--count", "100")).status, 0);
    assert.is(carom("stop", "--name", name).status, 0);
    // It may be there a moment longer, for whoever adopted it to ask after.
    const state = existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/stat`, "utf8") : "gone";
    assert.match(state, /^gone$|\) Z /, "its process has ended");
  } finally {
    lab.down();
  }
});

test.run();
