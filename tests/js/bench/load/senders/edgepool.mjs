// This package: at most `size` at once, fewer where it is to find out by itself how many.

import { ClientPool } from "edgepool/clients";

export function makeSender({ size, learn, backend, queue, acquireTimeout, mode }) {
  const provider = {
    kind: "openai", baseURL: `${backend}/v1`, max: size, maxWaiting: queue, acquireTimeout,
    ...(learn ? { adaptiveLimit: {} } : {}),
  };
  const clients = new ClientPool({ providers: { backend: provider }, mode });
  const send = clients.fetch("backend");
  return ({ url, init, read, scope }) => send(url, { ...init, ...scope }).then(read);
}
