// The Worker around the module of tests/rust-worker: a route is a method of `Visit`, or a function.
import { Visit, broken, fetched, idle, initSync, standing } from "edgepool_rust_worker.js";
import module from "edgepool_rust_worker_bg.wasm";

initSync({ module });

/** What becomes of a scope outside of a request. */
const outside = idle().then(() => "fulfilled", String);

const ROUTES = { broken, fetched, outside: () => outside, standing };

function visit(how, request, origin, { searchParams }) {
  const hold = Number(searchParams.get("hold") ?? 0);
  return new Visit(request, origin, hold, searchParams.has("patient"))[how]();
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const name = url.pathname.slice(1);
    const origin = `${env.ORIGIN}${url.searchParams.get("path") ?? "/plain"}`;
    try {
      const route = ROUTES[name];
      return new Response(await (route?.(origin) ?? visit(name, request, origin, url)));
    } catch (error) {
      return new Response(String(error), { status: 500 });
    }
  },
};
