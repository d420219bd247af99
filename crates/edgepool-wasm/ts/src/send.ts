/** What `fetch` is, as far as it is used. */
export type Send = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
