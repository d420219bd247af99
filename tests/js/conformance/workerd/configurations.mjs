// What a Worker may be deployed with that a pool can notice: the compatibility date, the flag by
// which a promise may be settled from another request, and the flag by which a request has a
// signal of its client.
import { execFileSync } from "node:child_process";

const DOORBELL = "handle_cross_request_promise_resolution";

/**
 * Dates between which workerd 2026-11-17 changes what is there by default: the first has neither
 * FinalizationRegistry nor a doorbell, the second has both, and the newest that this workerd knows
 * has nodejs_compat and request signals as well.
 */
function dates(newest) {
  return [
    { date: "2024-09-23", doorbell: false, signal: false, node: false },
    { date: "2026-04-26", doorbell: true, signal: false, node: false },
    { date: newest, doorbell: true, signal: true, node: true },
  ];
}

/** The newest date that a workerd surely takes is that of its release. */
export function newestDate(program) {
  const version = execFileSync(program, ["--version"], { encoding: "utf8" });
  const [date] = version.match(/\d{4}-\d{2}-\d{2}/);
  return date;
}

/** Every configuration; `newest` is the newest date that the installed workerd takes. */
export function configurations(newest) {
  const both = [true, false];
  return dates(newest).flatMap((at) =>
    both.flatMap((doorbell) => both.map((signal) => configuration(at, doorbell, signal))));
}

function configuration(at, doorbell, signal) {
  const flags = at.node ? [] : ["nodejs_als"];
  if (doorbell !== at.doorbell) flags.push(doorbell ? DOORBELL : `no_${DOORBELL}`);
  if (signal !== at.signal) flags.push(`${signal ? "enable" : "disable"}_request_signal`);
  const label = `${at.date} ${doorbell ? "bell" : "poll"} ${signal ? "signal" : "-"}`;
  return { date: at.date, flags, doorbell, signal, node: at.node, label };
}
