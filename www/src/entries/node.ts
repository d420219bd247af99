import { serveOverNodeHttp } from "./node-http.js";

serveOverNodeHttp("node");
