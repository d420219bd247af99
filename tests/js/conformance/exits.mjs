// A script with an idle pool, whose timers were used: it must end by itself.
import { Pool } from "edgepool";

const pool = new Pool({ create: () => ({}), max: 1 });
const held = await pool.acquire();
const waiting = pool.acquire();
setTimeout(() => held.release(), 10);
(await waiting).release();
console.log("idle");
