// Makes the files of Chromium's pictures smaller; their pixels stay as they are.

import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
/** By the number that PNG has for each kind of colour, at 8 bits for each of its bytes. */
const BYTES_PER_PIXEL = { 2: 3, 6: 4 };

function* chunks(file) {
  for (let at = SIGNATURE.length; at < file.length;) {
    const end = at + 8 + file.readUInt32BE(at);
    yield { type: file.toString("latin1", at + 4, at + 8), data: file.subarray(at + 8, end) };
    at = end + 4;
  }
}

function chunk({ type, data }) {
  const name = Buffer.from(type, "latin1");
  const bytes = Buffer.concat([Buffer.alloc(4), name, data, Buffer.alloc(4)]);
  bytes.writeUInt32BE(data.length, 0);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4);
  return bytes;
}

/** What PNG's filters foretell of a byte by those at its left, above it and left above. */
const FORETOLD = [
  () => 0,
  (left) => left,
  (_, up) => up,
  (left, up) => (left + up) >> 1,
  (left, up, corner) => {
    const guess = left + up - corner;
    const [a, b, c] = [left, up, corner].map((byte) => Math.abs(guess - byte));
    if (a <= b && a <= c) return left;
    return b <= c ? up : corner;
  },
];

/** Takes the filter of each row away: each then has the filter 0, which leaves bytes alone. */
function unfilter(rows, stride, step) {
  const plain = Buffer.alloc(rows.length);
  for (let row = 0; row < rows.length; row += stride) {
    const foretell = FORETOLD[rows[row]];
    for (let at = row + 1; at < row + stride; at += 1) {
      const left = at - step > row ? plain[at - step] : 0;
      const up = row > 0 ? plain[at - stride] : 0;
      const corner = row > 0 && at - step > row ? plain[at - stride - step] : 0;
      plain[at] = rows[at] + foretell(left, up, corner);
    }
  }
  return plain;
}

/**
 * Packs a picture anew. A page is of few colours in long runs, and repeats its letters, which
 * DEFLATE finds better in the bytes as they are than in what filters make of them.
 */
export function packed(file) {
  const all = [...chunks(file)];
  const head = all.find(({ type }) => type === "IHDR").data;
  const [bits, colour, , , interlaced] = head.subarray(8);
  const step = BYTES_PER_PIXEL[colour];
  if (bits !== 8 || step === undefined || interlaced) throw new Error("no picture of Chromium's");
  const data = all.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const stride = 1 + step * head.readUInt32BE(0);
  const plain = unfilter(inflateSync(Buffer.concat(data)), stride, step);
  const body = { type: "IDAT", data: deflateSync(plain, { level: 9 }) };
  const parts = [{ type: "IHDR", data: head }, body, { type: "IEND", data: Buffer.alloc(0) }];
  return Buffer.concat([SIGNATURE, ...parts.map(chunk)]);
}
