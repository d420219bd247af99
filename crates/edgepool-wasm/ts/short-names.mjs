// Finds the members that nobody but the package itself names. They get short names in what is
// published: a bundler cannot give them such, as it does not know whose they are.

const WORD = /[A-Za-z_$][\w$]*/g;
const MODIFIERS = "(?:(?:private|protected|readonly|static|async|override|get|set) )*";
const MEMBER = new RegExp(`^  ${MODIFIERS}([A-Za-z_]\\w*)[?!]?(?: =|[(:;<])`);
const PARAMETER = /\bprivate readonly (\w+):/g;

/**
 * Gives short names for the members of classes and exported interfaces in `sources` that are in no
 * text of `outside`: the types that are published, those of the runtimes, what the module exports.
 * Nor do they stand in a string of the sources, by which they could be asked for, or in an
 * interface that is not exported, which is how the sources describe what is not theirs. The sources
 * come in groups, the one that is to be smallest first. Members of the classes in `published` have
 * a mark, which keeps them apart from those that a user's subclass has.
 */
export function shortNames(sources, outside, published) {
  const declared = new Set();
  const marked = new Set();
  const others = outside.flatMap((text) => words(withoutParameters(text)));
  const taken = new Set(["constructor", ...others]);
  const groups = sources.map((group) => group.map(withoutComments));
  for (const text of groups.flat()) {
    for (const [, name] of text.matchAll(/["'`]([A-Za-z_]\w*)["'`]/g)) taken.add(name);
    for (const { kind, called, lines } of blocks(text)) {
      const members = lines.flatMap((line) => MEMBER.exec(line)?.[1] ?? []);
      const parameters = lines.flatMap((line) => [...line.matchAll(PARAMETER)]);
      const names = [...members, ...parameters.map(([, name]) => name)];
      for (const name of names) (kind === "interface" ? taken : declared).add(name);
      if (published.has(called)) for (const name of names) marked.add(name);
    }
  }
  const used = groups.map((texts) => texts.flatMap(words));
  const names = [...declared].filter((name) => !taken.has(name));
  const [ours, theirs] = [false, true].map((isMarked) =>
    names.filter((name) => marked.has(name) === isMarked));
  return { ...shorten(ours, used, ""), ...shorten(theirs, used, "$") };
}

/** Gives each name a short one, the shortest to those that the first of `groups` use most. */
function shorten(names, groups, mark) {
  const counts = groups.map((used) => countsOf(names, used));
  const free = shortWords(mark, new Set(groups.flat()));
  const order = (a, b) => {
    // What those who come later name does not change what those before them have.
    const first = counts.find((count) => count.get(a) > 0 || count.get(b) > 0);
    const more = first === undefined ? 0 : first.get(b) - first.get(a);
    return more === 0 ? (a < b ? -1 : 1) : more;
  };
  const ordered = names.sort(order);
  return Object.fromEntries(ordered.map((name) => [name, free.next().value]));
}

function countsOf(names, used) {
  const counts = new Map(names.map((name) => [name, 0]));
  for (const word of used) if (counts.has(word)) counts.set(word, counts.get(word) + 1);
  return counts;
}

/** Counts in letters after a mark, past the words that are used already. */
function* shortWords(mark, used) {
  // What code is made of most comes first: a letter that is often there takes few bits.
  const letters = [..."etisrnaolhcdpumfgbkywvxqjz"];
  for (let words = letters; ; words = words.flatMap((word) => letters.map((one) => word + one))) {
    for (const word of words) if (!used.has(mark + word)) yield mark + word;
  }
}

/** Gives the lines of each class and interface at the top level. */
function blocks(source) {
  const found = source.matchAll(/^(export interface|interface|(?:export )?class) (\w+)[^]*?^}/gm);
  return [...found].map(([text, kind, called]) => ({ kind, called, lines: text.split("\n") }));
}

/** Gives the names that an entry exports. */
export function publishedNames(entry) {
  return exportsOf(entry).flatMap(([, names]) => words(names));
}

/** Gives the declarations of what an entry exports, but for what they only say is private. */
export function publishedTypes(entry, typesOf) {
  return exportsOf(entry).flatMap(([, names, module]) => {
    const types = typesOf(module).replace(/^\s*private .*$/gm, "");
    return words(names).map((name) => declaration(types, name));
  });
}

function exportsOf(entry) {
  return [...entry.matchAll(/^export (?:type )?\{([^}]*)\} from "\.\/(.+)\.js"/gm)];
}

/** Gives all that is declared under one name, as a class and an interface may be. */
function declaration(types, name) {
  const isIt = new RegExp(`^export (?:declare )?(?:class|interface|type) ${name}\\b`);
  const all = types.split(/^(?=export )/m).filter((text) => isIt.test(text));
  if (all.length === 0) throw new Error(`short names: there is no type of ${name}`);
  return all.join("");
}

function words(text) {
  return text.match(WORD) ?? [];
}

/** Leaves out what only the declared functions themselves name. */
function withoutParameters(text) {
  return withoutComments(text).replace(/\((?:[^(){}]|\([^(){}]*\))*\)/g, "()");
}

function withoutComments(text) {
  return text.replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}
