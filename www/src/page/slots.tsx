import type { PoolNumbers } from "../wire.js";
import { count, plural } from "./format.js";

/** More places than this are shown as a bar. */
const MOST_SLOTS = 128;
const MOST_WAITERS = 48;

/** The pool as a picture: a light for each place, and a dot for each call that waits. */
export function Slots({ numbers }: { numbers: PoolNumbers }) {
  const { in_use: used, idle, waiting, max } = numbers;
  const label = `${count(used)} of ${plural(max, "place")} in use, ${count(idle)} idle, `
    + `${count(waiting)} waiting`;
  return (
    <div class="picture">
      <div class={`slots ${size(max)}`} role="img" aria-label={label}>
        {max > MOST_SLOTS ? <Bar numbers={numbers} /> : <Lights numbers={numbers} />}
      </div>
      <Queue waiting={waiting} />
    </div>
  );
}

function size(max: number): string {
  if (max <= 8) return "row";
  return max <= 48 ? "medium" : "small";
}

function Lights({ numbers }: { numbers: PoolNumbers }) {
  const { in_use: used, max, size: opened } = numbers;
  const held = used + gone(numbers);
  const state = (index: number) => {
    if (index < used) return "used";
    if (index < held) return "gone";
    return index < opened ? "idle" : "free";
  };
  return <>{Array.from({ length: max }, (_, index) => <i key={index} class={state(index)} />)}</>;
}

/** Places whose call has died: they count, and nobody has them. */
function gone({ retired, closing }: PoolNumbers): number {
  return Number(retired ?? 0) + Number(closing ?? 0);
}

function Bar({ numbers: { in_use: used, max } }: { numbers: PoolNumbers }) {
  return <div class="bar"><b style={{ width: `${(100 * used) / max}%` }} /></div>;
}

function Queue({ waiting }: { waiting: number }) {
  const dots = Math.min(waiting, MOST_WAITERS);
  return (
    <div class={waiting > 0 ? "queue some" : "queue"}>
      <span class="queue-name">queue</span>
      {waiting === 0 && <span class="queue-none">empty</span>}
      <span class="dots" aria-hidden="true">
        {Array.from({ length: dots }, (_, index) => <i key={index} />)}
      </span>
      {waiting > 0 && <strong>{count(waiting)}</strong>}
    </div>
  );
}
