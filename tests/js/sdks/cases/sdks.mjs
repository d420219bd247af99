// The SDKs, each behind the same few calls: a chat, a stream of its text, a call of a tool.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { embedMany, generateText, jsonSchema, streamText, tool } from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const apiKey = "sk-yours";
const QUESTION = "Hello?";
export const INPUTS = ["a cat", "a dog"];
const messages = [{ role: "user", content: QUESTION }];
const about = "Tells the weather of a city.";
const schema = {
  type: "object", properties: { city: { type: "string" } }, required: ["city"],
  additionalProperties: false,
};
const functionTool = {
  type: "function", function: { name: "weather", description: about, parameters: schema },
};

/**
 * What all of them have: `kind` and `path` of the provider; `onRefusal`, and `retries`, where the
 * default of the kind, or of the SDK itself, is not right; `pings` if its providers send any, and
 * `base64` if it asks for vectors in it; and `open`, which gives the calls. Each takes a model and
 * a signal; `stream` gives an iterator of texts. The `retries` that it is given are the SDK's own;
 * if undefined, they are as they come.
 */
export const SDKS = [
  {
    name: "openai chat", kind: "openai", path: "/v1", pings: true, base64: true,
    open({ base, fetch, retries }) {
      const { completions } = openaiOf({ base, fetch, retries }).chat;
      return {
        chat: async (model, signal) =>
          (await completions.create({ model, messages }, { signal })).choices[0].message.content,
        async *stream(model, signal) {
          const parts = await completions.create({ model, messages, stream: true }, { signal });
          for await (const part of parts) yield part.choices[0]?.delta.content ?? "";
        },
        async tool(model) {
          const { choices } = await completions.create({ model, messages, tools: [functionTool] });
          return chatTool(choices[0].message.tool_calls[0].function);
        },
        async toolStream(model) {
          const tools = [functionTool];
          const made = { name: "", arguments: "" };
          const parts = await completions.create({ model, messages, tools, stream: true });
          for await (const { choices } of parts) {
            const { name = "", arguments: args = "" } =
              choices[0]?.delta.tool_calls?.[0].function ?? {};
            made.name += name;
            made.arguments += args;
          }
          return chatTool(made);
        },
        async embed(model) {
          const embeddings = openaiOf({ base, fetch, retries }).embeddings;
          const { data } = await embeddings.create({ model, input: INPUTS });
          return data.map(({ embedding }) => Array.from(embedding));
        },
      };
    },
  },
  {
    name: "openai responses", kind: "openai", path: "/v1", pings: true,
    open({ base, fetch, retries }) {
      const { responses } = openaiOf({ base, fetch, retries });
      const tools = [
        { type: "function", name: "weather", description: about, parameters: schema, strict: true },
      ];
      const toolOf = (response) => chatTool(response.output.find(({ name }) => name === "weather"));
      return {
        chat: async (model, signal) =>
          (await responses.create({ model, input: QUESTION }, { signal })).output_text,
        async *stream(model, signal) {
          const asked = { model, input: QUESTION, stream: true };
          const events = await responses.create(asked, { signal });
          for await (const event of events) {
            if (event.type === "response.output_text.delta") yield event.delta;
            // Others have no error of their own: they are as they came.
            if (event.type === "error") throw new Error(event.message);
          }
        },
        tool: async (model) => toolOf(await responses.create({ model, input: QUESTION, tools })),
        async toolStream(model) {
          const stream = responses.stream({ model, input: QUESTION, tools });
          return toolOf(await stream.finalResponse());
        },
      };
    },
  },
  {
    name: "anthropic", kind: "anthropic", path: "", pings: true,
    open({ base, fetch, retries: maxRetries }) {
      const options = definedOnly({ apiKey, baseURL: base, fetch, maxRetries });
      const client = new Anthropic(options);
      const asked = (model) => ({ model, max_tokens: 100, messages });
      const tools = [{ name: "weather", description: about, input_schema: schema }];
      const toolOf = ({ content }) => ({ name: content[0].name, args: content[0].input });
      return {
        chat: async (model, signal) =>
          (await client.messages.create(asked(model), { signal })).content[0].text,
        async *stream(model, signal) {
          const options = { signal };
          const stream = await client.messages.create({ ...asked(model), stream: true }, options);
          for await (const event of stream) {
            if (event.type === "content_block_delta") yield event.delta.text;
          }
        },
        tool: async (model) => toolOf(await client.messages.create({ ...asked(model), tools })),
        async toolStream(model) {
          return toolOf(await client.messages.stream({ ...asked(model), tools }).finalMessage());
        },
      };
    },
  },
  {
    name: "ollama", kind: "ollama", path: "",
    open({ base, fetch }) {
      // It retries nothing, and has no signal of a call's own: a client of its own carries one.
      const of = (signal) => new Ollama({
        host: base,
        fetch: (url, init) => {
          const signals = [init.signal, signal].filter(Boolean);
          return fetch(url, { ...init, signal: AbortSignal.any(signals) });
        },
      });
      const client = of();
      const toolOf = ({ tool_calls: [{ function: call }] }) =>
        ({ name: call.name, args: call.arguments });
      const tools = [functionTool];
      return {
        chat: async (model, signal) =>
          (await of(signal).chat({ model, messages })).message.content,
        async *stream(model, signal) {
          const stream = await client.chat({ model, messages, stream: true });
          // `{ once }` alone would keep it for as long as the signal lives.
          signal?.addEventListener("abort", () => stream.abort(), { once: true });
          for await (const part of stream) yield part.message.content;
        },
        tool: async (model) => toolOf((await client.chat({ model, messages, tools })).message),
        async toolStream(model) {
          let found;
          const stream = await client.chat({ model, messages, tools, stream: true });
          for await (const { message } of stream) {
            if (message.tool_calls) found = toolOf(message);
          }
          return found;
        },
        embed: async (model) => (await client.embed({ model, input: INPUTS })).embeddings,
      };
    },
  },
  {
    // It takes the Responses of OpenAI.
    name: "ai openai", kind: "openai", path: "/v1", pings: true, onRefusal: "throw",
    open: ({ base, fetch, retries }) => {
      const provider = createOpenAI({ apiKey, baseURL: `${base}/v1`, fetch });
      return { ...byAi(provider, retries), embed: embedByAi(provider, retries) };
    },
  },
  {
    name: "ai compatible", kind: "openai", path: "/v1", pings: true, onRefusal: "throw",
    open: ({ base, fetch, retries }) => {
      const options = { name: "it", apiKey, baseURL: `${base}/v1`, fetch };
      return byAi(createOpenAICompatible(options), retries);
    },
  },
  {
    name: "ai anthropic", kind: "anthropic", path: "", pings: true, onRefusal: "throw",
    open: ({ base, fetch, retries }) =>
      byAi(createAnthropic({ apiKey, baseURL: `${base}/v1`, fetch }), retries),
  },
  {
    // By default it repeats six times what says that it is not to be repeated.
    name: "langchain", kind: "openai", path: "/v1", pings: true, base64: true, retries: 0,
    open({ base, fetch, retries: maxRetries }) {
      const configuration = { baseURL: `${base}/v1`, fetch };
      const options = definedOnly({ apiKey, configuration, maxRetries });
      const of = (model) => new ChatOpenAI({ model, ...options });
      const tools = [functionTool];
      const toolOf = ({ tool_calls: [{ name, args }] }) => ({ name, args });
      return {
        chat: async (model, signal) => (await of(model).invoke(QUESTION, { signal })).text,
        async *stream(model, signal) {
          for await (const chunk of await of(model).stream(QUESTION, { signal })) yield chunk.text;
        },
        tool: async (model) => toolOf(await of(model).bindTools(tools).invoke(QUESTION)),
        async toolStream(model) {
          let whole;
          for await (const chunk of await of(model).bindTools(tools).stream(QUESTION)) {
            whole = whole === undefined ? chunk : whole.concat(chunk);
          }
          return toolOf(whole);
        },
        embed: (model) => new OpenAIEmbeddings({ model, ...options }).embedDocuments(INPUTS),
      };
    },
  },
];

function openaiOf({ base, fetch, retries: maxRetries }) {
  return new OpenAI(definedOnly({ apiKey, baseURL: `${base}/v1`, fetch, maxRetries }));
}

/** The calls of `ai`, for whatever provider. */
function byAi(provider, maxRetries) {
  const asked = (model, abortSignal) =>
    definedOnly({ model: provider(model), prompt: QUESTION, maxRetries, abortSignal });
  const tools = { weather: tool({ description: about, inputSchema: jsonSchema(schema) }) };
  const toolOf = ([{ toolName, input }]) => ({ name: toolName, args: input });
  // Errors are looked for among the parts; by default they are printed, too.
  const onError = () => undefined;
  return {
    chat: async (model, signal) => (await generateText(asked(model, signal))).text,
    async *stream(model, signal) {
      for await (const part of streamText({ ...asked(model, signal), onError }).fullStream) {
        if (part.type === "text-delta") yield part.text;
        if (part.type === "error") throw part.error;
        if (part.type === "abort") throw new DOMException("aborted", "AbortError");
      }
    },
    tool: async (model) => toolOf((await generateText({ ...asked(model), tools })).toolCalls),
    toolStream: async (model) =>
      toolOf(await streamText({ ...asked(model), tools, onError }).toolCalls),
  };
}

function embedByAi(provider, maxRetries) {
  return async (name) => {
    const model = provider.embedding(name);
    return (await embedMany(definedOnly({ model, values: INPUTS, maxRetries }))).embeddings;
  };
}

const chatTool = ({ name, arguments: args }) => ({ name, args: JSON.parse(args) });

/** For some SDKs an option that is there and undefined is not one that is left out. */
function definedOnly(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
