// Every SDK with every ending that it can have, as their places in the two lists.
import { ENDINGS } from "./endings.mjs";
import { SDKS } from "./sdks.mjs";

/** Lists the pairs; an SDK has a call, or it has it not. */
export function pairs() {
  return SDKS.flatMap((sdk, i) => {
    const calls = sdk.open({ base: "http://127.0.0.1", fetch });
    const has = ({ needs }) => needs === undefined || needs in calls || sdk[needs];
    return ENDINGS.flatMap((ending, j) => (has(ending) ? [[i, j]] : []));
  });
}

export function pairOf([sdk, ending]) {
  return { sdk: SDKS[sdk], ending: ENDINGS[ending] };
}
