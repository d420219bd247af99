// What an operator does to a simulated pool, and what befalls its clock.
import { ensure } from "./world.mjs";

const ACTS = {
  stats: (run) => run.ask((pool) => pool.stats()),
  tick: ({ pool }) => pool.tick(),
  resize: (run, { to }) => change(run, "resize", to, to >= run.limits.minIdle, "max"),
  setMinIdle: (run, { to }) => change(run, "setMinIdle", to, to <= run.limits.max, "minIdle"),
  retain,
  warmUp,
  invalidate(run) {
    for (const resource of run.factory.made) resource.invalidAt ??= run.world.time;
    run.pool.invalidate();
  },
  pause(run) {
    run.pausedAt = run.world.time;
    run.pool.pause();
    ensure(run.pool.isPaused, "isPaused is false after pause()");
  },
  resume(run) {
    run.pausedAt = Infinity;
    run.pool.resume();
    ensure(!run.pool.isPaused, "isPaused is true after resume()");
  },
  step: (run, { by }) => run.world.setClock(by),
  rate: (run, { by }) => run.world.setClock(0, by),
  thaw: (run) => run.world.setClock(0, 1),
  close(run) {
    run.force = run.rng.chance(300);
    run.closes(run.force ? { force: true, deadline: run.rng.ms(0, 100) } : undefined);
  },
};

/** Does one act. */
export function act(run, drawn) {
  run.world.note("act", drawn.act, drawn.to ?? drawn.by ?? "");
  ACTS[drawn.act](run, drawn);
}

/** Changes a limit; one that contradicts the other is an error, and changes nothing. */
function change(run, method, to, isRight, name) {
  let error;
  try {
    run.pool[method](to);
  } catch (thrown) {
    error = thrown;
  }
  ensure((error === undefined) === isRight, () => `${method}(${to}): ${error?.stack}`);
  if (error !== undefined) return ensure(error instanceof TypeError, () => error.stack);
  run.limits[name] = to;
  if (name === "max") run.leastMax = Math.min(run.leastMax, to);
  if (name === "max") run.checks.resized(to);
}

function retain(run, { of }) {
  let seen = 0;
  let left = 0;
  const keep = (resource, info) => {
    const shown = () => `retain was shown ${resource}`;
    ensure(resource.state === "open", () => `${shown()}, which is ${resource.state}`);
    ensure(resource.lease?.over !== false, () => `${shown()}, which is lent`);
    ensure(info.id >= 0, () => `retain was told ${JSON.stringify(info)}`);
    seen += 1;
    if (seen % of !== 0) return true;
    left += 1;
    return false;
  };
  const removed = run.pool.retain(keep);
  ensure(removed === left, () => `retain told of ${removed}, and ${left} were not kept`);
}

function warmUp(run, { to }) {
  run.warmUps += 1;
  const isTooMany = to > run.limits.max;
  const ended = (told) => {
    run.warmUps -= 1;
    run.world.note("warmed", told);
  };
  run.pool.warmUp(to, { parallel: run.rng.within(1, 3) }).then(
    (made) => {
      ended(made);
      ensure(made <= to, () => `warmUp(${to}) made ${made}`);
    },
    (error) => {
      ended(error.code);
      if (isTooMany) return ensure(error instanceof TypeError, () => error.stack);
      const known = ["warm_up_failed", "pool_closed", "core_reset"].includes(error.code);
      ensure(known, () => `warmUp ended with ${error.stack}`);
    },
  ).catch((error) => run.world.problems.push(error));
}
