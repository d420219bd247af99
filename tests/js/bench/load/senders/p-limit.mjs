// Functions under way at once, `size` of them; the others wait in its queue, however many.

import pLimit from "p-limit";

export function makeSender({ size }) {
  const limit = pLimit(size);
  return ({ url, init, read }) => limit(() => fetch(url, init).then(read));
}
