/** For how many turns of the microtasks a stretch goes on that nobody asks for any more. */
const TURNS = 4;
/** How often it is asked for between two turns before it is over, should those never come. */
const MOST = 1_000;
/** After so many ms it is over as well; where time goes on in it, a new one does no harm. */
const LONGEST = 200;
const ready = Promise.resolve();
let stretch = 0;
let turns = 0;
let asked = 0;
let began = 0;

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

/**
 * Tells whether a stretch goes on. Should a request be ended for its processor time in the midst of
 * its code, its turns never come: but then time has passed, which stands still in one stretch.
 */
export function goesOn(which: number): boolean {
  if (turns > 0 && Date.now() - began >= LONGEST) begin();
  return which === stretch && turns > 0;
}

function begin(): void {
  stretch += 1;
  asked = 0;
  began = Date.now();
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
