// The Worker around the module of tests/rust-worker: a route is a method of `Visit`, or a function,
// or one of the clients of a provider.
import { Visit, broken, fetched, handle, idle, initSync, standing } from "edgepool_rust_worker.js";
import module from "edgepool_rust_worker_bg.wasm";

initSync({ module });

/** What becomes of a scope outside of a request. */
const outside = idle().then(() => "fulfilled", String);

/** What `handle` sees to. */
const CLIENTS = ["chat", "clients", "embed", "stream"];

const ROUTES = { broken, fetched, outside: () => outside, standing };

function visit(how, request, origin, { searchParams }) {
  const hold = Number(searchParams.get("hold") ?? 0);
  return new Visit(request, origin, hold, searchParams.has("patient"))[how]();
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const name = url.pathname.slice(1);
    if (CLIENTS.includes(name.split("/")[0])) return handle(request, env);
    const origin = `${env.ORIGIN}${url.searchParams.get("path") ?? "/plain"}`;
    try {
      const route = ROUTES[name];
      return new Response(await (route?.(origin) ?? visit(name, request, origin, url)));
    } catch (error) {
      return new Response(String(error), { status: 500 });
    }
  },
};
