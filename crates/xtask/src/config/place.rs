//! Where things stand in the configuration file, and how an error there is said.
//!
//! An error shows no line of the file, and no text of it but names of options and words of a fixed
//! list: a key may stand anywhere.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Options that take words of a fixed list, which may be shown.
const OF_WORDS: [&str; 8] =
    ["kind", "balance", "way", "runtime", "scope", "by", "unknown", "without"];

/// The steps to what stands in the file: names, and `[0]` and so on in lists.
type Steps = Vec<String>;

/// A table of the file, and an option there. What is not told in the file has no table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    table: Steps,
    option: Steps,
}

impl Place {
    pub(crate) fn table<const N: usize>(steps: [&str; N]) -> Self {
        Self { table: steps.map(str::to_owned).into(), option: Steps::new() }
    }

    /// Goes on to what a path leads to: `retry.budget`, `endpoints[1].weight`.
    pub(crate) fn option(&self, path: &str) -> Self {
        let path = path.replace('[', ".[");
        path.split('.').fold(self.clone(), |place, step| place.step(step))
    }

    /// Goes on by one name, whatever is in it.
    pub(crate) fn step(&self, name: &str) -> Self {
        let mut place = self.clone();
        place.option.push(name.to_owned());
        place
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        self.step(&format!("[{index}]"))
    }

    /// Makes an error that says what there is and what is taken: "a: max is 0, and takes ...".
    pub(crate) fn option_wrong(self, message: impl Into<String>) -> Wrong {
        Wrong { place: self, message: message.into(), is_sentence: false }
    }

    /// Makes an error of a whole sentence: "a.url: this is no URL".
    pub(crate) fn wrong(self, message: impl Into<String>) -> Wrong {
        Wrong { place: self, message: message.into(), is_sentence: true }
    }

    fn steps(&self) -> Steps {
        self.table.iter().chain(&self.option).cloned().collect()
    }

    /// Returns where the option stands that a provider takes from all.
    fn of_all(&self) -> Option<Steps> {
        let of_provider = self.table.first().is_none_or(|table| table == "providers");
        let all = Self { table: vec!["pool".to_owned()], option: self.option.clone() };
        (of_provider && !self.option.is_empty()).then(|| all.steps())
    }

    /// Names what it is in.
    fn around(&self) -> String {
        let mut steps = self.steps();
        steps.pop();
        if steps.is_empty() { "the file".to_owned() } else { dotted(&steps) }
    }

    /// Takes a table of the file itself as an option of the file.
    fn into_option(self) -> Self {
        if !self.option.is_empty() {
            return self;
        }
        Self { table: Steps::new(), option: self.table }
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    place: Place,
    message: String,
    is_sentence: bool,
}

/// What stands at a place.
struct Spot {
    line: usize,
    /// Where the name and the value stand in the text; a table's value is its header.
    name: Option<Range<usize>>,
    value: Range<usize>,
    /// The value, if it may be shown.
    shown: Option<String>,
}

/// What the file has, and in which lines.
#[derive(Default)]
pub(crate) struct Lines(BTreeMap<Steps, Spot>);

impl Lines {
    /// Reads a file; what is wrong with it is an error that names the line.
    pub(crate) fn of(text: &str) -> anyhow::Result<Self> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error
                .span()
                .map_or_else(String::new, |span| format!("line {}: ", line_of(text, span.start)));
            anyhow::anyhow!("{line}{}", error.message().trim_end())
        })?;
        let mut lines = Self::default();
        lines.add_table(text, &mut Steps::new(), table.get_ref());
        Ok(lines)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add_table(&mut self, text: &str, steps: &mut Steps, table: &DeTable<'_>) {
        for (name, value) in table {
            steps.push(name.get_ref().to_string());
            self.add(text, steps, Some(name.span()), value.span(), value.get_ref());
            steps.pop();
        }
    }

    fn add(
        &mut self,
        text: &str,
        steps: &mut Steps,
        name: Option<Range<usize>>,
        value: Range<usize>,
        what: &DeValue<'_>,
    ) {
        let of_words = steps.last().is_some_and(|name| OF_WORDS.contains(&&name[..]));
        let shown = match what {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                text.get(value.clone()).map(str::to_owned)
            }
            DeValue::String(word) if of_words && is_word(word) => Some(format!("{word:?}")),
            _ => None,
        };
        let spot = Spot { line: line_of(text, value.start), name, value, shown };
        self.0.insert(steps.clone(), spot);
        match what {
            DeValue::Table(table) => self.add_table(text, steps, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    steps.push(format!("[{index}]"));
                    self.add(text, steps, None, item.span(), item.get_ref());
                    steps.pop();
                }
            }
            _ => {}
        }
    }

    /// Finds the innermost place whose name or value an offset of the text is in.
    fn at(&self, offset: usize) -> Place {
        let holds = |spot: &Spot| {
            spot.value.contains(&offset)
                || spot.name.as_ref().is_some_and(|it| it.contains(&offset))
        };
        let found = self.0.iter().filter(|(_, spot)| holds(spot)).map(|(steps, _)| steps);
        let mut table = found.max_by_key(|steps| steps.len()).cloned().unwrap_or_default();
        // Each route is a table of its own.
        let depth = if table.first().is_some_and(|name| name == "routes") { 2 } else { 1 };
        let option = table.split_off(table.len().min(depth));
        Place { table, option }
    }

    /// Says an error of serde in the words that options have.
    pub(crate) fn of_serde(&self, error: &toml::de::Error) -> Wrong {
        let place = error.span().map_or_else(Place::default, |span| self.at(span.start));
        let message = error.message().trim_end();
        match message.rsplit_once(", expected ") {
            Some((said, known)) if said.starts_with("unknown field") => {
                let of = place.around();
                let message = format!("is no option of {of}; there are {}", names(known));
                place.into_option().option_wrong(message)
            }
            Some((said, known)) if said.starts_with("unknown variant") => {
                place.option_wrong(format!("takes one of {}", names(known)))
            }
            Some((said, wanted)) if said.starts_with("invalid") => {
                place.into_option().option_wrong(format!("takes {}", in_words(wanted)))
            }
            _ if message.starts_with("invalid IP address") => {
                place.option_wrong("takes an IP address")
            }
            _ => place.wrong(message),
        }
    }

    /// Returns the line that an error is about, if it is about the file, and what to say.
    pub(crate) fn told(&self, wrong: &Wrong) -> (Option<usize>, String) {
        let Wrong { place, message, is_sentence } = wrong;
        let of_all = || self.0.get(&place.of_all()?);
        let spot = self.0.get(&place.steps()).or_else(of_all);
        let line = spot.or_else(|| self.nearest(place)).map(|spot| spot.line);
        let value = spot.and_then(|spot| spot.shown.as_deref());
        let path = dotted(&place.option);
        let text = match value.filter(|_| message.starts_with("takes ")) {
            _ if *is_sentence => message.clone(),
            Some(value) => format!("{path} is {value}, and {message}"),
            None => format!("{path} {message}"),
        };
        let at = if *is_sentence { dotted(&place.steps()) } else { dotted(&place.table) };
        (line, if at.is_empty() { text } else { format!("{at}: {text}") })
    }

    /// Finds the innermost table around a place.
    fn nearest(&self, place: &Place) -> Option<&Spot> {
        let mut steps = place.steps();
        while steps.pop().is_some() {
            if let Some(spot) = self.0.get(&steps) {
                return Some(spot);
            }
        }
        None
    }
}

/// Lists the names that stand between backticks.
fn names(known: &str) -> String {
    known.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", ")
}

/// Says what serde expects in the words of the file.
fn in_words(wanted: &str) -> &str {
    match wanted {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 on",
        "a string" | "string or table" => "a text",
        "a sequence" => "a list",
        "IP address" => "an IP address",
        wanted if wanted == "a map" || wanted.starts_with("struct") => "a table",
        wanted => wanted,
    }
}

/// Joins steps as the file writes them. A name in quotes may be anything, and is not shown.
fn dotted(steps: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-[]".contains(c);
    let mut path = String::new();
    for step in steps {
        if !path.is_empty() && !step.starts_with('[') {
            path.push('.');
        }
        let shown = !step.is_empty() && step.len() <= 64 && step.chars().all(plain);
        path.push_str(if shown { step } else { "(a name that is not shown)" });
    }
    path
}

/// Tells whether a text is a word as lists have them: keys are longer, or have digits.
pub(crate) fn is_word(text: &str) -> bool {
    let of_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-';
    (1..=24).contains(&text.len()) && text.bytes().all(of_word)
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}
