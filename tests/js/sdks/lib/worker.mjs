// The attempts in a Worker: a request each, some at once, and clients that go in the middle.
import { bundle } from "../../conformance/lib/bundle.mjs";
import { binary } from "../../conformance/lib/processes.mjs";
import { serve } from "../../conformance/lib/workerd-server.mjs";
import { configurations, newestDate } from "../../conformance/workerd/configurations.mjs";
import { cut, json, open } from "../../conformance/workerd/client.mjs";
import { eventually, within } from "../../lib/time.mjs";
import { pairs } from "../cases/pairs.mjs";
import { SDKS } from "../cases/sdks.mjs";

const AT_ONCE = 24;
const LIMIT = 60_000;

/**
 * How clients go: in a stream that never ends, or before the provider has answered. One that leaves
 * by a FIN is noticed only at the next write.
 */
export const GONE = [
  { name: "client cut off in the stream", model: "endless", after: "Hel", how: "RST" },
  { name: "client gone in the stream", model: "endless", after: "Hel", how: "FIN" },
  { name: "client cut off before headers", model: "mute", how: "RST" },
];

export const WORKERD = {
  program: ({ root }) => [binary(root, "WORKERD", "workerd")],
  async run(at, onRow) {
    await bundle(at.project, at.root);
    const [program] = at.program(at);
    // As it is deployed today.
    const configuration = configurations(newestDate(program))
      .findLast(({ doorbell, signal, flags }) => doorbell && signal && flags.length === 0);
    const origin = { seen: () => undefined, address: at.origin };
    const settings = { project: at.project, program, origin, configurations: [configuration] };
    const server = await serve(settings);
    try {
      const [{ at: address }] = server.workers;
      await inTurns(jobs({ ...at, address, onRow }));
    } catch (error) {
      throw new Error(`${error.message}; workerd has said: ${server.log().slice(-2_000)}`);
    } finally {
      await server.stop();
    }
  },
};

const url = (address, route, asked) =>
  `${address}${route}?asked=${encodeURIComponent(JSON.stringify(asked))}`;

function jobs(at) {
  const { address, only, onRow } = at;
  const wanted = (run) => only === "" || only.split("+").includes(run);
  const attempts = pairs().map((pair) => ({ pair, run: pair.join(".") }));
  const leavings = SDKS.flatMap((_, sdk) => GONE.map((gone, i) =>
    ({ sdk, gone, run: `${sdk}.gone-${i}` })));
  return [
    ...attempts.filter(({ run }) => wanted(run)).map(({ pair, run }) => async () => {
      const row = await json(url(address, "/attempt", { pair, run }));
      await onRow({ pair, ...row, ...await json(url(address, "/after", { run })) });
    }),
    ...leavings.filter(({ run }) => wanted(run)).map((one) => () => leave(at, one)),
  ];
}

/** Has a client read a stream of an SDK, and go. */
async function leave({ address, provider, onRow }, { sdk, gone, run }) {
  const { model, after, how } = gone;
  const raw = open(url(address, "/stream", { sdk, model, run }));
  const reached = () => provider.run(run).models[model] > 0;
  await eventually(LIMIT, `${run} at the provider`, reached);
  if (after !== undefined) await raw.until(({ received }) => received.includes(after));
  await cut(raw, how);
  await onRow({ sdk, gone, run, calls: 1, ...await json(url(address, "/after", { run })) });
}

async function inTurns(queue) {
  const work = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      await within(LIMIT, "an attempt", job());
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
