/** Reads the URL of a request, if the gateway may answer to the host that it names. */
export type HostCheck = (request: Request) => URL | undefined;

/**
 * Makes the check that keeps a page of another site from reaching the gateway under its own name:
 * a browser takes that page and the gateway for one site as soon as the name's address is changed
 * to the gateway's. An address cannot be changed so; a name must be one that is known.
 *
 * `bind` is the address that the gateway listens on, and `hosts` the names that it has beside that
 * and the loopback's. Without `hosts`, a gateway that others reach answers to every address.
 */
export function hostCheck(bind: string | undefined, hosts: readonly string[] = []): HostCheck {
  const listens = hostName(bind || "127.0.0.1");
  const known = new Set([listens, ...hosts.map(hostName)]);
  const anyAddress = hosts.length === 0 && listens !== undefined && !isLoopback(listens);
  const fits = (name: string | undefined) => name !== undefined
    && (isLoopback(name) || known.has(name) || (anyAddress && isAddress(name)));
  return (request) => {
    const header = request.headers.get("host");
    if (header !== null && !fits(hostOf(header))) return undefined;
    const url = new URL(request.url);
    return fits(hostOf(url.host)) ? url : undefined;
  };
}

/**
 * Writes a name or an address as browsers do, an address of IPv6 in brackets. Returns undefined for
 * what is neither, such as a name with a port.
 */
export function hostName(text: string): string | undefined {
  const bare = text.includes(":") && !text.startsWith("[") ? `[${text}]` : text;
  return /:\d*$/.test(bare) ? undefined : hostOf(bare);
}

/** Takes the port off. */
function hostOf(text: string): string | undefined {
  const url = /[/\\?#@\s]/.test(text) ? "" : `http://${text}`;
  if (!URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/\.$/, "");
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(name);
}

/** `URL` has written every form of an IPv4 address as four numbers. */
function isAddress(name: string): boolean {
  return name.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(name);
}
