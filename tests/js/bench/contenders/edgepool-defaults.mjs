import { Contender as Untimed } from "./edgepool.mjs";

/** The same pool as it comes: with its times and checks of age. */
export class Contender extends Untimed {
  constructor(max, maxWaiting) {
    super(max, maxWaiting, {});
  }
}
