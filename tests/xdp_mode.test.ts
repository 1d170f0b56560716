/** Native XDP, generic XDP where the driver can't, and what is said of it. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { attachXdpPass, type Link } from "../native/index.js";
import { backendTest, carom, reportOf } from "./cli_support.js";
import { ip, thrown, withLab } from "./lab_support.js";

const LARGE = 3700; // bytes: fits into a page, but veth has no native XDP beyond some 3,500

for (const backend of ["af_xdp", "xdp"]) {
  backendTest(`${backend}: generic XDP where there is no native one, named in the report`, [backend], () =>
    withLab({ mtu: LARGE }, async (lab) => {
      const args = ["run", "--lab", lab.name, "--responder-backend", backend, "--count", "500", "--json"];
      for (const mode of ["auto", "generic"]) {
        const report = reportOf(await carom(...args, "--xdp-mode", mode));
        assert.is(report.verdicts.correct, report.ticks.answered);
        assert.equal(report.faults, []);
        assert.ok(
          report.notes.some((note) => /^responder: .*generic XDP/.test(note)),
          report.notes.join("\n"),
        );
      }
      const { status, stderr } = await carom(...args, "--xdp-mode", "native");
      assert.is(status, 3);
      assert.match(stderr, /attach the program \(native\): ERANGE.*try --xdp-mode generic, or a smaller MTU/);
    }),
  );
}

backendTest("native XDP is named, too", ["af_xdp"], async () => {
  const report = reportOf(await carom("run", "--count", "100", "--xdp-mode", "native", "--json"));
  assert.ok(
    report.notes.every((note) => /native XDP/.test(note)),
    report.notes.join("\n"),
  );
});

for (const backend of ["af_xdp", "xdp"]) {
  backendTest(`${backend}: an MTU that no XDP can carry is refused`, [backend], () =>
    withLab({ mtu: 9000 }, async (lab) => {
      const { status, stderr } = await carom("respond", "--lab", lab.name, "--backend", backend);
      assert.is(status, 2);
      assert.match(stderr, /an MTU of 9000 does not fit into one page; set an MTU of at most \d+/);
    }),
  );
}

backendTest("programs that let all pass: all of them are attached, or none", ["af_xdp"], () =>
  withLab({}, (lab) => {
    const isAttached = ({ namespace, interfaceName }: Link) =>
      ip(namespace, "link", "show", "dev", interfaceName)[0]!.xdp !== undefined;
    const detach = attachXdpPass(lab.responder);
    const refused = thrown(() => attachXdpPass(lab.generator, lab.responder));
    assert.match(refused.detail, /EBUSY/);
    assert.is(isAttached(lab.generator), false, "what was attached before the one that failed is detached");
    assert.is(isAttached(lab.responder), true);
    detach();
    const both = attachXdpPass(lab.generator, lab.responder);
    assert.ok(isAttached(lab.generator) && isAttached(lab.responder));
    both();
    assert.not.ok(isAttached(lab.generator) || isAttached(lab.responder));
  }),
);

test.run();
