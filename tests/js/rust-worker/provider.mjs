// A provider that speaks OpenAI's protocol. What it does is told by the model's name; `seen` counts
// what it was asked.
import { createServer } from "node:http";
import { once } from "node:events";

import { sleep } from "../lib/time.mjs";

const JSON_TYPE = { "content-type": "application/json" };
const json = (response, status, value) =>
  response.writeHead(status, JSON_TYPE).end(JSON.stringify(value));
const whole = (content) => ({ choices: [{ message: { content }, finish_reason: "stop" }] });
const event = (content) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;

/** How long an answer of the model "slow" takes. */
const SLOW_MS = 400;

/** Starts it; the models that "fail" do so once each. */
export async function startProvider() {
  const seen = { asked: 0, now: 0, peak: 0, closed: 0, keys: new Set() };
  const failed = new Set();
  const server = createServer(async (request, response) => {
    seen.asked += 1;
    seen.now += 1;
    seen.peak = Math.max(seen.peak, seen.now);
    seen.keys.add(request.headers.authorization);
    response.on("close", () => {
      seen.now -= 1;
      seen.closed += 1;
    });
    let body = "";
    for await (const piece of request) body += piece;
    const asked = JSON.parse(body || "{}");
    if (request.url === "/v1/embeddings") return embed(response, asked);
    if (request.url !== "/v1/chat/completions") return json(response, 404, {});
    return chat(response, asked, failed);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { at: `http://127.0.0.1:${server.address().port}`, seen, stop };
}

/** The vector of a text is its length, and each comes behind the one after it. */
function embed(response, { input }) {
  const data = input.map((text, index) => ({ index, embedding: [text.length, 0.5] })).reverse();
  json(response, 200, { data, usage: { prompt_tokens: input.length } });
}

async function chat(response, { model, stream, messages }, failed) {
  const said = `you said ${messages.at(-1).content}`;
  if (model.startsWith("fail") && !failed.has(model)) {
    failed.add(model);
    return json(response, 503, { error: { message: "busy" } });
  }
  if (model === "broken") return json(response, 500, { error: { message: "it broke" } });
  if (model === "moved") return response.writeHead(307, { location: "/v1/stolen" }).end();
  if (model === "silent") return undefined;
  if (!stream) {
    if (model === "slow") await sleep(SLOW_MS);
    return json(response, 200, whole(said));
  }
  response.writeHead(200, { "content-type": "text/event-stream", "x-request-id": "r-1" });
  for (; model === "ticking" && !response.destroyed; await sleep(40)) response.write(event("tick "));
  for (const word of said.split(" ")) {
    response.write(event(`${word} `));
    if (model === "endless") return undefined;
    await sleep(40);
  }
  return response.end("data: [DONE]\n\n");
}
