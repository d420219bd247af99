// The client pool: a place is held until the body has ended, however it ends. No network: `fetch`
// is given, and its bodies are driven by hand.
import { ClientPool } from "edgepool/clients";
import { FakeClock, settle, state } from "../lib/harness.mjs";

const encoder = new TextEncoder();

/** A body that is fed by hand, and knows whether it was pulled and cancelled. */
function source() {
  const feed = { pulls: 0, cancelled: undefined };
  feed.stream = new ReadableStream(
    {
      start: (controller) => void (feed.controller = controller),
      pull: () => void (feed.pulls += 1),
      cancel: (reason) => void (feed.cancelled = reason ?? true),
    },
    { highWaterMark: 0 },
  );
  feed.send = (text) => feed.controller.enqueue(encoder.encode(text));
  return feed;
}

/** Reads a body to its end. Unlike `text()` it rejects with the body's own error everywhere. */
async function readAll(response) {
  const reader = response.body.getReader();
  while (!(await reader.read()).done);
}

function setup(answer, provider = {}, more = {}) {
  const clock = new FakeClock(1);
  const events = [];
  const sent = [];
  const options = {
    kind: "openai", baseURL: "http://127.0.0.1:9/v1", apiKey: "sk-own", max: 1,
    retry: { retries: 0 }, ...provider,
  };
  const clients = new ClientPool({
    providers: { p: options },
    clock,
    mode: "process",
    observer: (event) => void events.push(event),
    fetch: (input, init) => {
      sent.push({ input, init });
      return Promise.resolve(answer(input, init));
    },
    ...more,
  });
  const inUse = () => clients.stats().providers.p.inUse;
  const ended = () => events.filter((event) => event.type === "ended").map((event) => event.how);
  return { clients, send: clients.fetch("p"), clock, events, sent, inUse, ended };
}

function streaming(provider, more) {
  const feed = source();
  return { feed, ...setup(() => new Response(feed.stream), provider, more) };
}

export default [
  {
    name: "a_body_holds_its_place_to_the_end",
    async run(t) {
      const { feed, send, inUse, ended } = streaming();
      const response = await send("/v1/models");
      t.equal(inUse(), 1);
      t.equal(response.headers.get("x-edgepool-slot"), "0");
      t.equal(response.headers.get("x-edgepool-wait-ms"), "0");
      const text = response.text();
      feed.send("one ");
      await settle();
      feed.send("two");
      await settle();
      t.equal(inUse(), 1, "until its end");
      feed.controller.close();
      t.equal(await text, "one two");
      t.equal(inUse(), 0);
      t.equal(ended(), ["eof"]);
    },
  },
  {
    name: "a_cancelled_body_gives_its_place_back",
    async run(t) {
      const { feed, send, clock, inUse, ended } = streaming();
      const response = await send("/v1/x");
      await response.body.cancel("enough");
      await settle();
      t.equal(inUse(), 1, "until the runtime has had its turn to close what was broken off");
      await clock.advance(0);
      t.equal(inUse(), 0);
      t.equal(ended(), ["cancel"]);
      t.ok(feed.cancelled !== undefined, "the producer was told");
    },
  },
  {
    name: "an_abort_mid_body_gives_its_place_back",
    async run(t) {
      const { feed, send, clock, inUse, ended } = streaming();
      const stop = new AbortController();
      const response = await send("/v1/x", { signal: stop.signal });
      const reader = response.body.getReader();
      feed.send("one");
      await reader.read();
      const reason = new Error("user left");
      stop.abort(reason);
      t.ok((await t.rejects(reader.read())) === reason, "the reader gets the reason");
      await clock.advance(0);
      t.equal(inUse(), 0);
      t.equal(ended(), ["abort"]);
      await settle();
      t.ok(feed.cancelled !== undefined, "the producer was told");
    },
  },
  {
    name: "a_client_that_goes_away_gives_its_place_back",
    async run(t) {
      const { send, clock, inUse, ended } = streaming();
      const gone = new AbortController();
      await send("/v1/x", { request: { signal: gone.signal } });
      gone.abort();
      await clock.advance(0);
      t.equal(inUse(), 0);
      t.equal(ended(), ["abort"]);
    },
  },
  {
    name: "a_broken_body_gives_its_place_back",
    async run(t) {
      const { feed, send, inUse, ended } = streaming();
      const response = await send("/v1/x");
      const text = t.rejects(readAll(response), { message: "reset" });
      feed.controller.error(new Error("reset"));
      await text;
      t.equal(inUse(), 0);
      t.equal(ended(), ["error"]);
    },
  },
  {
    name: "a_producer_that_never_begins_is_given_up",
    async run(t) {
      const { feed, send, clock, inUse, ended } = streaming({ firstContentTimeout: 500 });
      const response = await send("/v1/x");
      const text = t.rejects(readAll(response), { code: "body_stalled" });
      await clock.advance(499);
      t.equal(inUse(), 1);
      await clock.advance(1);
      await text;
      t.equal(inUse(), 0);
      t.equal(ended(), ["stall"]);
      t.ok(feed.cancelled !== undefined, "the producer was told");
      t.ok(clock.timers.size <= 1, "a timer is left beside the pool's");
    },
  },
  {
    name: "a_producer_that_stands_still_is_given_up",
    async run(t) {
      const { feed, send, clock, inUse, ended } = streaming({ stallTimeout: 200 });
      const response = await send("/v1/x");
      const text = t.rejects(readAll(response), { code: "body_stalled" });
      for (let i = 0; i < 5; i += 1) {
        feed.send("x");
        await clock.advance(150);
      }
      t.equal(inUse(), 1, "each chunk starts its clock anew");
      await clock.advance(50);
      await text;
      t.equal(inUse(), 0);
      t.equal(ended(), ["stall"]);
    },
  },
  {
    name: "comments_of_an_event_stream_are_no_content",
    async run(t) {
      const feed = source();
      const headers = { "content-type": "text/event-stream; charset=utf-8" };
      const limits = { kind: "http", firstContentTimeout: 300, stallTimeout: 200 };
      const answer = () => new Response(feed.stream, { headers });
      const { send, clock, inUse, ended } = setup(answer, limits);
      const text = t.rejects(readAll(await send("/v1/x")), { code: "body_stalled" });
      // Comments, blank lines and a comment in two parts do not count; the last of these does.
      for (const part of [": ping\n\n", "\r\n: a com", "ment\n", "data: x\n\n"]) {
        await clock.advance(70);
        feed.send(part);
      }
      for (let pings = 0; pings < 2; pings += 1) {
        await clock.advance(70);
        feed.send(": ping\n\n");
      }
      await clock.advance(59);
      t.equal(inUse(), 1, "200 ms from the content, whatever pings came");
      await clock.advance(1);
      t.equal(inUse(), 0);
      t.equal(ended(), ["stall"]);
      await text;
    },
  },
  {
    name: "a_consumer_that_stands_still_is_given_up",
    async run(t) {
      const { feed, send, clock, inUse } = streaming({ stallTimeout: 200 });
      const response = await send("/v1/x");
      const reader = response.body.getReader();
      feed.send("x");
      await reader.read();
      feed.send("y");
      await clock.advance(200);
      t.equal(inUse(), 0);
      t.ok(feed.cancelled !== undefined);
      await t.rejects(reader.read(), { code: "body_stalled" });
    },
  },
  {
    name: "empty_bodies_give_their_place_back_at_once",
    async run(t) {
      const answers = [
        () => new Response(null, { status: 204 }),
        () => new Response(null, { status: 205 }),
        () => new Response(null, { status: 304 }),
        () => new Response(null, { status: 200, headers: { "content-length": "5" } }),
      ];
      for (const answer of answers) {
        const { send, inUse, ended } = setup(answer);
        const response = await send("/v1/x");
        t.equal(response.status, answer().status);
        t.equal(response.body, null);
        t.equal(inUse(), 0);
        t.equal(ended(), ["eof"]);
      }
    },
  },
  {
    name: "back_pressure_is_kept",
    async run(t) {
      const { feed, send } = streaming();
      const response = await send("/v1/x");
      await settle();
      t.equal(feed.pulls, 0, "nothing is read that was not asked for");
      const reader = response.body.getReader();
      const first = reader.read();
      await settle();
      t.equal(feed.pulls, 1);
      feed.send("a");
      t.equal(new TextDecoder().decode((await first).value), "a");
      await settle();
      t.equal(feed.pulls, 1, "one chunk read, one pulled");
      await reader.cancel();
    },
  },
  {
    name: "a_body_can_be_read_into_a_buffer_of_its_reader",
    async run(t) {
      const { feed, send, inUse } = streaming();
      const response = await send("/v1/x");
      const reader = response.body.getReader({ mode: "byob" });
      const read = reader.read(new Uint8Array(8));
      feed.send("abc");
      t.equal(new TextDecoder().decode((await read).value), "abc");
      const last = reader.read(new Uint8Array(8));
      feed.controller.close();
      t.equal((await last).done, true);
      t.equal(inUse(), 0);
    },
  },
  {
    name: "the_next_call_waits_for_the_body",
    async run(t) {
      const feeds = [];
      const { send } = setup(() => {
        feeds.push(source());
        return new Response(feeds.at(-1).stream);
      });
      const first = await send("/v1/a");
      const second = send("/v1/b");
      t.equal(await state(second), "pending");
      t.equal(feeds.length, 1, "the provider sees one call");
      const text = first.text();
      feeds[0].controller.close();
      await text;
      t.equal((await second).status, 200);
    },
  },
  {
    name: "refusals_are_answers_that_stop_an_sdk",
    async run(t) {
      const limits = { maxWaiting: 1, acquireTimeout: 100 };
      const { send, clients, clock, events } = streaming(limits);
      await send("/v1/a");
      const queued = send("/v1/b");
      const full = await send("/v1/c");
      t.equal(full.status, 429);
      t.equal(full.headers.get("x-should-retry"), "false");
      t.ok(Number(full.headers.get("retry-after")) >= 1);
      const body = await full.json();
      t.equal(body.error.code, "queue_full");
      t.equal(body.error.type, "edgepool_error");
      t.equal(body.error.param, null);
      await clock.advance(100);
      const late = await queued;
      t.equal([late.status, (await late.json()).error.code], [503, "acquire_timeout"]);
      void clients.close({ deadline: 0 });
      const closed = await send("/v1/d");
      t.equal([closed.status, (await closed.json()).error.code], [503, "pool_closed"]);
      const unknown = await clients.fetch("q")("/v1/e");
      t.equal([unknown.status, (await unknown.json()).error.code], [404, "unknown_provider"]);
      const codes = events.filter(({ type }) => type === "refused").map(({ code }) => code);
      t.equal(codes, ["queue_full", "acquire_timeout", "pool_closed", "unknown_provider"]);
    },
  },
  {
    name: "refusals_can_be_thrown",
    async run(t) {
      const { send } = streaming({ kind: "ollama", maxWaiting: 0 });
      await send("/api/a");
      await t.rejects(send("/api/b"), { code: "queue_full" });
    },
  },
  {
    name: "an_unreachable_provider_is_told_and_gives_its_place_back",
    async run(t) {
      const { send, inUse, ended } = setup(() => Promise.reject(new TypeError("fetch failed")));
      const response = await send("/v1/x");
      t.equal([response.status, (await response.json()).error.code], [502, "upstream_unreachable"]);
      t.equal(inUse(), 0);
      t.equal(ended(), ["error"]);
      const thrown = setup(() => Promise.reject(new Error("lost")), { onRefusal: "throw" });
      await t.rejects(thrown.send("/v1/x"), { code: "upstream_unreachable" });
      t.equal(thrown.inUse(), 0);
    },
  },
  {
    name: "an_answer_that_cannot_be_passed_on_gives_its_place_back",
    async run(t) {
      const odd = (status, body) => {
        return Object.defineProperty(new Response(body), "status", { value: status });
      };
      for (const answer of [() => odd(600, "x"), () => odd(999, null), () => undefined]) {
        const { send, clock, inUse, ended, sent } = setup(answer, { onRefusal: "respond" });
        const response = await send("/v1/x").catch((error) => error);
        await clock.advance(0);
        t.equal(inUse(), 0);
        t.equal(ended(), ["error"]);
        t.ok(sent[0].init.signal.aborted, "the request was broken off");
        if (response instanceof Response) t.equal(response.status, 502);
        else t.ok(response instanceof TypeError, `got ${response}`);
      }
    },
  },
  {
    name: "a_wrong_context_costs_no_place",
    async run(t) {
      for (const mode of ["process", "edge"]) {
        const { send, clients, clock, inUse } = streaming({}, { mode });
        await t.rejects(send("/v1/x", { ctx: {} }), { name: "TypeError" });
        t.equal(clients.stats().total.started, 0);
        const ctx = {
          waitUntil: () => {
            throw new Error("ended");
          },
        };
        await t.rejects(send("/v1/x", { ctx }), { message: "ended" });
        await clock.advance(0);
        t.equal(inUse(), 0);
        t.ok(clock.timers.size <= (mode === "edge" ? 0 : 1), "a timer is left beside the pool's");
      }
    },
  },
  {
    name: "a_wrong_call_is_the_callers",
    async run(t) {
      const wrong = [
        { method: "CONNECT" }, { method: "trace" }, { body: "x" }, { method: "HEAD", body: "x" },
      ];
      for (const init of wrong) {
        const { send, clients } = setup(() => new Response("x"));
        await t.rejects(send("/v1/x", init), { name: "TypeError", code: undefined });
        t.equal(clients.stats().total.started, 0, "no place is taken for it");
      }
      const error = new TypeError("sync");
      const { send, clock, inUse, ended } = setup(() => {
        throw error;
      });
      t.ok((await t.rejects(send("/v1/x"))) === error);
      await clock.advance(0);
      t.equal(inUse(), 0);
      t.equal(ended(), ["error"]);
      t.ok(clock.timers.size <= 1, "a timer is left beside the pool's");
    },
  },
  {
    name: "the_pools_key_follows_no_redirect",
    async run(t) {
      const redirect = async (provider, init) => {
        const { send, sent } = setup(() => new Response(null), provider);
        await send("/v1/x", init);
        return sent[0].init.redirect;
      };
      t.equal(await redirect({}), "manual");
      t.equal(await redirect({ kind: "anthropic" }, { redirect: "follow" }), "manual");
      t.equal(await redirect({}, { redirect: "error" }), "error");
      const theirs = { headers: { "x-api-key": "theirs" } };
      t.equal(await redirect({ passClientKey: true }, theirs), undefined, "not the pool's key");
      t.equal(await redirect({ apiKey: undefined }), undefined);
      const headers = { location: "http://other/" };
      const moved = await setup(() => new Response(null, { status: 307, headers })).send("/v1/x");
      t.equal([moved.status, moved.headers.get("location")], [307, "http://other/"]);
      // A browser hides where it leads.
      const opaque = Object.defineProperty(new Response(null), "type", { value: "opaqueredirect" });
      const hidden = setup(() => opaque);
      t.equal((await hidden.send("/v1/x")).status, 502);
      await hidden.clock.advance(0);
      t.equal(hidden.inUse(), 0);
    },
  },
  {
    name: "headers_that_never_come_are_given_up",
    async run(t) {
      const { send, clock, sent, inUse, ended } = setup(() => new Promise(() => undefined), {
        headersTimeout: 300,
      });
      const answer = send("/v1/x");
      await clock.advance(300);
      const response = await answer;
      t.equal([response.status, (await response.json()).error.code], [504, "upstream_timeout"]);
      t.ok(sent[0].init.signal.aborted, "the request was aborted");
      t.equal(inUse(), 0);
      t.equal(ended(), ["stall"]);
    },
  },
  {
    name: "an_abort_before_the_headers_rejects_with_its_reason",
    async run(t) {
      const { send, clock, inUse, ended } = setup(() => new Promise(() => undefined));
      const stop = new AbortController();
      const answer = send("/v1/x", { signal: stop.signal });
      await settle();
      t.equal(inUse(), 1);
      const reason = new Error("changed my mind");
      stop.abort(reason);
      t.ok((await t.rejects(answer)) === reason);
      await clock.advance(0);
      t.equal(inUse(), 0);
      t.equal(ended(), ["abort"]);
    },
  },
  {
    name: "an_abort_while_queued_is_the_callers_own",
    async run(t) {
      const { send, events } = streaming();
      await send("/v1/a");
      const stop = new AbortController();
      const answer = send("/v1/b", { signal: stop.signal });
      stop.abort(new Error("bye"));
      await t.rejects(answer, { message: "bye" });
      t.equal(events.filter(({ type }) => type === "refused").length, 0);
    },
  },
  {
    name: "addresses_are_merged_below_the_base",
    async run(t) {
      const merged = async (baseURL, input) => {
        const { send, sent } = setup(() => new Response(null), { baseURL });
        await send(input);
        return sent[0].input;
      };
      t.equal(await merged("http://h/v1", "/v1/chat"), "http://h/v1/chat");
      t.equal(await merged("http://h/v1/", "/v1/chat?a=1"), "http://h/v1/chat?a=1");
      t.equal(await merged("http://h", "/v1/chat"), "http://h/v1/chat");
      t.equal(await merged("http://h/api", "chat"), "http://h/api/chat");
      t.equal(await merged("http://h/v1", "/v1beta/x"), "http://h/v1/v1beta/x");
      t.equal(await merged("http://h/v1", "http://h/v1/chat"), "http://h/v1/chat");
      await t.rejects(merged("http://h/v1", "http://other/v1/chat"), { name: "TypeError" });
    },
  },
  {
    name: "a_key_goes_only_where_it_belongs",
    async run(t) {
      const headers = async (provider, given = {}) => {
        const { send, sent } = setup(() => new Response(null), provider);
        await send("/v1/x", { headers: given });
        const { headers } = sent[0].init;
        return [headers.get("authorization"), headers.get("x-api-key")];
      };
      t.equal(await headers({ passClientKey: true }, { "api-key": "theirs" }), [null, null]);
      const theirs = { authorization: "Bearer theirs" };
      t.equal(await headers({}), ["Bearer sk-own", null]);
      t.equal(await headers({}, theirs), ["Bearer sk-own", null]);
      t.equal(await headers({ kind: "anthropic" }, theirs), [null, "sk-own"]);
      t.equal(await headers({ passClientKey: true }, theirs), ["Bearer theirs", null]);
      t.equal(await headers({ apiKey: undefined }, theirs), ["Bearer theirs", null]);
      t.equal(await headers({ apiKey: undefined, passClientKey: false }, theirs), [null, null]);
      const { clients } = streaming();
      t.ok(!JSON.stringify(clients.stats()).includes("sk-own"), "stats have the key");
    },
  },
  {
    name: "an_encoding_that_fetch_took_off_is_not_claimed",
    async run(t) {
      const headers = { "content-encoding": "gzip", "content-length": "7", "x-other": "1" };
      const { send } = setup(() => new Response("decoded", { headers }));
      const response = await send("/v1/x");
      t.equal(response.headers.get("content-encoding"), null);
      t.equal(response.headers.get("content-length"), null);
      t.equal(response.headers.get("x-other"), "1");
      t.equal(await response.text(), "decoded");
    },
  },
  {
    name: "an_encoding_that_nothing_took_off_is_kept",
    async run(t) {
      // What each runtime's own fetch decodes, as measured against a server.
      const few = "Deno" in globalThis || globalThis.navigator?.userAgent === "Cloudflare-Workers";
      const bun = "Bun" in globalThis;
      const browser = "document" in globalThis;
      const decoded = {
        br: true, GZip: true, deflate: !few, "x-gzip": !few, "gzip, br": !few && !bun,
        zstd: bun || browser, "gzip, zstd": browser, compress: false, aes128gcm: false,
      };
      for (const [coding, gone] of Object.entries(decoded)) {
        const headers = { "content-encoding": coding, "content-length": "7" };
        const { send } = setup(() => new Response("encoded", { headers }));
        const response = await send("/v1/x");
        const kept = [coding, "7"].map((value) => (gone ? null : value));
        const names = ["content-encoding", "content-length"];
        t.equal(names.map((name) => response.headers.get(name)), kept, coding);
      }
    },
  },
  {
    name: "a_call_that_expired_is_broken_off",
    async run(t) {
      const { send, clock, inUse, ended } = streaming({}, { mode: "edge" });
      const response = await send("/v1/x");
      const text = readAll(response);
      text.catch(() => undefined);
      await clock.advance(40_000);
      t.equal(inUse(), 1, "its heartbeat keeps it");
      clock.time += 20_000;
      await clock.advance(5_000);
      await t.rejects(text, { code: "lease_ended" });
      t.equal(inUse(), 0);
      t.equal(ended(), ["expired"]);
    },
  },
  {
    name: "a_lease_ttl_that_is_given_counts_in_a_process_too",
    async run(t) {
      const more = { mode: "process", leaseTtl: 1_000, heartbeat: 100 };
      const { send, clock, inUse, ended } = streaming({}, more);
      const text = readAll(await send("/v1/x"));
      text.catch(() => undefined);
      await clock.advance(5_000);
      t.equal(inUse(), 1, "its heartbeat keeps it");
      clock.time += 2_000;
      await clock.advance(100);
      await t.rejects(text, { code: "lease_ended" });
      t.equal([inUse(), ended()], [0, ["expired"]]);
    },
  },
  {
    name: "a_refusal_says_what_to_do_wherever_it_is_told",
    async run(t) {
      const answers = {
        "upstream_unreachable provider runs": () => Promise.reject(new Error("refused")),
        "upstream_timeout headersTimeout": () => new Promise(() => undefined),
        "pool_closed no more": () => new Response("unused"),
      };
      for (const [words, answer] of Object.entries(answers)) {
        const [code, ...advice] = words.split(" ");
        for (const onRefusal of ["respond", "throw"]) {
          const { send, clients, clock } = setup(answer, { onRefusal });
          if (code === "pool_closed") await clients.close({ deadline: 0, force: true });
          const sent = send("/v1/x").then(async (response) => (await response.json()).error);
          const told = sent.catch((error) => error);
          await settle();
          await clock.advance(60_000);
          const { message, code: toldCode } = await told;
          t.equal(toldCode, code);
          const times = message.split(advice.join(" ")).length - 1;
          t.equal(times, 1, `${onRefusal}: "${message}" says "${advice.join(" ")}" once`);
        }
      }
    },
  },
];
