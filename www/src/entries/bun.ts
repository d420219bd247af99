import { serveOverNodeHttp } from "./node-http.js";

// Bun.serve holds the end of the headers back until the first byte of the body, so that a client
// would not hear of a slow answer at all; its node:http sends them at once.
serveOverNodeHttp("bun");
