/** RFC 9110, section 7.6.1, and an older name that clients still send. */
export const HOP_BY_HOP = [
  "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
  "te", "trailer", "transfer-encoding", "upgrade",
];

/** Where clients put a key. */
export const KEYS = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/** Tells whether a server that decodes a path (even twice) could see a step up in it. */
export function climbs(path: string): boolean {
  let decoded = path;
  for (let pass = 0; pass < 3; pass += 1) {
    if (/(^|[/\\])\.\.([/\\]|$)/.test(decoded)) return true;
    decoded = decoded.replace(/%(2e|2f|5c|25)/gi, (code) => decodeURIComponent(code));
  }
  return false;
}

/**
 * Makes the headers that the provider gets, but for its own key: the client pool puts that in.
 * `ours` are for the gateway alone.
 */
export function requestHeaders(
  from: Headers, passClientKey: boolean, ours: readonly string[] = [],
): Headers {
  const headers = endToEnd(from);
  // The runtime makes the first itself, and refuses the second.
  for (const name of ["host", "expect", ...ours]) headers.delete(name);
  // Every fetch decodes what it knows; a body that comes as it is needs none of that. Deno's does
  // not decode what comes compressed all the same after a plain `identity`.
  headers.set("accept-encoding", "identity;q=1, *;q=0");
  if (!passClientKey) for (const name of KEYS) headers.delete(name);
  return headers;
}

/** Makes a copy without the headers that are for the next hop alone. */
export function endToEnd(from: Headers): Headers {
  const headers = new Headers(from);
  const named = (from.get("connection") ?? "").split(",").map((name) => name.trim());
  for (const name of [...HOP_BY_HOP, ...named]) {
    if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) headers.delete(name);
  }
  return headers;
}
