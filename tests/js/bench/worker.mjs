// Measures one contender in workerd: what the URL names, in the request that asks for it, so that
// its timers end with it.

import { measureHeld } from "./fair.mjs";
import { firstPool, measureCase, measureClock } from "./measure.mjs";

const steps = {
  nothing: () => undefined,
  import: async () => {
    await import("contender.js");
  },
  pool: async () => {
    const { Contender } = await import("contender.js");
    await firstPool(Contender);
  },
  clock: ({ id, plan }) => measureClock(id, plan),
  measure: async ({ id, plan }) => {
    const { Contender } = await import("contender.js");
    return measureCase(id, Contender, plan);
  },
  held: async ({ id, plan }) => {
    const { Sharing } = await import("contender.js");
    return measureHeld(id, Sharing, plan);
  },
};

export default {
  async fetch(request, { CLOCK }) {
    try {
      const { step, id, plan } = await request.json();
      const now = async () => Number(await (await CLOCK.fetch(`http://clock/${plan.pid}`)).text());
      return Response.json({ value: await steps[step]({ id, plan: { ...plan, now } }) });
    } catch (error) {
      return Response.json({ failed: String(error) });
    }
  },
};
