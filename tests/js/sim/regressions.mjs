// Seeds in which an error of the package was found, each with what was seen of it.
export const REGRESSIONS = [
  { seed: 5, what: "acquireMany(1) beside an idle resource gave a lease, and no array" },
  { seed: 31, what: "a resource was lost as its check took too long after a trap" },
  { seed: 51, what: "a resource was lost as two checks were overdue in one step" },
  { seed: 77, what: "a lease of a request that had died kept close waiting on the edge" },
  { seed: 86, what: "a waiter never settled, as the module trapped at the telling of its end" },
  { seed: 113, what: "a resource was lost as its job settled in the step that was too late" },
  { seed: 280, what: "a resource was closed while it was lent: a creation gave it again, late" },
  { seed: 307, what: "what was invalidated was lent again after a trap" },
  { seed: 546, what: "a caller was given nothing after a trap" },
  { seed: 646, what: "close without a deadline never settled on the edge" },
  { seed: 673, what: "a waiter was forgotten, and others were served in its place" },
  { seed: 9_663, what: "a caller was given nothing, as the module trapped right after its lease" },
  { seed: 10_264, what: "a lease was lost, as the module trapped when the timer was set" },
  { seed: 13_320, what: "those who had timed out were not told at a warm-up that began nothing" },
  { seed: 13_601, what: "a caller was given nothing: a trap had another's resource reset" },
  { seed: 20_016, what: "tryAcquire in a callback called itself without end" },
];
