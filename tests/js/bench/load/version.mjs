// Prints the version of a runtime:   version.mjs NAME

import { versionOf } from "../runtimes.mjs";

console.log(await versionOf(process.argv[2]));
