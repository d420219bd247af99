use std::collections::VecDeque;
use std::time::Duration;

use crate::answer::{self, Embeddings, Gather, Received};
use crate::bucket::Need;
use crate::chat::{Answer, StreamEvent, Usage};
use crate::failure::{Class, Failure, MAX_ERROR_BODY};
use crate::provider::Provider;
use crate::secret::Secret;
use crate::stream::{Decoder, MAX_EVENT, Progress};
use crate::transport::HttpResponse;
use crate::watch::BodyWatch;

/// What is made of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Chat,
    Stream,
    Embeddings {
        count: usize,
        dimensions: Option<usize>,
    },
    Models,
    /// Passed on as it is.
    Http,
}

impl Kind {
    /// Tells whether the answer is handed out in pieces.
    pub(super) const fn is_in_pieces(self) -> bool {
        matches!(self, Self::Stream | Self::Http)
    }
}

/// What a whole answer says.
#[derive(Debug)]
pub(super) enum Output {
    Answer(Answer),
    Embeddings(Embeddings),
    Models(Vec<String>),
    /// It was handed out in pieces.
    Pieces,
}

/// A piece of an answer, on its way to the caller.
#[derive(Debug)]
pub(super) enum Piece<B> {
    Event(StreamEvent),
    Bytes(B),
}

/// Status and headers of the answer that is handed out.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

/// Reads the body of one attempt.
#[derive(Debug)]
pub(super) struct Reader<B> {
    head: Head,
    wall: Duration,
    keys: Vec<Secret>,
    kind: Kind,
    how: How,
    /// What came, until it is clear that this attempt is the one that counts.
    pieces: VecDeque<Piece<B>>,
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
#[derive(Debug)]
pub(super) enum Reading {
    /// More is to come, of which nothing is for the caller.
    Nothing,
    /// More is to come; what came is content, or a ping.
    On {
        content: bool,
    },
    /// Answered, with what was used.
    Done(Output, Need),
    Failed(Failure),
}

impl<B: AsRef<[u8]>> Reader<B> {
    /// Begins with the headers.
    pub(super) fn new<Body>(
        provider: &Provider,
        kind: Kind,
        response: HttpResponse<Body>,
        wall: Duration,
    ) -> Result<(Self, Body), Failure> {
        let keys: Vec<_> = provider.secrets().cloned().collect();
        let dialect = provider.flavour.dialect;
        let status = response.status;
        let is_error = match kind {
            Kind::Http => status >= 400,
            _ => !(200..300).contains(&status),
        };
        let headers = response.headers();
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
        let HttpResponse { status, headers, body } = response;
        let head = Head { status, headers };
        let pieces = VecDeque::new();
        Ok((Self { head, wall, keys, kind, how, pieces, usage: None }, body))
    }

    /// Takes a piece of the body.
    pub(super) fn push(&mut self, chunk: B, provider: &Provider) -> Reading {
        let bytes = chunk.as_ref();
        if bytes.is_empty() {
            return Reading::Nothing;
        }
        match &mut self.how {
            How::Error(kept) => {
                let room = MAX_ERROR_BODY - kept.len();
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
                match kept.len() < MAX_ERROR_BODY {
                    true => Reading::Nothing,
                    false => self.end(provider),
                }
            }
            How::Whole(gather) => match gather.push(bytes) {
                Ok(()) => Reading::On { content: true },
                Err(failure) => Reading::Failed(failure),
            },
            How::Events(decoder) => {
                let progress = decoder.push(bytes);
                self.take_events(progress)
            }
            How::Passed(watch) => {
                let progress = watch.push(bytes);
                self.pieces.push_back(Piece::Bytes(chunk));
                match progress.over {
                    true => self.end(provider),
                    false => Reading::On { content: progress.content },
                }
            }
        }
    }

    /// Takes the end of the body.
    pub(super) fn end(&mut self, provider: &Provider) -> Reading {
        match &mut self.how {
            How::Error(body) => {
                let Head { status, headers } = &self.head;
                let headers = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                let (wall, keys) = (self.wall, &self.keys);
                Reading::Failed(Failure::of_answer(*status, &headers, body, wall, keys))
            }
            How::Whole(_) => match self.read_whole(provider) {
                Ok((output, usage)) => Reading::Done(output, need(usage)),
                Err(failure) => Reading::Failed(failure),
            },
            How::Events(decoder) => {
                let progress = decoder.end();
                self.take_events(progress)
            }
            How::Passed(watch) => match watch.end() {
                Ok(()) => Reading::Done(Output::Pieces, need(watch.usage())),
                Err(failure) => Reading::Failed(failure),
            },
        }
    }

    /// Moves what came to where the caller finds it.
    pub(super) fn hand_out(&mut self, head: &mut Option<Head>, pieces: &mut VecDeque<Piece<B>>) {
        if head.is_none() {
            *head = Some(std::mem::take(&mut self.head));
        }
        pieces.append(&mut self.pieces);
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
                    self.pieces.push_back(Piece::Event(event));
                }
                Err(failure) => return Reading::Failed(failure),
            }
        }
        match progress.over {
            true => Reading::Done(Output::Pieces, need(self.usage)),
            false => Reading::On { content: progress.content },
        }
    }

    fn read_whole(&self, provider: &Provider) -> Result<(Output, Option<Usage>), Failure> {
        let How::Whole(gather) = &self.how else {
            return Err(Failure::new(Class::Malformed, "the answer is not whole"));
        };
        let Head { status, headers } = &self.head;
        let headers = headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let (wall, keys) = (self.wall, &self.keys[..]);
        let received =
            Received { status: *status, headers: &headers, body: gather.bytes(), wall, keys };
        let dialect = provider.flavour.dialect;
        Ok(match self.kind {
            Kind::Embeddings { count, dimensions } => {
                let read = answer::embeddings(dialect, &received, count, dimensions)?;
                let usage = read.usage;
                (Output::Embeddings(read), usage)
            }
            Kind::Models => (Output::Models(answer::models(dialect, &received)?), None),
            Kind::Chat | Kind::Stream | Kind::Http => {
                let read = answer::chat(dialect, &received)?;
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
