import type { ChatEvent } from "./answers.js";
import type { Attempt } from "./attempt.js";
import type { EventSource } from "./chat-stream.js";
import { BETWEEN_CONTENT, CONTENT, type Drive, EVENTS, FAILED, OVER } from "./drive.js";
import { AbortError, PoolError } from "./errors.js";
import { Progress } from "./progress.js";

/** The events of the attempt whose content came first. */
export class DrivenEvents implements EventSource {
  private readonly drive: Drive;
  private readonly attempt: Attempt;
  private readonly progress: Progress;
  private events: ChatEvent[];
  private error: unknown = undefined;
  /** Whether the provider is waited for, and not the reader. */
  private isReading = false;
  /** Ends the read that is under way; one for all of them would keep what each has read. */
  private wake: () => void = () => undefined;

  constructor(drive: Drive, attempt: Attempt) {
    this.drive = drive;
    this.attempt = attempt;
    const stall = drive.limits.stallTimeout ?? Infinity;
    const limits = { first: stall, stall };
    this.progress = new Progress(drive.hub.settings.clock, limits, (what) => this.stalled(what));
    drive.onFailed = (error) => this.fail(error);
    // It may have failed before anybody could be told.
    this.error = drive.error;
    this.events = this.told();
    if (drive.isOver) this.end();
    else this.progress.passed(true);
  }

  async read(): Promise<ChatEvent[] | undefined> {
    while (this.events.length === 0 && !this.drive.isOver) {
      this.progress.asked();
      await this.readMore();
    }
    const { events } = this;
    this.events = [];
    if (events.length > 0) return events;
    if (this.error !== undefined) throw this.error;
    return undefined;
  }

  private async readMore(): Promise<void> {
    const { attempt, drive } = this;
    let got: { value?: Uint8Array | undefined } | undefined;
    this.isReading = true;
    try {
      got = await new Promise((resolve, reject) => {
        this.wake = () => resolve(undefined);
        Promise.resolve(attempt.reader?.read()).then(resolve, reject);
      });
    } catch (error) {
      return drive.lost(attempt, error);
    } finally {
      this.isReading = false;
    }
    if (!attempt.isOver) this.took(got?.value);
  }

  private took(value: Uint8Array | undefined): void {
    const { attempt, drive } = this;
    if (value?.byteLength === 0) return;
    const what = value === undefined ? drive.atEnd(attempt) : drive.chunk(attempt, value);
    if ((what & EVENTS) !== 0) this.events.push(...this.told());
    this.progress.passed((what & CONTENT) !== 0);
    const isOver = value === undefined || (what & OVER) !== 0;
    if (isOver && (what & FAILED) === 0) drive.complete(attempt);
    drive.pump();
    if (drive.isOver) this.end();
  }

  private told(): ChatEvent[] {
    const text = this.drive.ask((protocol, call) => protocol.call_events(call));
    return JSON.parse(text) as ChatEvent[];
  }

  private stalled(what: string): void {
    const { drive, attempt } = this;
    if (this.isReading) return drive.late(attempt, BETWEEN_CONTENT);
    const text = `provider "${drive.name}": the reader of the answer ${what}`;
    drive.giveUp("stall", new PoolError("body_stalled", text));
  }

  /** What came before is told first. */
  private fail(error: unknown): void {
    this.error = error;
    this.wake();
    this.end();
  }

  cancel(): void {
    this.drive.giveUp("cancel", new AbortError());
    this.end();
  }

  private end(): void {
    this.progress.stop();
    this.drive.free();
  }
}
