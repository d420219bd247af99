/** Who said something. */
export type Role = "system" | "user" | "assistant" | "tool";

/** A part of a message; a `raw` one is in the provider's own words, and sent as it is. */
export type MessagePart =
  | { type: "text"; text: string }
  /** An image, by a URL that may be a `data:` one. */
  | { type: "image"; url: string }
  | { type: "image"; mediaType: string; base64: string }
  | { type: "raw"; value: unknown };

/** A call of a tool that a model asks for. */
export interface ToolCall {
  /** What the answer to it names. */
  id: string;
  /** The tool. */
  name: string;
  /** What it is called with, JSON as text. */
  arguments: string;
}

/** Something that was said. */
export interface Message {
  /** Who said it. */
  role: Role;
  /** What was said. */
  content?: string | readonly (string | MessagePart)[] | undefined;
  /** The tools that the model called with it. */
  toolCalls?: readonly ToolCall[] | undefined;
  /** Which call it answers, of the role `tool`. */
  toolCallId?: string | undefined;
}

/** A tool that a model may call. */
export interface Tool {
  /** Its name. */
  name: string;
  /** What it is for. */
  description?: string | undefined;
  /** The JSON schema of what it takes. */
  parameters?: unknown;
}

/** How an answer is made. What a provider has no word for is an error, and not left out. */
export interface ChatParameters {
  /** The most tokens of the answer. */
  maxTokens?: number | undefined;
  /** How much chance there is. */
  temperature?: number | undefined;
  /** How much of the likeliest tokens' probability is drawn from. */
  topP?: number | undefined;
  /** How many of the likeliest tokens are drawn from. */
  topK?: number | undefined;
  /** Texts at which the answer ends. */
  stop?: string | readonly string[] | undefined;
  /** What chance is drawn from. */
  seed?: number | undefined;
  /** How much a token is held against itself by how often it came. */
  frequencyPenalty?: number | undefined;
  /** How much a token is held against itself for having come. */
  presencePenalty?: number | undefined;
}

/** Names the tool that a model must call. */
export interface ToolName {
  /** The tool's name. */
  name: string;
}

/** What is asked of a model. */
export interface ChatRequest {
  /** The model, unless it is the provider's own. */
  model?: string | undefined;
  /** What the model is to keep to. */
  system?: string | undefined;
  /** What was said so far, the latest last. */
  messages: readonly Message[];
  /** The tools that the model may call. */
  tools?: readonly Tool[] | undefined;
  /** Whether it must call one, or which. */
  toolChoice?: "auto" | "none" | "required" | ToolName | undefined;
  /** How the answer is made; what is said here comes before the provider's own. */
  parameters?: ChatParameters | undefined;
  /** Fields of the provider's own API, sent as they are. */
  extra?: Record<string, unknown> | undefined;
}

/** What of embeddings can be said beside the texts. */
export interface EmbedParameters {
  /** The model, unless it is the provider's own. */
  model?: string | undefined;
  /** How long the embeddings are to be. */
  dimensions?: number | undefined;
  /** Fields of the provider's own API, sent as they are. */
  extra?: Record<string, unknown> | undefined;
}
