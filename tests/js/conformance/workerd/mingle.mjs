// What the package builds on: what runs in one go, with the microtasks that follow from it, has the
// context of one request. Here requests settle each other's promises, and try I/O.
const ready = Promise.resolve();
/** For how many turns of the microtasks nothing more may come. */
const TURNS = 4;
const settlers = [];
const seen = { joined: 0, foreign: 0 };
let stretch;
let lent;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Notes that code runs, and whether what was made in this stretch of it is its own request's. */
function note() {
  if (stretch !== undefined) {
    seen.joined += 1;
    stretch.turns = TURNS;
    if (!isOurs(stretch.body)) seen.foreign += 1;
    return;
  }
  const begun = { body: makeBody(), turns: TURNS };
  stretch = begun;
  const turn = () => {
    begun.turns -= 1;
    if (begun.turns > 0) void ready.then(turn);
    else stretch = undefined;
  };
  void ready.then(turn);
}

/** Makes what I/O is bound to: only code of this very request may clone it. */
function makeBody() {
  const { readable } = new IdentityTransformStream();
  return new Request("http://origin/", { method: "POST", body: readable });
}

function isOurs(body) {
  try {
    body.clone();
    return true;
  } catch {
    return false;
  }
}

/** The ways to let others run; each waits in the end. */
const STEPS = [
  async () => {
    for (const settle of settlers.splice(0, 5)) settle();
    await null;
  },
  () => sleep(Math.random() * 3),
  async () => {
    for (let left = 10; left > 0; left -= 1) {
      await null;
      note();
    }
  },
  async ({ env }) => (await fetch(`${env.ORIGIN}/plain`)).text(),
  () => Promise.race([new Promise((resolve) => settlers.push(resolve)), sleep(20)]),
  () => {
    if (Promise.withResolvers === undefined) return sleep(1);
    const { promise, resolve } = Promise.withResolvers();
    settlers.push(resolve);
    return Promise.race([promise, sleep(20)]);
  },
];

/** Mingles with the other requests that do so, until it is cut off. */
export async function mingle(call) {
  const one = async () => {
    for (let left = 1_000; left > 0; left -= 1) {
      note();
      await STEPS[Math.floor(Math.random() * STEPS.length)](call);
      note();
    }
  };
  await Promise.all(Array.from({ length: 5 }, one));
}

/** Tells how often code ran in a stretch that had begun, and how often that was another request's. */
export const mingled = () => JSON.stringify(seen);

/** Makes such a thing for one request, and has another try it. */
export async function lendBody() {
  lent = makeBody();
  const isOwn = isOurs(lent);
  await sleep(300);
  return isOwn;
}

export const borrowBody = () => isOurs(lent);
