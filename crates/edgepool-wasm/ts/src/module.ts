import { Home, provideCore } from "./core.js";
import module from "./edgepool.wasm";
import { instantiate } from "./instantiate.js";

provideCore(new Home(() => instantiate(module)));
