/** The lab: what it is made of, that it carries datagrams, and what of it is refused. */

import { execFileSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLab, type LabOptions, removeLab, resolveLink, sweepLabs } from "../lab/lab.js";
import type { CaromError } from "../native/error.js";
import {
  assertGone,
  assertThere,
  hasNamespace,
  ip,
  labTest,
  PREFIX,
  sendAcross,
  sleep,
  start,
  thrown,
  UNPRIVILEGED,
  until,
  withLab,
} from "./lab_support.js";

labTest("a lab is what its links say", () =>
  withLab({}, (lab) => {
    assert.match(lab.name, /^[a-z0-9][a-z0-9-]{0,23}$/);
    const common = { mtu: 1500 };
    assert.equal(lab.generator, {
      namespace: `/run/netns/carom-${lab.name}-gen`,
      interfaceName: "gen0",
      mac: "02:ca:40:00:00:01",
      address4: "198.18.0.1",
      address6: "2001:2::1",
      ...common,
    });
    assert.equal(lab.responder, {
      namespace: `/run/netns/carom-${lab.name}-dut`,
      interfaceName: "dut0",
      mac: "02:ca:40:00:00:02",
      address4: "198.18.0.2",
      address6: "2001:2::2",
      ...common,
    });
    // What the kernel has, read by a second way.
    for (const link of [lab.generator, lab.responder]) {
      assert.equal(resolveLink(link.interfaceName, link.namespace), link);
      assert.equal(resolveLink(link.interfaceName, link.namespace.replace("/run/netns/", "")), link);
    }
  }),
);

labTest("each end knows the other's address for good, so nobody asks", () =>
  withLab({}, (lab) => {
    for (const [own, peer] of [
      [lab.generator, lab.responder],
      [lab.responder, lab.generator],
    ] as const) {
      const known = ip(own.namespace, "neigh", "show").map(({ dst, lladdr, state }) => ({
        dst,
        lladdr,
        state,
      }));
      const expected = [peer.address4, peer.address6].map((dst) => ({
        dst,
        lladdr: peer.mac,
        state: ["PERMANENT"],
      }));
      assert.equal(known, expected);
    }
  }),
);

labTest("checksums are made by the sender, and nothing filters by source", () =>
  withLab({}, (lab) => {
    for (const { namespace, interfaceName } of [lab.generator, lab.responder]) {
      const inside = (...command: string[]) =>
        execFileSync("nsenter", [`--net=${namespace}`, ...command], { encoding: "utf8" });
      assert.match(inside("ethtool", "-k", interfaceName), /^tx-checksumming: off$/m);
      for (const which of ["all", interfaceName]) {
        assert.is(inside("cat", `/proc/sys/net/ipv4/conf/${which}/rp_filter`).trim(), "0");
      }
    }
  }),
);

labTest("datagrams cross in both families, to one host and to a group", () =>
  withLab({}, async (lab) => {
    assert.is(await sendAcross(lab, 4, "198.18.0.2", "one"), "one from 198.18.0.1");
    assert.is(await sendAcross(lab, 6, "2001:2::2", "two"), "two from 2001:2::1");
    assert.is(await sendAcross(lab, 4, "239.1.1.1", "three"), "three from 198.18.0.1");
    assert.is(await sendAcross(lab, 6, "ff15::8080", "four"), "four from 2001:2::1");
  }),
);

labTest("a link that nobody uses is silent", () =>
  withLab({}, async (lab) => {
    const frames = () =>
      [lab.generator, lab.responder].map((link) => {
        const [first] = ip(link.namespace, "-statistics", "link", "show", "dev", link.interfaceName);
        return (first as { stats64: { tx: { packets: number } } }).stats64.tx.packets;
      });
    // Each end says once which groups it is in.
    await until("nothing was sent for two seconds", async () => {
      const before = frames();
      await sleep(2000);
      return frames().every((count, index) => count === before[index]);
    });
  }),
);

labTest("mtu and queues are what was asked for; too small an mtu leaves IPv6 out", async () => {
  await withLab({ mtu: 9000, queues: 3 }, (lab) => {
    for (const link of [lab.generator, lab.responder]) {
      const [shown] = ip(link.namespace, "-details", "link", "show", "dev", link.interfaceName);
      assert.is(link.mtu, 9000);
      assert.is(shown?.mtu, 9000);
      assert.is(shown?.num_rx_queues, 3);
      assert.is(shown?.num_tx_queues, 3);
    }
  });
  await withLab({ mtu: 1279 }, (lab) => {
    assert.is(lab.generator.address6, "");
    assert.equal(resolveLink("gen0", lab.generator.namespace), lab.generator);
  });
});

labTest("two labs side by side keep apart", async () => {
  await withLab({}, (one) =>
    withLab({}, async (other) => {
      assert.is.not(one.name, other.name);
      const received = await Promise.all([
        sendAcross(one, 4, "198.18.0.2", "to one"),
        sendAcross(other, 4, "198.18.0.2", "to other"),
      ]);
      assert.equal(received, ["to one from 198.18.0.1", "to other from 198.18.0.1"]);
      one.down();
      assertGone(one.name, "after its down");
      assertThere(other.name);
    }),
  );
});

labTest("bad names and sizes are refused", () => {
  const bad: LabOptions[] = [
    { name: "" },
    { name: "Lab" },
    { name: "../etc" },
    { name: "a b" },
    { name: "-x" },
    { name: "x".repeat(25) },
    { mtu: 67 },
    { mtu: 65536 },
    { mtu: 1500.5 },
    { queues: 0 },
    { queues: 65 },
  ];
  for (const options of bad) {
    const error = thrown(() => createLab(options));
    assert.is(error.code, "usage", JSON.stringify(options));
    assert.match(error.detail, / is not /);
  }
});

labTest("a name that is taken is refused, and what has it is left alone", async () => {
  await withLab({ name: `${PREFIX}-taken` }, (lab) => {
    const error = thrown(() => createLab({ name: lab.name }));
    assert.is(error.code, "usage");
    assert.is(error.detail, "it exists already");
    assert.match(error.hint, `carom lab down ${lab.name}`);
    assertThere(lab.name);
  });
  const foreign = `carom-${PREFIX}-notmine-gen`;
  execFileSync("ip", ["netns", "add", foreign]);
  try {
    const error = thrown(() => createLab({ name: `${PREFIX}-notmine` }));
    assert.is(error.code, "usage");
    assert.match(error.detail, `a namespace ${foreign} exists, which carom did not make`);
    assert.is(thrown(() => removeLab(`${PREFIX}-notmine`)).code, "usage");
    sweepLabs();
    assert.ok(hasNamespace(foreign), "the foreign namespace survives");
  } finally {
    execFileSync("ip", ["netns", "del", foreign]);
  }
});

labTest("an interface that is there is resolved; one that can't be used is refused with what to do", () =>
  withLab({}, (lab) => {
    const { namespace } = lab.generator;
    const inside = (...command: string[]) => execFileSync("nsenter", [`--net=${namespace}`, ...command]);
    assert.is(resolveLink("lo").address4, "127.0.0.1");
    const missing = thrown(() => resolveLink("eth7", namespace));
    assert.is(missing.code, "usage");
    assert.is(missing.detail, "there is no such interface");
    assert.is(missing.hint, "interfaces that exist: gen0, lo");
    assert.is(thrown(() => resolveLink("gen0; id", namespace)).code, "usage");
    assert.match(thrown(() => resolveLink("gen0", "carom-nowhere")).detail, "no such network namespace");
    inside("ip", "link", "set", "gen0", "down");
    const down = thrown(() => resolveLink("gen0", namespace));
    assert.is(down.code, "environment");
    assert.is(down.detail, "it is down");
    assert.match(down.hint, `nsenter --net=${namespace} -- ip link set gen0 up`);
    const peer = thrown(() => resolveLink("dut0", lab.responder.namespace));
    assert.is(peer.detail, "it has no carrier");
    inside("ip", "link", "set", "gen0", "up");
    assert.is(resolveLink("gen0", namespace).address4, "198.18.0.1");
  }),
);

labTest("without capabilities the lab is refused, with the missing one named", async () => {
  const script = `try { createLab(); } catch (error) { console.log(JSON.stringify(error)); }`;
  for (const [before, expected] of [
    [["setpriv", "--bounding-set", "-net_admin"], "this process lacks CAP_NET_ADMIN"],
    [["setpriv", "--bounding-set", "-sys_admin"], "this process lacks CAP_SYS_ADMIN"],
    [UNPRIVILEGED, "this process lacks CAP_NET_ADMIN and CAP_SYS_ADMIN"],
  ] as const) {
    const { line } = await start(script, before);
    const error = JSON.parse(line) as CaromError;
    assert.is(error.code, "environment");
    assert.is(error.detail, expected);
    assert.match(error.hint, "carom run --user-namespace --backend af_packet");
  }
});

labTest("a program that is not installed is named with its package", async () => {
  const script = `try { createLab(); } catch (error) { console.log(JSON.stringify(error)); }`;
  const hide = 'mount --bind /dev/null "$0" && exec "$@"';
  const ethtool = execFileSync("sh", ["-c", "readlink -f $(command -v ethtool)"], {
    encoding: "utf8",
  }).trim();
  const { line } = await start(script, ["unshare", "--mount", "sh", "-c", hide, ethtool]);
  const error = JSON.parse(line) as CaromError;
  assert.is(error.code, "environment");
  assert.is(error.detail, "ethtool is not installed");
  assert.is(error.hint, "install the Debian package ethtool");
});

labTest("an interface may be given by a longer, alternative name", () =>
  withLab({ name: `${PREFIX}-alt` }, (lab) => {
    const altname = "a-name-that-is-longer-than-fifteen-characters";
    ip(lab.generator.namespace, "link", "property", "add", "dev", "gen0", "altname", altname);
    assert.equal(resolveLink(altname, lab.generator.namespace).interfaceName, "gen0");
  }),
);

test.run();
