// Files of a folder, as a server gives them to a browser.
import { readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };

/** Answers a request with the file that it names, or that there is none. */
export function sendFile(folder, request, response) {
  const path = normalize(new URL(request.url, "http://page").pathname);
  try {
    const body = readFileSync(join(folder, path));
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}
