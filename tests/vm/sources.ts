/** Where this machine's apt gets Debian from, and other suites of the same place: nothing here names an address. */

/** One line or stanza of apt's sources, sources.list(5): packages, not their sources. */
export interface AptEntry {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string; // "" for the keys that apt trusts in any case
}

/** Of a file in the format of one line each (*.list), or of stanzas (*.sources). */
export function parseSources(name: string, text: string): AptEntry[] {
  return name.endsWith(".sources") ? parseStanzas(text) : text.split("\n").flatMap(parseLine);
}

function parseLine(line: string): AptEntry[] {
  const found = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line);
  if (found === null) return [];
  const [, options = "", uri = "", suite = "", components = ""] = found;
  const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(options)?.[1] ?? "";
  return [{ uris: [uri], suites: [suite], components: words(components), signedBy }];
}

function parseStanzas(text: string): AptEntry[] {
  const plain = text.replace(/^#.*\n?/gm, "");
  return plain.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    // A value goes on in the lines that begin with a space: a key may be written out so.
    for (const [, name = "", value = ""] of stanza.matchAll(/^([\w-]+):((?:.*)(?:\n[ \t].*)*)/gm))
      fields.set(name.toLowerCase(), value.trim());
    const list = (name: string) => words(fields.get(name) ?? "");
    if (!list("types").includes("deb") || fields.get("enabled")?.toLowerCase() === "no") return [];
    const signedBy = fields.get("signed-by") ?? "";
    return [{ uris: list("uris"), suites: list("suites"), components: list("components"), signedBy }];
  });
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

/**
 * The sources that have other suites, where this machine has its own: the archive, and for NAME-security that of
 * security updates, which is elsewhere.
 * @param codename of this machine's Debian, which its sources name, so that another vendor's are told apart
 * @returns stanzas for a *.sources file, and the suites for which nothing was found
 */
export function deriveSources(
  entries: readonly AptEntry[],
  codename: string,
  suites: readonly string[],
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const stanzas = suites.flatMap((suite) => {
    const own = suite.endsWith("-security") ? `${codename}-security` : codename;
    const entry = entries.find((one) => one.suites.includes(own) && one.components.includes("main"));
    if (entry === undefined) {
      missing.push(suite);
      return [];
    }
    const fields = [
      "Types: deb",
      `URIs: ${entry.uris.join(" ")}`,
      `Suites: ${suite}`,
      "Components: main",
      ...(entry.signedBy === "" ? [] : [`Signed-By: ${entry.signedBy}`]),
    ];
    return [`${fields.join("\n")}\n`];
  });
  return { text: stanzas.join("\n"), missing };
}

/** A package that another one depends on: its name, and its version where just that one will do. */
export interface Dependency {
  readonly name: string;
  readonly version: string | undefined;
}

/** The Depends of a package, of several choices the first (deb-control(5)). */
export function parseDepends(text: string): Dependency[] {
  return text.split(",").flatMap((entry) => {
    const found = /^\s*([\w.+-]+)(?::\w+)?\s*(?:\(\s*=\s*([^\s)]+)\s*\))?/.exec(entry);
    return found === null ? [] : [{ name: found[1]!, version: found[2] }];
  });
}
