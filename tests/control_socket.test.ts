/** The responder's socket and its process: dead ones, nonsense, long answers, names that are taken, the background. */

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLab } from "../lab/lab.js";
import { ask, socketPath } from "../responder/control.js";
import { carom, run, withResponder } from "./control_support.js";

test("a hint names the responders that answer, not the sockets of dead ones", async () => {
  await withResponder("udp", async ({ name, process: child }) => {
    child.kill("SIGKILL");
    await sleep(200);
    const { status, stderr } = carom("status", "--name", name);
    assert.is(status, 3);
    assert.match(stderr, /there is none of that name running/);
    assert.not.match(stderr, new RegExp(`there are: .*${name}`));
  });
});

test("nonsense on the socket is refused, and the next client served", async () => {
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
        setTimeout(() => socket.destroy(), lines === 1 ? 300 : 10_000);
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

test("a long answer in many pieces, and one that is none", async () => {
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

test("of a killed responder the socket is taken over; a living one keeps its name", async () => {
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

test("in the background, and stopped", async () => {
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
