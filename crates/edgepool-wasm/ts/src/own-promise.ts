import * as core from "./core.js";
import type { Engine } from "./engine.js";
import { TICK } from "./keeper.js";
import { deferred } from "./runtime.js";

type Resolve<R> = (value: R | PromiseLike<never>) => void;
type Begin<R> = (resolve: Resolve<R>) => void;

/**
 * Makes a promise that another request may settle. On the edge it looks for what is due from its
 * own request meanwhile, as nobody else may; and without a doorbell, for its end: what waits for
 * it would go on in the other request.
 */
export function ownPromise<T, R>(engine: Engine<T>, begin: Begin<R>): Promise<R> {
  const { clock, edge, doorbell } = engine.settings;
  if (!edge) return new Promise((resolve) => awaited(engine, begin, resolve));
  const { promise, resolve } = deferred<R>();
  let end: (() => void) | undefined;
  let timer: unknown;
  const look = (): void => {
    engine.tick();
    if (end === undefined) timer = clock.setTimer(look, TICK);
    else end();
  };
  begin((value) => {
    if (end !== undefined) return;
    end = () => resolve(value);
    if (timer !== undefined && !doorbell) return;
    if (timer !== undefined) clock.clearTimer(timer);
    end();
  });
  if (end === undefined) timer = clock.setTimer(look, TICK);
  return promise;
}

/** Has the process not end before what is begun has told its result. */
function awaited<T, R>(engine: Engine<T>, begin: Begin<R>, resolve: Resolve<R>): void {
  const wait = (change: number): void => {
    engine.ends += change;
    if (engine.turn.busy === 0) core.unlessReset(() => engine.look());
  };
  let waits = true;
  const end = (value: R | PromiseLike<never>): void => {
    if (waits) wait(-1);
    waits = false;
    resolve(value);
  };
  wait(1);
  try {
    begin(end);
  } catch (error) {
    end(Promise.reject(error));
  }
}
