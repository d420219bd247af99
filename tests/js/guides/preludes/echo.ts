// A service over TCP that says each line back, for Deno.

declare global {
  var port: number;
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
globalThis.port = listener.addr.port;
// It is not to keep the process alive.
listener.unref();

void (async () => {
  for await (const connection of listener) {
    connection.unref();
    connection.readable.pipeTo(connection.writable).catch(() => undefined);
  }
})();

export {};
