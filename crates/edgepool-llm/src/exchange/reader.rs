use std::collections::VecDeque;
use std::time::Duration;

use crate::RateLimits;
use crate::answer::{self, Embeddings, Gather, Received};
use crate::bucket::Need;
use crate::chat::{Answer, StreamEvent, Usage};
use crate::dialect::{Dialect, Flavour};
use crate::failure::{Class, Failure, MAX_ERROR_BODY};
use crate::headers::Headers;
use crate::provider::Provider;
use crate::secret::Secret;
use crate::stream::{Decoder, MAX_EVENT, Progress};
use crate::watch::BodyWatch;

/// What is made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole answer of a model.
    Chat,
    /// An answer of a model in pieces.
    Stream,
    /// Embeddings.
    Embeddings {
        /// Of how many texts.
        count: usize,
        /// How long they must be.
        dimensions: Option<usize>,
    },
    /// The list of models.
    Models,
    /// Nothing: it is passed on as it is.
    Http,
}

impl Kind {
    /// Tells whether the answer is handed out in pieces.
    #[must_use]
    pub const fn is_in_pieces(self) -> bool {
        matches!(self, Self::Stream | Self::Http)
    }
}

/// What a whole answer says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// That of a model.
    Answer(Answer),
    /// Embeddings.
    Embeddings(Embeddings),
    /// The names of models.
    Models(Vec<String>),
    /// It was handed out in pieces.
    Pieces,
}

/// Status and headers of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The headers, as they came.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The headers by which providers name a request; the first that is there counts.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "request-id", "apim-request-id"];

/// The longest name of a request that is kept, in bytes.
const MAX_REQUEST_ID: usize = 128;

impl Head {
    /// Returns the headers for those who read them.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
    }

    /// Reads what the provider tells of its limits; `wall` is the time since 1970.
    #[must_use]
    pub fn limits(&self, flavour: &Flavour, wall: Duration) -> RateLimits {
        RateLimits::read(flavour.limits, &self.headers(), wall)
    }

    /// Returns the provider's own name for the request, by which it can be asked about it.
    #[must_use]
    pub fn request_id(&self) -> Option<String> {
        let headers = self.headers();
        let id = REQUEST_IDS.iter().find_map(|name| headers.text(name))?;
        (!id.is_empty() && id.len() <= MAX_REQUEST_ID).then(|| id.to_owned())
    }
}

/// Reads the body of one attempt.
#[derive(Debug)]
pub struct Reader {
    head: Head,
    wall: Duration,
    dialect: Dialect,
    keys: Vec<Secret>,
    kind: Kind,
    how: How,
    events: VecDeque<StreamEvent>,
    usage: Option<Usage>,
}

#[derive(Debug)]
enum How {
    /// An error, of which only the beginning matters.
    Error(Vec<u8>),
    Whole(Gather),
    Events(Decoder),
    Passed(BodyWatch),
}

/// What the body has come to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// More is to come, of which nothing is for the caller.
    Nothing,
    /// More is to come.
    On {
        /// Whether what came is content, and not a ping.
        content: bool,
    },
    /// More is to come of an answer that nobody sees before its end.
    Bytes,
    /// Answered, with what was used.
    Done(Output, Need),
    /// It is an error, or no answer of its kind.
    Failed(Failure),
}

impl Reader {
    /// Begins with the head of the answer. `wall` is the time since 1970.
    ///
    /// # Errors
    ///
    /// When the head says already that it is no answer of that kind, or a larger one than is read.
    pub fn new(
        provider: &Provider,
        kind: Kind,
        head: Head,
        wall: Duration,
    ) -> Result<Self, Failure> {
        let keys: Vec<_> = provider.secrets().cloned().collect();
        let dialect = provider.flavour.dialect;
        let is_error = match kind {
            Kind::Http => head.status >= 400,
            _ => !(200..300).contains(&head.status),
        };
        let headers = head.headers();
        let how = match kind {
            _ if is_error => How::Error(Vec::new()),
            Kind::Stream => How::Events(Decoder::new(dialect, &headers, MAX_EVENT, keys.clone())?),
            Kind::Http => How::Passed(BodyWatch::new(dialect, &headers, keys.clone())),
            Kind::Chat | Kind::Embeddings { .. } | Kind::Models => {
                let gather = Gather::default();
                gather.expect(&headers)?;
                How::Whole(gather)
            }
        };
        drop(headers);
        Ok(Self { head, wall, dialect, keys, kind, how, events: VecDeque::new(), usage: None })
    }

    /// Returns the head of the answer.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Tells whether the bytes of the body are for the caller as they are; not those of an error.
    #[must_use]
    pub const fn passes_bytes(&self) -> bool {
        matches!(self.how, How::Passed(_))
    }

    /// Takes a piece of the body.
    pub fn push(&mut self, bytes: &[u8]) -> Reading {
        if bytes.is_empty() {
            return Reading::Nothing;
        }
        match &mut self.how {
            How::Error(kept) => {
                let room = MAX_ERROR_BODY - kept.len();
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if kept.len() < MAX_ERROR_BODY { Reading::Nothing } else { self.end() }
            }
            How::Whole(gather) => match gather.push(bytes) {
                Ok(()) => Reading::Bytes,
                Err(failure) => Reading::Failed(failure),
            },
            How::Events(decoder) => {
                let progress = decoder.push(bytes);
                self.take_events(progress)
            }
            How::Passed(watch) => {
                let progress = watch.push(bytes);
                let content = progress.content;
                if progress.over { self.end() } else { Reading::On { content } }
            }
        }
    }

    /// Takes the end of the body.
    pub fn end(&mut self) -> Reading {
        match &mut self.how {
            How::Error(body) => {
                let (head, wall, keys) = (&self.head, self.wall, &self.keys);
                let failure = Failure::of_answer(head.status, &head.headers(), body, wall, keys);
                Reading::Failed(failure)
            }
            How::Whole(_) => match self.read_whole() {
                Ok((output, usage)) => {
                    self.usage = usage;
                    Reading::Done(output, need(usage))
                }
                Err(failure) => Reading::Failed(failure),
            },
            How::Events(decoder) => {
                let progress = decoder.end();
                self.take_events(progress)
            }
            How::Passed(watch) => match watch.end() {
                Ok(()) => {
                    self.usage = watch.usage();
                    Reading::Done(Output::Pieces, need(self.usage))
                }
                Err(failure) => Reading::Failed(failure),
            },
        }
    }

    /// Takes the next event of a [`Kind::Stream`].
    pub fn next_event(&mut self) -> Option<StreamEvent> {
        self.events.pop_front()
    }

    /// Returns what the call has used, as far as the answer has told.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn take_events(&mut self, progress: Progress) -> Reading {
        let How::Events(decoder) = &mut self.how else {
            return Reading::On { content: progress.content };
        };
        while let Some(event) = decoder.poll() {
            match event {
                Ok(event) => {
                    if let StreamEvent::Usage(usage) = &event {
                        self.usage = Some(*usage);
                    }
                    self.events.push_back(event);
                }
                Err(failure) => return Reading::Failed(failure),
            }
        }
        match progress.over {
            true => Reading::Done(Output::Pieces, need(self.usage)),
            false => Reading::On { content: progress.content },
        }
    }

    fn read_whole(&self) -> Result<(Output, Option<Usage>), Failure> {
        let How::Whole(gather) = &self.how else {
            return Err(Failure::new(Class::Malformed, "the answer is not whole"));
        };
        let (status, headers, body) = (self.head.status, self.head.headers(), gather.bytes());
        let (wall, keys) = (self.wall, &self.keys[..]);
        let received = Received { status, headers: &headers, body, wall, keys };
        Ok(match self.kind {
            Kind::Embeddings { count, dimensions } => {
                let read = answer::embeddings(self.dialect, &received, count, dimensions)?;
                let usage = read.usage;
                (Output::Embeddings(read), usage)
            }
            Kind::Models => (Output::Models(answer::models(self.dialect, &received)?), None),
            Kind::Chat | Kind::Stream | Kind::Http => {
                let read = answer::chat(self.dialect, &received)?;
                let usage = read.usage;
                (Output::Answer(read), usage)
            }
        })
    }
}

fn need(usage: Option<Usage>) -> Need {
    let usage = usage.unwrap_or_default();
    Need { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
}
