// The seeded generator of the Rust simulator, SplitMix64, with the same numbers for the same seed.
// In halves of 32 bits: with BigInt a schedule would take longer to draw than to run.

/** Returns the high half of a 32 by 32 bit product. */
function high(a, b) {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = ah * bl + ((al * bl) >>> 16);
  return (ah * bh + Math.floor(middle / 0x10000) + (((middle & 0xffff) + al * bh) / 0x10000)) >>> 0;
}

export class Rng {
  #high;
  #low;
  // The 64 bits drawn last.
  high = 0;
  low = 0;

  /** Makes the generator of a seed: a number up to 2^53, or two halves. */
  constructor(seed, low) {
    this.#high = (low === undefined ? Math.floor(seed / 2 ** 32) : seed) >>> 0;
    this.#low = (low ?? seed) >>> 0;
  }

  /** Draws 64 bits into `high` and `low`. */
  next() {
    const low = this.#low + 0x7f4a7c15;
    this.#high = (this.#high + 0x9e3779b9 + (low > 0xffffffff ? 1 : 0)) >>> 0;
    this.#low = low >>> 0;
    this.high = this.#high;
    this.low = this.#low;
    this.#mix(30, 0xbf58476d, 0x1ce4e5b9);
    this.#mix(27, 0x94d049bb, 0x133111eb);
    this.#fold(31);
  }

  #mix(shift, factorHigh, factorLow) {
    this.#fold(shift);
    const { high: h, low: l } = this;
    this.high = (high(l, factorLow) + Math.imul(h, factorLow) + Math.imul(l, factorHigh)) >>> 0;
    this.low = Math.imul(l, factorLow) >>> 0;
  }

  #fold(shift) {
    const low = (this.low >>> shift) | (this.high << (32 - shift));
    this.high = (this.high ^ (this.high >>> shift)) >>> 0;
    this.low = (this.low ^ low) >>> 0;
  }

  /** Draws a whole number below `bound`. */
  below(bound) {
    if (!(bound > 0)) throw new RangeError(`below(${bound}): there is nothing to choose from`);
    this.next();
    if (bound > 0xffffffff) {
      const drawn = (BigInt(this.high) << 32n) | BigInt(this.low);
      return Number((drawn * BigInt(bound)) >> 64n);
    }
    // The high word of a product maps 64 random bits onto the range without a division.
    const carry = high(this.low, bound) + (Math.imul(this.high, bound) >>> 0);
    return high(this.high, bound) + (carry > 0xffffffff ? 1 : 0);
  }

  /** Draws a whole number between two, both included. */
  within(least, most) {
    return least + this.below(most - least + 1);
  }

  /** Is true in so many of 1,000 cases. */
  chance(perMille) {
    return this.below(1000) < perMille;
  }

  /** Draws one of a list. */
  pick(list) {
    return list[this.below(list.length)];
  }

  /** Draws a duration between two, in ms with whole nanoseconds. */
  ms(least, most) {
    const [low, high] = [Math.round(least * 1e6), Math.round(most * 1e6)];
    return this.within(low, high) / 1e6;
  }

  /** Splits off a generator that does not depend on how many more are drawn from this one. */
  fork() {
    this.next();
    return new Rng(this.high, this.low);
  }
}
