// A small Redis: PING, GET and SET, and two commands of its own making. It counts connections.

import { createServer } from "node:net";

import { sleep, within } from "../lib/time.mjs";

/**
 * Starts it. A GET of a key that begins with "slow" takes `slowMs`; of "boom" it ends its
 * connection in the middle of the reply, of "nonsense" it replies with what is none, and of
 * "silent" not at all. `seen.connections` has one entry for each connection
 * there ever was, `{ open, commands }`; `open()` counts those that are open.
 */
export async function startRedis({ slowMs = 30 } = {}) {
  const values = new Map();
  const seen = { connections: [], peak: 0 };
  const sockets = new Set();
  const open = () => seen.connections.filter((connection) => connection.open).length;

  async function answer([name, key, value], socket) {
    if (name === "PING") return "+PONG\r\n";
    if (name === "SET") values.set(key, value);
    if (name === "SET") return "+OK\r\n";
    if (name !== "GET") return "-ERR unknown command\r\n";
    if (key.startsWith("slow")) await sleep(slowMs);
    if (key === "boom") {
      socket.write("$100\r\nhalf");
      await sleep(5);
      socket.destroy();
      return "";
    }
    if (key === "nonsense") return "?\r\n";
    if (key === "silent") return "";
    const found = values.get(key);
    return found === undefined ? "$-1\r\n" : `$${Buffer.byteLength(found)}\r\n${found}\r\n`;
  }

  const server = createServer((socket) => {
    const connection = { open: true, commands: [] };
    seen.connections.push(connection);
    seen.peak = Math.max(seen.peak, open());
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => {
      connection.open = false;
      sockets.delete(socket);
    });
    let text = "";
    let last = Promise.resolve();
    socket.setEncoding("utf8").on("data", (piece) => {
      text += piece;
      for (let words; (words = takeCommand()) !== undefined; ) {
        connection.commands.push(words.join(" "));
        const command = words;
        last = last.then(async () => socket.write(await answer(command, socket)));
        last.catch(() => {});
      }
    });

    /** Takes a whole command off the front: an array of strings without line ends in them. */
    function takeCommand() {
      const lines = text.split("\r\n");
      const count = 2 * Number(lines[0].slice(1));
      if (lines.length < count + 2) return undefined;
      text = lines.slice(count + 1).join("\r\n");
      return lines.slice(1, count + 1).filter((_, i) => i % 2 === 1);
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    address: `127.0.0.1:${server.address().port}`,
    values,
    seen,
    open,
    /** Closes every connection, as a server does that restarts. */
    dropAll: () => {
      for (const socket of sockets) socket.destroy();
      for (const connection of seen.connections) connection.open = false;
    },
    stop: () => {
      const closed = new Promise((done) => server.close(done));
      sockets.forEach((socket) => socket.destroy());
      return within(5_000, "the end of the small Redis", closed);
    },
  };
}
