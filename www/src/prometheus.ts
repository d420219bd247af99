/** The labels of a sample, in the order in which they are written. */
export type Labels = Record<string, string>;

/** One sample of a family; a histogram's have a suffix. */
export type Sample = [labels: Labels, value: number, suffix?: string];

/** Writes one family in Prometheus' text format; without any sample it is left out. */
export function family(name: string, type: string, help: string, samples: Sample[]): string[] {
  if (samples.length === 0) return [];
  const lines = samples.map(([labels, value, suffix = ""]) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
    const shown = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
    return `${name}${suffix}${shown} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}

/**
 * Makes the samples of one histogram from counts in ascending buckets, each with its upper bound in
 * seconds; the last one's is infinite.
 */
export function buckets(
  labels: Labels, counts: [le: number, count: number][], sum: number,
): Sample[] {
  let below = 0;
  const samples = counts.map(([bound, count]): Sample => {
    below += count;
    return [{ ...labels, le: bound === Infinity ? "+Inf" : String(bound) }, below, "_bucket"];
  });
  return [...samples, [labels, sum, "_sum"], [labels, below, "_count"]];
}

function escape(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
