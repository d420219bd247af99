const LF = 10;
const CR = 13;
const COLON = 58;

/**
 * Finds content in an event stream. Providers keep a stream alive with comments (lines that begin
 * with a colon) and blank lines, which say nothing of whether an answer is being made: a clock
 * that they wound up would never run out.
 */
export class ContentFinder {
  private atLineStart = true;
  private inComment = false;

  /** Tells whether a chunk holds a byte of anything but comments. Chunks may split a line. */
  look(chunk: Uint8Array): boolean {
    let found = false;
    for (const byte of chunk) {
      if (byte === LF || byte === CR) {
        this.atLineStart = true;
        continue;
      }
      if (this.atLineStart) this.inComment = byte === COLON;
      this.atLineStart = false;
      found ||= !this.inComment;
    }
    return found;
  }
}

/** Tells whether a response is a stream of server-sent events. */
export function isEventStream(response: Response): boolean {
  return /^text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
}
