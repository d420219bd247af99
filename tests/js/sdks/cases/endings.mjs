// The ways in which a call ends: what the provider does (its model), what the caller does, and what
// must come of it.
import { INPUTS } from "./sdks.mjs";

export const TEXT = "Hello there";
/** What is asked for around the call that is tried: to take the place before, and after it. */
export const OWN_MODELS = ["held", "again"];
const TOOL = { name: "weather", args: { city: "Oslo" } };
const VECTORS = INPUTS.map((_, index) => [index + 0.5, -1, 0.25]);
/** Small, and far above what anything but a fault takes. */
const CLOCK = 1_000;
/** A request, and the pool's two retries of it. */
const TRIES = 3;
const BY_AI = ["ai openai", "ai compatible", "ai anthropic"];

/**
 * `run` is given the calls of one SDK as `Call` has them, and gives what the caller saw: `text`,
 * `tool` or `vectors`; what it throws is described. `sees` is what of that is compared. `requests`
 * is how many must reach the provider, `most` how many may be there at once, and `calls` how often
 * the SDK may call its `fetch`: 1 each if it is missing. `least` is how many ms it has to take.
 * With `own`, the SDK's retries are as they come; else they are off. `limits` are options of the
 * provider. `needs` names what not all SDKs have. `again` is what a call after it comes to, if it
 * is not served. `except` has what is otherwise with an SDK, by its name.
 */
export const ENDINGS = [
  { name: "whole", model: "fine", run: chat, sees: { text: TEXT } },
  { name: "stream", model: "fine", run: stream, sees: { text: TEXT } },
  {
    name: "protocol's end without the body's", model: "lingers", run: stream, sees: { text: TEXT },
    // What is still open has been answered.
    most: 2,
  },
  { name: "tool", model: "fine", run: ({ tool }) => tool(), sees: { tool: TOOL } },
  {
    name: "tool in a stream", model: "fine", run: ({ toolStream }) => toolStream(),
    sees: { tool: TOOL },
  },
  {
    name: "embeddings", model: "fine", needs: "embed", run: ({ embed }) => embed(),
    sees: { vectors: VECTORS },
  },
  {
    name: "embeddings in base64", model: "base64", needs: "base64", run: ({ embed }) => embed(),
    sees: { vectors: VECTORS },
  },
  {
    name: "break", model: "endless", limits: { stallTimeout: CLOCK }, sees: { text: "Hel" },
    run: first,
  },
  {
    name: "left alone", model: "endless", limits: { stallTimeout: CLOCK }, sees: { text: "Hel" },
    // Neither read on nor ended.
    async run(call) {
      const { value: text } = await call.keep(texts(call)).next();
      return { text };
    },
  },
  {
    name: "abort before headers", model: "mute", sees: { aborted: true },
    async run(call) {
      const answer = chat(call);
      await call.arrives();
      call.abort();
      return answer;
    },
  },
  {
    name: "abort in the stream", model: "endless", sees: { text: /^Hel/ },
    run: (call) => stream(call, () => call.abort()),
  },
  {
    name: "abort in the queue", model: "fine", requests: 0, sees: { aborted: true },
    async run(call) {
      const release = await call.occupy();
      const answer = chat(call);
      await call.until(({ waiting }) => waiting === 1);
      call.abort();
      return answer.finally(release);
    },
  },
  ...[400, 401, 404].map((status) => (
    { name: `${status}`, model: `fails-${status}`, own: true, run: chat, sees: { status } }
  )),
  { name: "500", model: "fails-500", requests: TRIES, run: chat, sees: { status: 500 } },
  {
    name: "500 for a stream", model: "fails-500", requests: TRIES, run: stream,
    sees: { status: 500 },
  },
  {
    name: "500, its own retries", model: "fails-500", own: true, requests: TRIES, run: chat,
    sees: { status: 500 },
    // These do not heed the header that says to leave retries to the pool: theirs are to be off.
    except: of(BY_AI, { requests: TRIES * 3, calls: 3 }),
  },
  {
    name: "truncated", model: "truncates", run: stream,
    sees: { text: "Hello ", class: "truncated" },
  },
  {
    name: "error in the stream", model: "breaks", run: stream, sees: { text: "Hel", failed: true },
  },
  {
    name: "no headers", model: "mute", limits: { headersTimeout: CLOCK }, requests: TRIES,
    run: chat, sees: { code: "upstream_timeout" },
  },
  {
    name: "no content", model: "silent", limits: { firstContentTimeout: CLOCK }, run: stream,
    sees: { class: "timeout_first_content", text: "" },
  },
  {
    // Ollama sends none.
    name: "pings alone", model: "pings", needs: "pings", run: stream,
    limits: { firstContentTimeout: CLOCK }, sees: { class: "timeout_first_content", text: "" },
  },
  {
    name: "stalled", model: "stalls", limits: { stallTimeout: CLOCK }, run: stream,
    sees: { class: "timeout_between_content", text: "Hel" },
  },
  {
    name: "too long", model: "endless", limits: { totalTimeout: 3 * CLOCK }, run: stream,
    sees: { class: "timeout_total", text: /^Hel/ },
  },
  { name: "malformed answer", model: "garbles", run: chat, sees: { failed: true } },
  {
    name: "malformed stream", model: "garbles", run: stream, sees: { text: "", failed: true },
  },
  { name: "a page for an answer", model: "html", run: chat, sees: { failed: true } },
  ...Object.entries({ seconds: 990, date: 900, ms: 290, past: 0, malformed: 0 })
    .map(([form, least]) => ({
      name: `429, ${form}`, model: `limits-${form}`, own: true, requests: 2, least, run: chat,
      sees: { text: TEXT },
    })),
  {
    // Nobody is to come back so soon; who does is told when to.
    name: "429, huge", model: "limits-huge", own: true, run: chat, sees: { status: 429 },
    again: { code: "acquire_timeout" },
    except: of(BY_AI, { calls: 2, sees: { code: "acquire_timeout" } }),
  },
  {
    name: "lost before headers", model: "drops", requests: TRIES, run: chat,
    sees: { code: "upstream_unreachable" },
  },
  { name: "lost in the body", model: "cuts", run: chat, sees: { failed: true } },
  { name: "lost in the stream", model: "cuts", run: stream, sees: { text: "Hel", failed: true } },
  {
    name: "pool full", model: "fine", own: true, requests: 0, limits: { maxWaiting: 0 },
    sees: { code: "queue_full" },
    async run(call) {
      const release = await call.occupy();
      return chat(call).finally(release);
    },
  },
  {
    name: "no turn", model: "fine", own: true, requests: 0, limits: { acquireTimeout: 200 },
    sees: { code: "acquire_timeout" },
    async run(call) {
      const release = await call.occupy();
      return chat(call).finally(release);
    },
  },
  {
    name: "many ends at once", model: "fine", limits: { max: 3, stallTimeout: 2 * CLOCK }, most: 3,
    requests: 24, calls: 24, sees: { answered: 12 },
    async run(call) {
      const ends = (await Promise.all(Array.from({ length: 4 }, () => each(call)))).flat();
      // To abort is an answer or an error, as the SDK has it.
      const sure = ends.filter((_, at) => at % 6 !== 3);
      return { answered: sure.filter((end) => end === "fulfilled").length };
    },
  },
];

/** The same for several SDKs. */
function of(names, what) {
  return Object.fromEntries(names.map((name) => [name, what]));
}

/** Ends a call in each of these ways, at once; gives how many were answered, or failed. */
async function each(call) {
  const streams = call.of("endless");
  const ways = [
    chat(call.of("fine")), stream(call.of("fine")), first(call.of("endless")),
    stream(streams, () => streams.abort()), chat(call.of("fails-400")), stream(call.of("cuts")),
  ];
  const ends = await Promise.allSettled(ways);
  return ends.map(({ status }) => status);
}

/** Leaves a stream after its first text. */
async function first(call) {
  for await (const text of texts(call)) return { text };
  return { text: "" };
}

async function chat(call) {
  return { text: await call.chat() };
}

/** Reads a stream to its end; an error has with it what came before. */
async function stream(call, onText = () => undefined) {
  let text = "";
  try {
    for await (const part of texts(call)) {
      text += part;
      onText();
    }
    return { text };
  } catch (error) {
    throw Object.assign(new Error("the stream failed", { cause: error }), { text });
  }
}

/** The texts of a stream that are not empty. */
async function* texts(call) {
  for await (const text of call.stream()) if (text !== "") yield text;
}
