// A table of cases by configurations, as text.

/** Cells by the name of a case and the label of a configuration. */
export class Table {
  #configurations;
  #rows = new Map();

  constructor(configurations) {
    this.#configurations = configurations;
  }

  put(name, label, cell) {
    if (!this.#rows.has(name)) this.#rows.set(name, new Map());
    this.#rows.get(name).set(label, cell);
  }

  /** Prints a line for each case; what took a time passed, and the time is in ms. */
  print(say) {
    if (this.#rows.size === 0) return;
    const names = [...this.#rows.keys()];
    const width = Math.max(...names.map((name) => name.length));
    const cells = (values) => values.map((value) => value.padStart(6)).join("");
    const head = (key) =>
      say(`${"".padEnd(width)}${cells(this.#configurations.map(key))}`);
    say("");
    say("Cases by configuration: the ms that a case took if it passed, else FAIL; - is not run.");
    head(({ date }) => date.slice(2, 7));
    head(({ doorbell }) => (doorbell ? "bell" : "poll"));
    head(({ signal }) => (signal ? "sig" : "-"));
    for (const [name, row] of this.#rows) {
      const values = this.#configurations.map(({ label }) => row.get(label) ?? "-");
      say(`${name.padEnd(width)}${cells(values)}`);
    }
  }
}
