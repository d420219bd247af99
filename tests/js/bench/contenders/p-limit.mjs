import pLimit from "p-limit";

export class Contender {
  constructor(max) {
    this.limit = pLimit(max);
  }

  run(work) {
    return this.limit(work);
  }

  close() {}
}
