// Makes the project that load is sent from:   prepare.mjs FOLDER

import { makeProject } from "../project.mjs";

makeProject(process.argv[2]);
