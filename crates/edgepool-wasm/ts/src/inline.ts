import { provideCore } from "./core.js";
import { decode } from "./decode.js";
import { instantiate } from "./instantiate.js";
import { wasmBase64 } from "./wasm-base64.js";

provideCore(() => instantiate(() => decode(wasmBase64)));
