import { Sema } from "async-sema";

export class Contender {
  constructor(max, capacity) {
    this.sema = new Sema(max, { capacity });
  }

  acquire() {
    return this.sema.acquire();
  }

  tryAcquire() {
    return this.sema.tryAcquire();
  }

  release(token) {
    this.sema.release(token);
  }

  close() {}
}
