// What goes through: every method and path, headers both ways, bodies as they come.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { RawRequest, send } from "../lib/client.mjs";
import { RUNTIME } from "../lib/process.mjs";
import { startBackend, startGateway } from "../lib/servers.mjs";
import { within } from "../lib/time.mjs";

const KEYS = { EDGEPOOL_KEY_WITH_KEY: "k-http", EDGEPOOL_KEY_CLAUDE: "k-claude" };
const TEXT = "the same text, again and again; ".repeat(100);
let backend, gateway;
/** Called with the first bytes of a request body, as soon as they are at the backend. */
let firstBytes = () => {};

const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Answers with what arrived, or as the path asks. */
async function echo(request, response) {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of request) {
    if (length === 0) firstBytes();
    length += chunk.length;
    hash.update(chunk);
  }
  const { pathname } = new URL(request.url, "http://backend");
  const special = SPECIAL[pathname];
  if (special) return special(response);
  const seen = {
    method: request.method,
    url: request.url,
    headers: request.headers,
    length,
    sha: hash.digest("hex"),
  };
  response.setHeader("content-type", "application/json");
  response.setHeader("x-method", request.method);
  response.end(JSON.stringify(seen));
}

const SPECIAL = {
  "/no-content": (response) => response.writeHead(204, { "x-kept": "yes" }).end(),
  "/not-modified": (response) => response.writeHead(304, { etag: '"e1"' }).end(),
  "/moved": (response) => response.writeHead(302, { location: "/elsewhere?a=1" }).end("moved"),
  "/teapot": (response) => response.writeHead(418, { "x-kept": "yes" }).end("short and stout"),
  "/headers": (response) => {
    response.writeHead(200, {
      connection: "keep-alive, x-hop-answer",
      "x-hop-answer": "dropped",
      "proxy-authenticate": "Basic",
      "keep-alive": "timeout=77",
      "set-cookie": ["a=1; Path=/", "b=2; Path=/"],
      "x-kept": "yes",
      "content-type": "text/plain; charset=latin1",
    });
    response.end("headers");
  },
  "/gzip": (response) => {
    response.writeHead(200, { "content-encoding": "gzip", "content-type": "text/plain" });
    response.end(gzipSync(TEXT));
  },
  "/document": (response) => {
    const policy = ["default-src 'none'", "img-src 'self'"];
    response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy });
    response.end("<script>fetch('/stats')</script>");
  },
  "/binary": (response) => response.end(BINARY),
};
const BINARY = randomBytes(300_000);

before(async () => {
  backend = await startBackend(echo);
  const { url } = backend;
  gateway = await startGateway(
    {
      providers: {
        plain: { kind: "http", url, max: 4 },
        based: { kind: "openai", url: `${url}/v1`, max: 4 },
        deep: { kind: "openai", url: `${url}/api/v1/`, max: 4 },
        "with-key": { kind: "http", url, max: 4 },
        claude: { kind: "anthropic", url, max: 4 },
        passing: { kind: "openai", url, max: 4, pass_client_key: true },
      },
    },
    { env: KEYS },
  );
});
after(async () => {
  await gateway?.stop();
  await backend?.stop();
});

const ask = (path, options) => send(`${gateway.url}${path}`, options);

async function seenBy(path, options) {
  const { status, body } = await ask(path, options);
  assert.equal(status, 200, body.toString());
  return JSON.parse(body);
}

for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
  test(`${RUNTIME}: ${method} is forwarded with its path, query and body`, async () => {
    const body = method === "GET" || method === "OPTIONS" ? undefined : randomBytes(5_000);
    const headers = body ? { "content-length": body.length } : {};
    const path = "/a%20b/c%2Fd/%E2%82%AC/x;y=1?q=1&q=2&space=%20+&empty=&flag";
    const seen = await seenBy(`/plain${path}`, { method, headers, body });
    assert.equal(seen.method, method);
    assert.equal(seen.url, path);
    assert.equal(seen.length, body?.length ?? 0);
    assert.equal(seen.sha, sha(body ?? ""));
  });
}

test(`${RUNTIME}: HEAD is forwarded, and has no body`, async () => {
  const { status, headers, body } = await ask("/plain/thing", { method: "HEAD" });
  assert.deepEqual([status, headers["x-method"], body.length], [200, "HEAD", 0]);
  await gateway.rest("plain", 2_000);
});

test(`${RUNTIME}: one /v1 of the base is merged with the request's`, async () => {
  assert.equal((await seenBy("/based/v1/models")).url, "/v1/models");
  assert.equal((await seenBy("/based/models?x=/v1/")).url, "/v1/models?x=/v1/");
  assert.equal((await seenBy("/deep/v1/models")).url, "/api/v1/models");
  assert.equal((await seenBy("/plain/v1/v1/x")).url, "/v1/v1/x");
  assert.equal((await seenBy("/plain")).url, "/");
  assert.equal((await seenBy("/plain/?a=b")).url, "/?a=b");
});

test(`${RUNTIME}: a path cannot leave the base of its provider`, async () => {
  const paths = ["/deep/../../x", "/deep/%2e%2e/%2e%2e/x", "/deep/..%2f..%2fx", "/deep//other/x"];
  for (const path of paths) {
    const raw = new RawRequest(gateway.url, { method: "GET", path, body: null });
    const text = await raw.whole(5_000);
    if (raw.status === 200) assert.match(text, /"url":"\/api\/v1\//, `${path}: ${text}`);
    else assert.ok(raw.status >= 400 && raw.status < 500, `${path}: ${text}`);
  }
});

test(`${RUNTIME}: hop-by-hop headers of the request are dropped, others are kept`, async () => {
  const dropped = {
    "keep-alive": "timeout=66",
    "proxy-authorization": "Basic abc",
    "proxy-connection": "keep-alive",
    te: "trailers",
    "x-hop": "named by connection",
  };
  const kept = {
    cookie: "session=1; other=2",
    accept: "text/weird",
    "user-agent": "a test",
    "x-custom": "a, b",
    "openai-organization": "org",
    "x-stainless-retry-count": "0",
  };
  const headers = { connection: "close, x-hop", ...dropped, ...kept };
  const seen = (await seenBy("/plain/x", { headers })).headers;
  for (const [name, value] of Object.entries(kept)) assert.equal(seen[name], value, name);
  for (const [name, value] of Object.entries(dropped)) assert.notEqual(seen[name], value, name);
  assert.equal(seen.host, new URL(backend.url).host);
});

test(`${RUNTIME}: hop-by-hop headers of the answer are dropped, cookies are kept`, async () => {
  const { headers, body } = await ask("/plain/headers");
  assert.equal(headers["x-hop-answer"], undefined);
  assert.equal(headers["proxy-authenticate"], undefined);
  assert.notEqual(headers["keep-alive"], "timeout=77");
  assert.deepEqual(headers["set-cookie"], ["a=1; Path=/", "b=2; Path=/"]);
  assert.equal(headers["x-kept"], "yes");
  assert.equal(headers["content-type"], "text/plain; charset=latin1");
  assert.equal(body.toString(), "headers");
});

test(`${RUNTIME}: a provider's document cannot act as one of the gateway's origin`, async () => {
  for (const path of ["/plain/x", "/plain/document", "/plain/teapot", "/plain/moved"]) {
    const { headers } = await ask(path);
    const policies = headers["content-security-policy"].split(/, */);
    const own = path === "/plain/document" ? ["default-src 'none'", "img-src 'self'"] : [];
    assert.deepEqual(policies, [...own, "sandbox"], path);
    assert.equal(headers["x-content-type-options"], "nosniff", path);
  }
});

test(`${RUNTIME}: an answer says how long its request waited, and on which slot`, async () => {
  for (const path of ["/plain/x", "/plain/no-content", "/plain/teapot", "/plain/moved"]) {
    const { headers } = await ask(path);
    assert.match(headers["x-edgepool-wait-ms"] ?? "", /^\d+$/, path);
    assert.match(headers["x-edgepool-slot"] ?? "", /^\S+$/, path);
  }
});

test(`${RUNTIME}: 204 and 304 pass without a body, and free their places`, async () => {
  for (const [path, status] of [["/plain/no-content", 204], ["/plain/not-modified", 304]]) {
    for (let i = 0; i < 6; i += 1) {
      const got = await ask(path);
      assert.deepEqual([got.status, got.body.length], [status, 0]);
    }
  }
  await gateway.rest("plain", 2_000);
});

test(`${RUNTIME}: a redirect is passed on, not followed`, async () => {
  const { status, headers, body } = await ask("/plain/moved");
  assert.deepEqual([status, headers.location], [302, "/elsewhere?a=1"]);
  assert.equal(body.toString(), "moved");
});

test(`${RUNTIME}: an unusual status is passed with its body`, async () => {
  const { status, body } = await ask("/plain/teapot");
  assert.deepEqual([status, body.toString()], [418, "short and stout"]);
});

test(`${RUNTIME}: a compressed answer can be read by the client`, async () => {
  for (const accept of ["gzip", "identity"]) {
    const headers = { "accept-encoding": accept };
    const response = await fetch(`${gateway.url}/plain/gzip`, { headers });
    assert.equal(await response.text(), TEXT);
  }
});

test(`${RUNTIME}: a binary answer arrives byte for byte`, async () => {
  assert.equal(sha((await ask("/plain/binary")).body), sha(BINARY));
});

test(`${RUNTIME}: a request body is streamed, not buffered`, async () => {
  const half = randomBytes(100_000);
  let early = false;
  const arrived = new Promise((done) => (firstBytes = done));
  const seen = await seenBy("/plain/upload", {
    method: "POST",
    body: async (request) => {
      request.write(half);
      early = await within(5_000, "first bytes upstream", arrived).then(
        () => true,
        () => false,
      );
      request.end(half);
    },
  });
  assert.ok(early, "the first bytes were upstream before the body had ended");
  assert.equal(seen.length, 200_000);
  assert.equal(seen.sha, sha(Buffer.concat([half, half])));
});

test(`${RUNTIME}: the key of the provider is added, the client's own is dropped`, async () => {
  const headers = { authorization: "Bearer client", "x-api-key": "client" };
  const http = (await seenBy("/with-key/x", { headers })).headers;
  assert.equal(http.authorization, "Bearer k-http");
  const claude = (await seenBy("/claude/v1/messages", { headers })).headers;
  assert.equal(claude["x-api-key"], "k-claude");
  assert.equal(claude.authorization, undefined);
  for (const path of ["/based/x", "/plain/x"]) {
    const none = (await seenBy(path, { headers })).headers;
    assert.equal(none.authorization, undefined, path);
    assert.equal(none["x-api-key"], undefined, path);
  }
});

test(`${RUNTIME}: a client's own key is passed where so configured`, async () => {
  const headers = { authorization: "Bearer client" };
  const passed = (await seenBy("/passing/x", { headers })).headers;
  assert.equal(passed.authorization, "Bearer client");
});
