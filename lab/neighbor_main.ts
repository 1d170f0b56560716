/** The process that asks a link for a MAC address (lab/neighbor.ts): it reads answers without any privilege. */

import { openFrameSocket } from "../native/index.js";
import { serve, tell } from "./confined_main.js";
import { type Answer, type Question, resolveMac } from "./neighbor.js";
import { dropPrivileges } from "./privileges.js";

serve<Question>("ask a link", async ({ link, address }) => {
  const frames = openFrameSocket({ link, holdPort: 0 });
  dropPrivileges();
  tell({ type: "answer", mac: await resolveMac(frames, link, address) } satisfies Answer);
});
