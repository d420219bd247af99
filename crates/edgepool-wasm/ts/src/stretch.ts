/** For how many turns of the microtasks a stretch goes on that nobody asks for any more. */
const TURNS = 4;
/** At one in so many times that it is asked for, the time is read. */
const LOOKS = 16;
/** After so many ms it is over as well; where time goes on in it, a new one does no harm. */
const LONGEST = 20;
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
 *
 * Should a request be ended for its processor time in the midst of its code, the turns of its
 * stretch never come: but then time has passed, which stands still in one stretch.
 */
export function thisStretch(): number {
  asked = (asked + 1) % LOOKS;
  if (turns === 0 || (asked === 0 && isLong())) begin();
  turns = TURNS;
  return stretch;
}

/**
 * Tells the time that workerd has: it stands still while code runs, and to read it takes longer
 * than an acquire and a release. So it is read once a stretch.
 */
export function standingTime(): number {
  thisStretch();
  return began;
}

/** Tells whether a stretch goes on, for those who would have its request do something. */
export function goesOn(which: number): boolean {
  if (turns > 0 && isLong()) begin();
  return which === thisStretch();
}

function isLong(): boolean {
  return Date.now() - began >= LONGEST;
}

function begin(): void {
  stretch += 1;
  began = Date.now();
  void countTurns(stretch);
}

/** Counts the turns of a stretch, by waiting: to chain them would leave more to collect. */
async function countTurns(which: number): Promise<void> {
  do {
    await ready;
    if (which !== stretch) return;
    turns -= 1;
  } while (turns > 0);
}
