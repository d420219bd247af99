/** The most bytes of a request that are kept, so that it can be sent again. */
const MOST_KEPT = 1_048_576;

/**
 * Takes the body of a request. What asks a model is read whole if its length is told and no more
 * than is kept: only so can it be sent again, to another endpoint or after a pause, and a slow
 * client holds no place. All else stays the stream that it is.
 */
export async function readBody(
  request: Request, asksModel: boolean,
): Promise<ReadableStream | string | Uint8Array<ArrayBuffer> | null> {
  const length = request.headers.get("content-length");
  // An empty one is none, or it would be sent in chunks.
  if (length === "0") return null;
  const isKept = asksModel && length !== null && Number(length) <= MOST_KEPT;
  if (!isKept || request.body === null) return request.body;
  const bytes = await request.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // It is for the provider to refuse what is no text.
    return new Uint8Array(bytes);
  }
}
