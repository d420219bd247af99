// Asks workerd's inspector for the heap of an isolate. Node 20 has WebSocket behind a flag.

/** Connects to one isolate: `call(method)` asks, and gives the result. */
export async function connect(address) {
  const socket = new WebSocket(address);
  const asked = new Map();
  let last = 0;
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error } = JSON.parse(data);
    const ask = asked.get(id);
    asked.delete(id);
    if (error === undefined) ask?.resolve(result);
    else ask?.reject(new Error(error.message));
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error(`no inspector at ${address}`)));
  });
  const call = (method) =>
    new Promise((resolve, reject) => {
      last += 1;
      asked.set(last, { resolve, reject });
      socket.send(JSON.stringify({ id: last, method }));
    });
  return { call, close: () => socket.close() };
}
