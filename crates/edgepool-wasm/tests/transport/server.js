// What the server of the tests does, as the body of a function: it is given an object in which it
// tells what it has seen, and returns the handler of requests.
const STREAM = { "content-type": "text/event-stream" };
const WORD = 'data: {"choices":[{"delta":{"content":"so "}}]}\n\n';
/** "hello", compressed. */
const HELLO = Buffer.from("1f8b08000000000002ffcb48cdc9c9070086a6103605000000", "hex");

Object.assign(seen, { asked: 0, closed: 0, written: 0 });

async function textOf(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

/** Writes as fast as it is read, up to a bound. */
function flood(response) {
  const piece = Buffer.alloc(65_536, "x");
  const write = () => {
    while (seen.written < 256 << 20 && !response.destroyed) {
      seen.written += piece.length;
      if (!response.write(piece)) return void response.once("drain", write);
    }
  };
  write();
}

const ROUTES = {
  async echo(request, response) {
    const { method, url, headers } = request;
    const body = await textOf(request);
    const bytes = Buffer.from([0xe9, 0x21]).toString("latin1");
    response.writeHead(201, { "x-tag": ["a", "b"], "x-bytes": bytes });
    response.end(JSON.stringify({ method, url, headers, body }));
  },
  redirect: (_, response) => response.writeHead(307, { location: "/echo" }).end("elsewhere"),
  silent() {},
  hang: (_, response) => response.writeHead(200).write("first"),
  flood: (_, response) => flood(response),
  gzip: (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(HELLO),
  empty: (_, response) => response.writeHead(204).end(),
  reset: (request) => request.socket.resetAndDestroy(),
  cut(request, response) {
    response.writeHead(200, { "content-length": 100 }).write("half");
    setTimeout(() => request.socket.destroy(), 20);
  },
  long(_, response) {
    response.writeHead(200, { "content-length": 1_000 }).end("x".repeat(1_000));
  },
  pieces(_, response) {
    response.writeHead(200).write("one");
    setTimeout(() => response.write("two"), 20);
    setTimeout(() => response.end("three"), 40);
  },
  "v1/chat/completions"(_, response) {
    response.writeHead(200, STREAM).write(`${WORD}data: [DONE]\n\n`);
    // The end of the body comes after that of its protocol.
    setTimeout(() => response.end(), 20);
  },
};

return (request, response) => {
  seen.asked += 1;
  response.on("close", () => (seen.closed += 1));
  const route = ROUTES[new URL(request.url, "http://e").pathname.slice(1)];
  if (route === undefined) response.writeHead(404).end();
  else route(request, response);
};
