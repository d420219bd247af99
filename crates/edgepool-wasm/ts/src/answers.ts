import type { ToolCall } from "./requests.js";

/** What a call used, in tokens. */
export interface Usage {
  /** Of the prompt, those from a cache among them. */
  inputTokens: number;
  /** Of the answer, those of reasoning among them. */
  outputTokens: number;
  /** Of the prompt, from the provider's cache. */
  cachedTokens: number;
  /** Of reasoning. */
  reasoningTokens: number;
}

/** Why an answer ended: one of these, or the provider's own word. */
export type FinishReason = "stop" | "length" | "toolCalls" | "filtered" | (string & {});

/** A whole answer. */
export interface ChatAnswer {
  /** The provider's name for it. */
  id?: string;
  /** The model that made it. */
  model?: string;
  /** What it says. */
  text: string;
  /** What the model thought, if the provider tells. */
  reasoning: string;
  /** The tools that it calls. */
  toolCalls: ToolCall[];
  /** Why it ended. */
  finishReason?: FinishReason;
  /** What it used. */
  usage?: Usage;
  /** The provider's number for the request. */
  requestId?: string;
}

/** A piece of an answer that comes in pieces. */
export type ChatEvent =
  /** The answer begins. */
  | { type: "started"; id?: string; model?: string }
  | { type: "text"; text: string }
  /** What the model thinks. */
  | { type: "reasoning"; text: string }
  /** A call of a tool begins. */
  | { type: "toolCall"; index: number; id: string; name: string }
  /** A piece of what the tool is called with, JSON as text. */
  | { type: "arguments"; index: number; json: string }
  | { type: "finished"; finishReason: FinishReason }
  | { type: "usage"; usage: Usage }
  /** The protocol's own end, which each good answer comes to. */
  | { type: "done" };

/** The embeddings of several texts. */
export interface Embeddings {
  /** One for each text, in their order. */
  vectors: Float32Array[];
  /** What the calls used together, if the provider tells. */
  usage?: Usage;
}

/** Puts the pieces of an answer together. */
export class Collector {
  private readonly answer: ChatAnswer = { text: "", reasoning: "", toolCalls: [] };

  /** Adds a piece. */
  add(event: ChatEvent): void {
    const { answer } = this;
    switch (event.type) {
      case "started":
        if (event.id !== undefined) answer.id = event.id;
        if (event.model !== undefined) answer.model = event.model;
        break;
      case "text":
        answer.text += event.text;
        break;
      case "reasoning":
        answer.reasoning += event.text;
        break;
      case "toolCall":
        answer.toolCalls[event.index] = { id: event.id, name: event.name, arguments: "" };
        break;
      case "arguments":
        this.argue(event.index, event.json);
        break;
      case "finished":
        answer.finishReason = event.finishReason;
        break;
      case "usage":
        answer.usage = event.usage;
        break;
    }
  }

  private argue(index: number, json: string): void {
    const call = (this.answer.toolCalls[index] ??= { id: "", name: "", arguments: "" });
    call.arguments += json;
  }

  /** Gives the answer. */
  finish(): ChatAnswer {
    for (const call of this.answer.toolCalls) if (call?.arguments === "") call.arguments = "{}";
    return this.answer;
  }
}
