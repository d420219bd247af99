import { compiling } from "./compile.js";
import { Home, provideCore } from "./core.js";
import { decode } from "./decode.js";
import { wasmBase64 } from "./wasm-base64.js";

provideCore(new Home(compiling(() => decode(wasmBase64))));
