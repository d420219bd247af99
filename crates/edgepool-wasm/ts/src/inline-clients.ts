import { clientsBase64 } from "./clients-base64.js";
import { decode } from "./decode.js";
import { provideProtocol } from "./protocol.js";

provideProtocol(() => decode(clientsBase64));
