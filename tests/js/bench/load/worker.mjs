// The Worker that sends the load on by a contender: each request to it is one to the backend.

import { makeSender } from "contender.js";

let send;

export default {
  async fetch(request, { PLAN }, ctx) {
    const plan = JSON.parse(PLAN);
    send ??= makeSender(plan);
    const init = { method: "POST", headers: request.headers, body: await request.text() };
    const url = `${plan.backend}/v1/chat/completions`;
    try {
      return await new Promise((answer, fail) => {
        const read = (response) => passOn(response, answer);
        const { signal } = request;
        send({ url, init: { ...init, signal }, read, scope: { ctx, request } }).catch(fail);
      });
    } catch (error) {
      return new Response(String(error), { status: 500 });
    }
  },
};

/** Answers with what comes, and waits until it was read to its end. */
function passOn(response, answer) {
  const { readable, writable } = new TransformStream();
  answer(new Response(response.body && readable, response));
  return response.body?.pipeTo(writable);
}
