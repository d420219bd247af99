// As many connections to the backend as there may be requests; what has none waits in its queue.

import { Pool, fetch } from "undici";

export function makeSender({ size, backend }) {
  const dispatcher = new Pool(backend, { connections: size });
  return ({ url, init, read }) => fetch(url, { ...init, dispatcher }).then(read);
}
