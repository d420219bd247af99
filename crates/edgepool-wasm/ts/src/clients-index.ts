/**
 * Providers of models and other HTTP services: chats, streams, embeddings, and a `fetch` for SDKs,
 * each provider with a limit of its own.
 *
 * @module edgepool/clients
 */
import "./inline-clients.js";
import "./inline-tenants.js";

export * from "./clients-public.js";
