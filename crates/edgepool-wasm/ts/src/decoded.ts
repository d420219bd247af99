import { hasNoBody } from "./body.js";
import { inWorkerd, takesOff } from "./runtime.js";

/** Gives the headers of an answer without what was true of its body before `fetch` decoded that. */
export function decodedHeaders(response: Response): Headers {
  const { headers } = response;
  const coding = headers.get("content-encoding");
  if (coding === null || hasNoBody(response) || !takesOff(coding)) return headers;
  const left = new Headers(headers);
  left.delete("content-encoding");
  left.delete("content-length");
  return left;
}

/**
 * Gives the headers that a bound answer has. What was made by hand, and so has no address, is as its
 * headers say; and workerd encodes an answer again by what they say.
 */
export function boundHeaders(response: Response): Headers {
  return response.url === "" || inWorkerd() ? response.headers : decodedHeaders(response);
}
