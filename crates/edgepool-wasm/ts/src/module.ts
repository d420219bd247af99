import { provideCore } from "./core.js";
import { instantiate } from "./instantiate.js";
import module from "./edgepool.wasm";

provideCore(() => instantiate(() => module));
