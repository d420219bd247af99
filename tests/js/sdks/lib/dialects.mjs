// What the providers' wire formats look like: whole answers, the parts of streams, errors.

/** What every answer says, in the parts in which it streams. */
export const PARTS = ["Hel", "lo ", "there"];
export const TEXT = PARTS.join("");
/** What every call of a tool asks for. */
export const TOOL = { name: "weather", args: { city: "Oslo" } };
/** Vectors whose numbers base64 carries without a loss. */
export const vectorOf = (index) => [index + 0.5, -1, 0.25];

const ARGS = JSON.stringify(TOOL.args);
const HALVES = [ARGS.slice(0, 7), ARGS.slice(7)];
const created = 1_760_000_000;

const data = (value) => `data: ${JSON.stringify(value)}\n\n`;
const event = (value) => `event: ${value.type}\n${data(value)}`;
const line = (value) => `${JSON.stringify(value)}\n`;

const openaiError = (message) =>
  ({ error: { message, type: "an_error", param: null, code: null } });

/** A stream of one answer: what comes first, each part of a text, a call of a tool, and the end. */
const chat = {
  contentType: "text/event-stream",
  ping: ": ping\n\n",
  whole: (model, tool) => ({
    id: "chatcmpl-1", object: "chat.completion", created, model,
    choices: [{
      index: 0, logprobs: null, finish_reason: tool ? "tool_calls" : "stop",
      message: {
        role: "assistant", content: tool ? null : TEXT, refusal: null,
        ...(tool && { tool_calls: [chatTool(ARGS)] }),
      },
    }],
    usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
  }),
  opening: (model) => [chatChunk(model, { role: "assistant", content: "" })],
  part: (model, content) => chatChunk(model, { content }),
  tool: (model) => [
    chatChunk(model, { tool_calls: [{ index: 0, ...chatTool(HALVES[0]) }] }),
    chatChunk(model, { tool_calls: [{ index: 0, function: { arguments: HALVES[1] } }] }),
  ],
  closing: (model, tool) => [
    chatChunk(model, {}, tool ? "tool_calls" : "stop"),
    data({
      ...chatHead(model), choices: [],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    }),
    "data: [DONE]\n\n",
  ],
  fault: (message) => data(openaiError(message)),
  garbage: "data: {\"choices\": [\n\n",
  error: openaiError,
};

const chatHead = (model) => ({ id: "chatcmpl-1", object: "chat.completion.chunk", created, model });
const chatTool = (args) => ({
  id: "call_1", type: "function", function: { name: TOOL.name, arguments: args },
});
const chatChunk = (model, delta, finish_reason = null) =>
  data({ ...chatHead(model), choices: [{ index: 0, delta, finish_reason, logprobs: null }] });

const responses = {
  contentType: "text/event-stream",
  ping: ": ping\n\n",
  whole: (model, tool) => responseOf(model, "completed", [tool ? called(ARGS) : said(TEXT)]),
  opening: (model) => [
    event({ type: "response.created", sequence_number: 0,
      response: responseOf(model, "in_progress", []) }),
  ],
  part(model, delta) {
    const at = { item_id: "msg_1", output_index: 0, content_index: 0 };
    const begins = delta === PARTS[0] ? [
      { type: "response.output_item.added", output_index: 0,
        item: { ...said(""), content: [], status: "in_progress" } },
      { type: "response.content_part.added", ...at, part: saidText("") },
    ] : [];
    const next = { type: "response.output_text.delta", ...at, delta, logprobs: [] };
    return [...begins, next].map((one) => event({ sequence_number: 1, ...one })).join("");
  },
  tool: () => [
    event({ type: "response.output_item.added", sequence_number: 1, output_index: 0,
      item: { ...called(""), status: "in_progress" } }),
    ...HALVES.map((delta) => event({ type: "response.function_call_arguments.delta",
      sequence_number: 2, item_id: "fc_1", output_index: 0, delta })),
    event({ type: "response.function_call_arguments.done", sequence_number: 3, item_id: "fc_1",
      output_index: 0, name: TOOL.name, arguments: ARGS }),
    event({ type: "response.output_item.done", sequence_number: 4, output_index: 0,
      item: called(ARGS) }),
  ],
  closing(model, tool) {
    const at = { item_id: "msg_1", output_index: 0, content_index: 0, sequence_number: 5 };
    const text = [
      { type: "response.output_text.done", ...at, text: TEXT, logprobs: [] },
      { type: "response.content_part.done", ...at, part: saidText(TEXT) },
      { type: "response.output_item.done", sequence_number: 6, output_index: 0, item: said(TEXT) },
    ];
    const response = responses.whole(model, tool);
    const last = { type: "response.completed", sequence_number: 7, response };
    return [...(tool ? [] : text), last].map(event);
  },
  fault: (message) =>
    event({ type: "error", sequence_number: 2, code: "server_error", message, param: null }),
  garbage: "event: response.output_text.delta\ndata: {\"type\": \n\n",
  error: openaiError,
};

const saidText = (text) => ({ type: "output_text", text, annotations: [], logprobs: [] });
const said = (text) => ({
  id: "msg_1", type: "message", role: "assistant", status: "completed", content: [saidText(text)],
});
const called = (args) => ({
  id: "fc_1", type: "function_call", status: "completed", call_id: "call_1", name: TOOL.name,
  arguments: args,
});
const responseOf = (model, status, output) => ({
  id: "resp_1", object: "response", created_at: created, status, model, output, error: null,
  incomplete_details: null, instructions: null, metadata: {}, parallel_tool_calls: true,
  temperature: 1, tool_choice: "auto", tools: [], top_p: 1,
  usage: status !== "completed" ? null : {
    input_tokens: 3, input_tokens_details: { cached_tokens: 0 },
    output_tokens: 3, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 6,
  },
});

const anthropic = {
  contentType: "text/event-stream",
  ping: event({ type: "ping" }),
  whole: (model, tool) => ({
    ...message(model), stop_reason: tool ? "tool_use" : "end_turn",
    content: [tool ? { ...toolUse, input: TOOL.args } : { type: "text", text: TEXT }],
    usage: { input_tokens: 3, output_tokens: 3 },
  }),
  opening: (model) => [
    event({ type: "message_start", message: {
      ...message(model), content: [], usage: { input_tokens: 3, output_tokens: 0 },
    } }),
  ],
  part(model, text) {
    const block = { type: "text", text: "" };
    const start = { type: "content_block_start", index: 0, content_block: block };
    const delta = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } };
    return (text === PARTS[0] ? event(start) : "") + event(delta);
  },
  tool: () => [
    event({ type: "content_block_start", index: 0, content_block: { ...toolUse, input: {} } }),
    ...HALVES.map((partial_json) => event({ type: "content_block_delta", index: 0,
      delta: { type: "input_json_delta", partial_json } })),
  ],
  closing: (model, tool) => [
    event({ type: "content_block_stop", index: 0 }),
    event({ type: "message_delta", usage: { output_tokens: 3 },
      delta: { stop_reason: tool ? "tool_use" : "end_turn", stop_sequence: null } }),
    event({ type: "message_stop" }),
  ],
  fault: (text) => event(anthropic.error(text)),
  garbage: "event: content_block_delta\ndata: {\"type\": \n\n",
  error: (text) => ({ type: "error", error: { type: "api_error", message: text } }),
};

const toolUse = { type: "tool_use", id: "toolu_1", name: TOOL.name };
const message = (model) => ({
  id: "msg_1", type: "message", role: "assistant", model, stop_reason: null, stop_sequence: null,
});

const ollama = {
  contentType: "application/x-ndjson",
  // It keeps no stream alive; an empty line says as little.
  ping: "\n",
  whole: (model, tool) => ({
    ...reply(model, tool ? "" : TEXT, tool), done: true, done_reason: "stop", ...counts,
  }),
  opening: () => [],
  part: (model, text) => line({ ...reply(model, text), done: false }),
  tool: (model) => [line({ ...reply(model, "", true), done: false })],
  closing: (model) => [line({ ...reply(model, ""), done: true, done_reason: "stop", ...counts })],
  fault: (error) => line({ error }),
  garbage: "{\"message\": {\n",
  error: (error) => ({ error }),
};

const counts = { prompt_eval_count: 3, eval_count: 3, total_duration: 9, eval_duration: 3 };
const reply = (model, content, tool) => ({
  model, created_at: "2026-01-01T00:00:00Z",
  message: {
    role: "assistant", content,
    ...(tool && { tool_calls: [{ function: { name: TOOL.name, arguments: TOOL.args } }] }),
  },
});

/** What stands behind each path. */
export const DIALECTS = {
  "/v1/chat/completions": chat,
  "/v1/responses": responses,
  "/v1/messages": anthropic,
  "/api/chat": ollama,
};

/** Answers a request for embeddings. */
export const EMBEDDINGS = {
  "/v1/embeddings"({ model, input, encoding_format }) {
    const coded = (vector) => Buffer.from(Float32Array.from(vector).buffer).toString("base64");
    const form = encoding_format === "base64" ? coded : (vector) => vector;
    return {
      object: "list", model, usage: { prompt_tokens: 3, total_tokens: 3 },
      data: list(input).map((_, index) =>
        ({ object: "embedding", index, embedding: form(vectorOf(index)) })),
    };
  },
  "/api/embed": ({ model, input }) =>
    ({ model, embeddings: list(input).map((_, index) => vectorOf(index)), prompt_eval_count: 3 }),
};

const list = (input) => (Array.isArray(input) ? input : [input]);
