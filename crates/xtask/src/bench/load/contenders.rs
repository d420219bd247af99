//! Who sends the load, and from where.

use serde::Serialize;

/// Where the senders run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    Node,
    Workerd,
    Native,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Node, Self::Workerd, Self::Native];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Workerd => "workerd",
            Self::Native => "native",
        }
    }

    /// Returns what a heading calls it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Workerd => "workerd",
            Self::Native => "Rust",
        }
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Ours,
    OursLearning,
    Unlimited,
    Ideal,
    TooMany,
    Connections,
}

/// Who sends, and how it is set up.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sender {
    pub(super) id: &'static str,
    pub(super) place: Place,
    pub(super) name: &'static str,
    /// The package that it comes from, if it is not of this project.
    pub(super) package: Option<&'static str>,
    pub(super) settings: &'static str,
    /// The module or the function that sends.
    #[serde(skip)]
    pub(super) sender: &'static str,
    /// How many times the backend's limit it may send at once.
    #[serde(skip)]
    pub(super) times: u32,
    #[serde(skip)]
    pub(super) learn: bool,
    #[serde(skip)]
    pub(super) look: Look,
}

impl Sender {
    pub(super) const fn is_ours(&self) -> bool {
        matches!(self.look, Look::Ours | Look::OursLearning)
    }
}

/// The senders that are of this project: one that is told the limit, and one that is to learn it.
pub(super) const KNOWN: &str = "edgepool";
pub(super) const LEARNT: &str = "edgepool-learning";

const fn sender(id: &'static str, place: Place, look: Look) -> Sender {
    let (name, sender, times, learn) = match look {
        Look::Ours => ("edgepool", "edgepool", 1, false),
        Look::OursLearning => ("edgepool, learning", "edgepool", 4, true),
        Look::Unlimited => ("fetch", "fetch", 1, false),
        Look::Ideal => ("p-limit, N", "p-limit", 1, false),
        Look::TooMany => ("p-limit, 4 N", "p-limit", 4, false),
        Look::Connections => ("undici, N", "undici", 1, false),
    };
    Sender { id, place, name, package: None, settings: "", sender, times, learn, look }
}

/// Everybody, in the order of the tables.
pub(super) fn all() -> Vec<Sender> {
    let mut all = Vec::new();
    for place in Place::ALL {
        all.push(Sender {
            settings: "max: N; maxWaiting: what the backend does in a second; acquireTimeout: 2 s.",
            ..sender(KNOWN, place, Look::Ours)
        });
        all.push(Sender {
            settings: "The same with max: 4 N and adaptiveLimit: {}, which is to find out N.",
            ..sender(LEARNT, place, Look::OursLearning)
        });
        match place {
            Place::Native => all.extend(native()),
            place => all.extend(javascript(place)),
        }
    }
    all
}

fn javascript(place: Place) -> Vec<Sender> {
    let settings = "No limit, as it comes.";
    let mut all = vec![Sender { settings, ..sender("fetch", place, Look::Unlimited) }];
    // In workerd a function that p-limit starts runs in the request that made room for it, which
    // workerd does not allow: a request is no limit of all of them.
    if place == Place::Node {
        all.push(Sender {
            package: Some("p-limit"),
            settings: "The limit that is right, and a queue without a bound.",
            ..sender("p-limit", place, Look::Ideal)
        });
        all.push(Sender {
            package: Some("p-limit"),
            settings: "A limit that is wrong: four times what the backend takes.",
            ..sender("p-limit-4", place, Look::TooMany)
        });
        all.push(Sender {
            package: Some("undici"),
            settings: "A Pool with connections: N under its fetch, and a queue without a bound.",
            ..sender("undici", place, Look::Connections)
        });
    }
    all
}

fn native() -> [Sender; 3] {
    let place = Place::Native;
    [
        Sender {
            name: "hyper",
            sender: "transport",
            settings: "edgepool-http alone, with as many connections as there are requests.",
            ..sender("transport", place, Look::Unlimited)
        },
        Sender {
            name: "semaphore, N",
            sender: "semaphore",
            package: Some("tokio"),
            settings: "The same behind tokio's semaphore, with the limit that is right.",
            ..sender("semaphore", place, Look::Ideal)
        },
        Sender {
            name: "semaphore, 4 N",
            sender: "semaphore",
            package: Some("tokio"),
            settings: "The same, with four times what the backend takes.",
            ..sender("semaphore-4", place, Look::TooMany)
        },
    ]
}
