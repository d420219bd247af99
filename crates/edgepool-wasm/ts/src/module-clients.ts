import module from "./clients.wasm";
import { provideProtocol } from "./protocol.js";

provideProtocol(() => module);
