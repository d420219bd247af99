import PQueue from "p-queue";

/** A queue for each tenant, which has its part of the connections to itself, by its weight. */
export class Sharing {
  constructor(size, weights) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const part = (weight) => Math.floor((size * weight) / total);
    this.queues = weights.map((weight) => new PQueue({ concurrency: part(weight) }));
  }

  hold(tenant, work) {
    return this.queues[tenant].add(work);
  }
}
