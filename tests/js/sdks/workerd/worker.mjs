// The Worker of the attempts: one request each, and another one that looks at what is left. The
// pools live at module scope, as a user's would.
import { after, attempt, streamOf } from "../cases/attempt.mjs";

const ROUTES = { "/attempt": attempt, "/after": after };

/** Hands the texts of a stream on as they come. */
function passOn(parts) {
  const coder = new TextEncoder();
  return new Response(new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(coder.encode(value || " "));
    },
    cancel: () => void parts.return(),
  }, { highWaterMark: 0 }));
}

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const { origin } = new URL(env.ORIGIN);
    const asked = JSON.parse(url.searchParams.get("asked") ?? "{}");
    const call = { ...asked, origin, scope: { ctx, request } };
    if (url.pathname === "/stream") return passOn(streamOf(call));
    const route = ROUTES[url.pathname];
    return Response.json(await route?.(call) ?? {});
  },
};
