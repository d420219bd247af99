// A service over TCP that says each line back, for Node and Bun.
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

declare global {
  var port: number;
}

const server = createServer((socket) => {
  socket.on("error", () => undefined);
  socket.pipe(socket);
  socket.unref();
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
globalThis.port = (server.address() as AddressInfo).port;
// It is not to keep the process alive.
server.unref();

export {};
