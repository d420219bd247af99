// What one would write by hand who needs no more than this: no checks, no timeouts, no errors.

export class Contender {
  constructor(max) {
    this.free = Array.from({ length: max }, () => ({}));
    this.ring = new Array(16).fill(undefined);
    this.head = 0;
    this.tail = 0;
  }

  acquire() {
    if (this.free.length > 0) return Promise.resolve(this.free.pop());
    return new Promise((resolve) => {
      if (this.tail - this.head === this.ring.length) this.grow();
      this.ring[this.tail & (this.ring.length - 1)] = resolve;
      this.tail += 1;
    });
  }

  tryAcquire() {
    return this.free.pop();
  }

  release(resource) {
    if (this.head === this.tail) {
      this.free.push(resource);
      return;
    }
    const at = this.head & (this.ring.length - 1);
    const resolve = this.ring[at];
    this.ring[at] = undefined;
    this.head += 1;
    resolve(resource);
  }

  grow() {
    const { ring, head } = this;
    const { length } = ring;
    const next = new Array(2 * length).fill(undefined);
    for (let i = 0; i < length; i += 1) next[i] = ring[(head + i) & (length - 1)];
    this.ring = next;
    this.head = 0;
    this.tail = length;
  }

  close() {}
}
