// A provider that speaks as OpenAI's does, and a Worker that asks it.
import { startBackend } from "../../lib/servers.mjs";

export async function start() {
  const backend = await startBackend((request, response) => {
    const choices = [{ index: 0, message: { role: "assistant", content: "Hello" } }];
    const known = request.url === "/v1/chat/completions";
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify({ id: "1", object: "chat.completion", choices }));
  });
  const run = async ({ url, say }) => {
    const response = await fetch(`${url}/`);
    say(`${response.status} ${await response.text()}`);
  };
  const env = { BASE_URL: `${backend.url}/v1`, API_KEY: "sk-yours" };
  return { env, run, stop: () => backend.stop() };
}
