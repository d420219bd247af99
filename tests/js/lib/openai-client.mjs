// What a program does with the official client: run by Node and by Deno with the gateway's base
// URL and one scene, it prints what it saw as one line of JSON.

import OpenAI from "openai";

const [baseURL, scene] = process.argv.slice(2);
// Everything but the base URL is as the client comes, retries included.
const client = new OpenAI({ apiKey: "a-client-key", baseURL });
const model = "any";
const messages = [{ role: "user", content: "hello there" }];

const scenes = {
  async chat() {
    const { data, response } = await client.chat.completions
      .create({ model, messages })
      .withResponse();
    return {
      content: data.choices[0].message.content,
      usage: data.usage,
      wait: response.headers.get("x-edgepool-wait-ms"),
    };
  },

  async stream() {
    const options = { model, messages, stream: true, stream_options: { include_usage: true } };
    let content = "";
    let usage, finish;
    for await (const chunk of await client.chat.completions.create(options)) {
      content += chunk.choices[0]?.delta.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    return { content, usage, finish };
  },

  async embeddings() {
    const input = ["a red cat", "a red dog", "quarterly revenue"];
    const coded = await client.embeddings.create({ model, input });
    const plain = await client.embeddings.create({ model, input, encoding_format: "float" });
    const vectors = ({ data }) => data.map(({ embedding }) => Array.from(embedding));
    return { coded: vectors(coded), plain: vectors(plain) };
  },

  async models() {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    return { ids };
  },

  async abort() {
    const options = { model, messages, stream: true };
    const headers = { "x-sim-fault": "never-ends" };
    const stream = await client.chat.completions.create(options, { headers });
    let chunks = 0;
    for await (const chunk of stream) {
      chunks += chunk.choices.length;
      if (chunks === 5) stream.controller.abort();
    }
    return { chunks };
  },

  async refused() {
    const start = Date.now();
    try {
      await client.chat.completions.create({ model, messages });
      return { status: 200 };
    } catch (error) {
      const { status, code, type } = error;
      return { name: error.constructor.name, status, code, type, took: Date.now() - start };
    }
  },
};

console.log(JSON.stringify(await scenes[scene]()));
