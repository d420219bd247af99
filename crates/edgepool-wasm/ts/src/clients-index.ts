/**
 * Providers of models and other HTTP services: chats, streams, embeddings, and a `fetch` for SDKs,
 * each provider with a limit of its own.
 *
 * @module edgepool/clients
 */
import "./inline.js";
import "./inline-clients.js";

export * from "./clients-public.js";
