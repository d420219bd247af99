import { provideCore } from "./core.js";
import { instantiate } from "./instantiate.js";
import { wasmBase64 } from "./wasm-base64.js";

interface Decoders {
  Buffer?: { from(text: string, encoding: "base64"): Uint8Array<ArrayBuffer> };
}

function decode(text: string): Uint8Array<ArrayBuffer> {
  const native = Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  if (native.fromBase64 !== undefined) return native.fromBase64(text);
  const { Buffer } = globalThis as Decoders;
  if (Buffer !== undefined) return Buffer.from(text, "base64");
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

provideCore(() => instantiate(() => decode(wasmBase64)));
