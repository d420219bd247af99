/** For how many turns of the microtasks a stretch goes on that nobody asks for any more. */
const TURNS = 4;
/** How often it is asked for between two turns before it is over, should those never come. */
const MOST = 1_000;
const ready = Promise.resolve();
let stretch = 0;
let turns = 0;
let asked = 0;

/**
 * Numbers the stretch of code that runs: what runs in one go, and the microtasks that follow from
 * it. In workerd all of it has the context of one request: before another's code runs, no microtask
 * is left (measured at dates with and without the doorbell's flag, with requests that settle each
 * other's promises and are cut off).
 */
export function thisStretch(): number {
  asked += 1;
  if (turns === 0 || asked > MOST) begin();
  turns = TURNS;
  return stretch;
}

/** Tells whether a stretch goes on. */
export function goesOn(which: number): boolean {
  return which === stretch && turns > 0;
}

function begin(): void {
  stretch += 1;
  asked = 0;
  void countTurns(stretch);
}

/** Counts the turns of a stretch, by waiting: to chain them would leave more to collect. */
async function countTurns(which: number): Promise<void> {
  do {
    await ready;
    if (which !== stretch) return;
    asked = 0;
    turns -= 1;
  } while (turns > 0);
}
