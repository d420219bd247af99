/// <reference lib="esnext.disposable" preserve="true" />
import type { ChatAnswer, Embeddings, Usage } from "./answers.js";
import type { Attempt } from "./attempt.js";
import { ChatStream } from "./chat-stream.js";
import { originOf } from "./client-events.js";
import {
  CHAT, Drive, EMBEDDINGS, type Limits, MODELS, PASSED, STREAM, type ToldRequest,
} from "./drive.js";
import { DrivenEvents } from "./driven-events.js";
import { PoolClosedError, PoolError } from "./errors.js";
import type { House } from "./house.js";
import type { Hub, Opened } from "./hub.js";
import { type RequestScope, dispose } from "./lease.js";
import { checkNames, checkNumbers, checkSignal, readWord } from "./options.js";
import { passOn, prepare } from "./passing.js";
import type { Priority } from "./pool.js";
import { Complained, ask } from "./protocol.js";
import { ProviderError, complaintError } from "./provider-errors.js";
import type { OnRefusal, ProviderKind } from "./provider.js";
import { refusalCode, refusalResponse } from "./refusal.js";
import type { ChatRequest, EmbedParameters } from "./requests.js";

/** Whose call it is. */
export interface CallScope extends RequestScope {
  /**
   * The id of the tenant whose call it is: 1 to 63 ASCII letters, digits, `_`, `-` and `.`, of which
   * the first is a letter or a digit. Default nobody's: those are served as one tenant more.
   */
  tenant?: string | undefined;
}

/** The options of one call; what is not said is as the provider's options say. Durations in ms. */
export interface CallOptions extends CallScope {
  /** Ends the call with its reason, wherever it is. */
  signal?: AbortSignal | undefined;
  /** The class in the queue. Default `normal`. */
  priority?: Priority | undefined;
  /** How often it is sent again at most. */
  retries?: number | undefined;
  /** After how long without content a second attempt is sent beside the first. */
  hedgeAfter?: number | undefined;
  /** See {@link ProviderOptions}. */
  acquireTimeout?: number | undefined;
  /** See {@link ProviderOptions}. */
  headersTimeout?: number | undefined;
  /** See {@link ProviderOptions}. */
  firstContentTimeout?: number | undefined;
  /** See {@link ProviderOptions}. */
  stallTimeout?: number | undefined;
  /** See {@link ProviderOptions}. */
  totalTimeout?: number | undefined;
}

/** The options of a {@link PooledFetch}. */
export interface FetchOptions {
  /** In place of the provider's: SDKs differ in what they do best with. */
  onRefusal?: OnRefusal | undefined;
}

/**
 * A `fetch` that sends through the pool. A relative URL is taken below the provider's base. Settles
 * as `fetch` does, with the provider's own last answer if it was an error, and rejects with a
 * PoolError where the provider's refusals are thrown.
 */
export type PooledFetch = (
  input: string | URL | Request, init?: RequestInit & CallScope,
) => Promise<Response>;

const OF_THE_CALL = [
  "priority", "retries", "hedgeAfter", "acquireTimeout", "headersTimeout", "firstContentTimeout",
  "stallTimeout", "totalTimeout",
] as const;
const CALL_OPTIONS = ["signal", "ctx", "request", "tenant", ...OF_THE_CALL] as const;

/**
 * The client of one provider. It has its provider until it is disposed of or dropped, though that
 * is replaced or removed meanwhile.
 */
export class ProviderClient {
  /** @internal */
  readonly _hub: Hub;
  /** @internal */
  readonly _opened: Opened;
  private readonly house: House;
  private isDisposed = false;

  /** @internal */
  constructor(opened: Opened, hub: Hub, house: House) {
    this._opened = opened;
    this._hub = hub;
    this.house = house;
  }

  /** The provider's name. */
  get name(): string {
    return this._opened.described.name;
  }

  /** What the provider speaks. */
  get kind(): ProviderKind {
    return this._opened.described.kind;
  }

  /** The model of chats that name none. */
  get model(): string | undefined {
    return this._opened.described.model ?? undefined;
  }

  /** Whether its service takes nothing without a key. */
  get needsKey(): boolean {
    return this._opened.described.needsKey;
  }

  /** Whether it runs on this machine. */
  get isLocal(): boolean {
    return this._opened.described.isLocal;
  }

  /**
   * Asks a model, and waits for the whole answer. Rejects with a {@link ProviderError}, a
   * PoolError, or the signal's own reason; with a TypeError if the request is wrong.
   */
  async chat(request: ChatRequest, options: CallOptions = {}): Promise<ChatAnswer> {
    return JSON.parse(await this.whole(CHAT, JSON.stringify(request), options)) as ChatAnswer;
  }

  /** Asks a model for an answer in pieces. */
  stream(request: ChatRequest, options: CallOptions = {}): ChatStream {
    return new ChatStream((stop) => this._events(request, options, stop));
  }

  /** @internal Waits for the first content of an answer. */
  async _events(
    request: ChatRequest, options: CallOptions, stop: AbortSignal,
  ): Promise<DrivenEvents> {
    const drive = this.drive(STREAM, JSON.stringify(request), options, stop);
    const attempt = await drive.run();
    return new DrivenEvents(drive, attempt as Attempt);
  }

  /** Makes the embedding of a text, or those of several in their order. */
  embed(text: string, options?: CallOptions & EmbedParameters): Promise<Float32Array>;
  embed(texts: readonly string[], options?: CallOptions & EmbedParameters): Promise<Float32Array[]>;
  async embed(
    texts: string | readonly string[], options: CallOptions & EmbedParameters = {},
  ): Promise<Float32Array | Float32Array[]> {
    const { vectors } = await this.embeddings(typeof texts === "string" ? [texts] : texts, options);
    return typeof texts === "string" ? vectors[0] as Float32Array : vectors;
  }

  /** As `embed`, and tells what it used. Several calls are made where one takes no more texts. */
  async embeddings(
    texts: readonly string[], options: CallOptions & EmbedParameters = {},
  ): Promise<Embeddings> {
    const { model, dimensions, extra, ...rest } = options;
    const all: Embeddings = { vectors: [] };
    if (texts.length === 0) return all;
    const request = JSON.stringify({ input: texts, model, dimensions, extra });
    for (const batch of this.batches(request)) {
      const drive = this.drive(EMBEDDINGS, batch, rest);
      const output = JSON.parse(await this.awaitWhole(drive, () => {
        const flat = drive.ask((protocol, call) => protocol.call_vectors(call));
        all.vectors.push(...split(flat, JSON.parse(drive.output()) as Shape));
      })) as Shape;
      if (output.usage !== undefined) all.usage = sum(all.usage, output.usage);
    }
    return all;
  }

  private batches(request: string): string[] {
    return this.checked(() => {
      const told = ask((protocol) => protocol.embed_batches(this._opened.in(protocol), request));
      return (JSON.parse(told) as unknown[]).map((batch) => JSON.stringify(batch));
    });
  }

  /** Lists the provider's models. */
  async models(options: CallOptions = {}): Promise<string[]> {
    return (JSON.parse(await this.whole(MODELS, "{}", options)) as { models: string[] }).models;
  }

  /**
   * Returns a `fetch` that waits for a place at the provider and holds it until the body of the
   * answer has ended. Give `ctx` and `request` in its options in a Worker.
   */
  fetch(options: FetchOptions = {}): PooledFetch {
    const onRefusal = readOnRefusal("fetch", options);
    return (input, init) => this._pass(input, init ?? {}, onRefusal, false);
  }

  /**
   * @internal Passes a request on. Where another provider may be asked next, what that may mend is
   * thrown in any case.
   */
  async _pass(
    input: string | URL | Request, init: RequestInit & CallScope,
    onRefusal: OnRefusal = this._opened.described.onRefusal, hasNext: boolean,
  ): Promise<Response> {
    const { ctx, request, tenant, ...rest } = init;
    const own = input instanceof Request ? input.signal : undefined;
    const signal = rest.signal ?? own;
    const passed = prepare(this._opened.described, input, rest);
    try {
      const options = { ctx, request, signal, tenant };
      const drive = this.begin(PASSED, passed.request, options, passed.transmit);
      const attempt = await drive.run();
      if (hasNext) drive.giveRefusalBack();
      return passOn(drive, attempt as Attempt, passed, signal);
    } catch (error) {
      if (!(error instanceof PoolError) || error.code === "aborted") throw error;
      if (hasNext && error instanceof ProviderError && error.fallsBack) {
        if (error.status === undefined) this.tellRefused(error, init);
        throw error;
      }
      return this.refuse(error, onRefusal, init);
    }
  }

  private refuse(error: PoolError, onRefusal: OnRefusal, of: CallScope): Response {
    const code = refusalCode(error.code);
    this.tellRefused(error, of);
    if (onRefusal === "throw") throw error;
    // What to do is added there.
    return refusalResponse(this.kind, code, `provider "${this.name}": ${plainText(error)}`,
      error instanceof ProviderError ? error.retryAfter : undefined);
  }

  private tellRefused({ code }: PoolError, { request, tenant }: CallScope): void {
    // What is no tenant's id may be anything.
    const whose = code === "invalid_tenant" ? undefined : tenant;
    this.house.tell({ type: "refused", ...originOf(this.name, request, whose), code });
  }

  private async whole(kind: number, request: string, options: CallOptions): Promise<string> {
    return await this.awaitWhole(this.drive(kind, request, options));
  }

  private async awaitWhole(drive: Drive, read: () => void = () => undefined): Promise<string> {
    await drive.run();
    try {
      read();
      return drive.output();
    } finally {
      drive.free();
    }
  }

  private drive(kind: number, request: string, options: CallOptions, stop?: AbortSignal): Drive {
    const transmit = (told: ToldRequest, drive: Drive): readonly [string, RequestInit] => {
      const { url, method, headers } = told;
      const bytes = drive.ask((protocol, call) => protocol.call_body(call));
      const body = method === "GET" ? null : bytes as Uint8Array<ArrayBuffer>;
      // The key must not leave its origin.
      return [url, { method, headers: new Headers(headers), body, redirect: "manual" }];
    };
    return this.begin(kind, request, options, transmit, stop);
  }

  private begin(
    kind: number, request: string, options: CallOptions,
    transmit: (told: ToldRequest, drive: Drive) => readonly [string | Request, RequestInit],
    stop?: AbortSignal,
  ): Drive {
    checkNames("call", options, CALL_OPTIONS);
    checkSignal("call", options.signal);
    const { ctx, request: from, signal, tenant } = options;
    // Before anything is told of the call: what is no tenant's id may be anything.
    if (tenant !== undefined) this._hub.tenants.check(tenant);
    if (this.house.isClosed || this.isDisposed) throw new PoolClosedError();
    const described = this._opened.described;
    const given: Record<string, unknown> = {};
    for (const name of OF_THE_CALL) if (options[name] !== undefined) given[name] = options[name];
    const limits: Limits = {
      firstContentTimeout: options.firstContentTimeout ?? described.firstContentTimeout,
      stallTimeout: options.stallTimeout ?? described.stallTimeout,
    };
    checkNumbers("call", given);
    const drive = new Drive({
      hub: this._hub, opened: this._opened, kind, request, options: JSON.stringify(given),
      scope: { ctx, request: from }, tenant, signal, stop, limits, transmit, house: this.house,
    });
    this.house.enter(drive);
    return drive;
  }

  /** Runs what asks the module about a request of the caller's. */
  private checked<R>(run: () => R): R {
    try {
      return run();
    } catch (error) {
      throw error instanceof Complained ? complaintError(this.name, error.complaint) : error;
    }
  }

  /** @internal Calls under way go on, and no more can be made by it. */
  [dispose](): void {
    this.isDisposed = true;
  }
}

export interface ProviderClient {
  /** Lets go of the provider, at the end of a block with `using`; calls under way go on. */
  [Symbol.dispose](): void;
}

/** Reads who is to hear of refusals, if it is said. */
export function readOnRefusal(where: string, options: FetchOptions): OnRefusal | undefined {
  checkNames(where, options, ["onRefusal"]);
  if (options.onRefusal === undefined) return undefined;
  return readWord(where, "onRefusal", options.onRefusal, "respond", ["respond", "throw"] as const);
}

function plainText(error: PoolError): string {
  if (error instanceof PoolClosedError) return "the pool is closed";
  return error instanceof ProviderError ? error._plain : error.message;
}

interface Shape {
  count: number;
  dimensions: number;
  usage?: Usage;
}

function split(flat: Float32Array, { count, dimensions }: Shape): Float32Array[] {
  return Array.from({ length: count }, (_, place) =>
    flat.slice(place * dimensions, (place + 1) * dimensions));
}

function sum(one: Usage | undefined, other: Usage): Usage {
  if (one === undefined) return { ...other };
  return {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    cachedTokens: one.cachedTokens + other.cachedTokens,
    reasoningTokens: one.reasoningTokens + other.reasoningTokens,
  };
}
