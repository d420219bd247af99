// A service over TCP that says each line back, and a Durable Object that pools connections to it.
import { createServer } from "node:net";

export async function start() {
  let connections = 0;
  const open = new Set();
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on("error", () => undefined).on("close", () => open.delete(socket));
    socket.pipe(socket);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const run = async ({ url, say }) => {
    const ask = (index) => fetch(`${url}/line-${index}`).then((response) => response.text());
    const before = connections;
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => ask(index)));
    const right = answers.filter((answer, index) => answer === `/line-${index}\n`).length;
    say(`${right} answers over at most ${Math.max(connections, before)} connections`);
  };
  const stop = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  const env = { SERVICE: `127.0.0.1:${server.address().port}` };
  return { env, objects: { LINES: "Lines" }, run, stop };
}
