//! The settings, and what one request overrides by its headers.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};

use super::text::Random;

/// Ten minutes: longer than any clock of a client under test.
const LONGEST_MS: u64 = 600_000;
const MOST_CHUNKS: u32 = 1_000_000;

/// Runs the provider simulator alone.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Requests at once; one more is refused
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub(crate) max: u32,
    /// Time before the headers of an answer, in milliseconds
    #[arg(long, default_value_t = 50,
        value_parser = clap::value_parser!(u64).range(0..=LONGEST_MS))]
    pub(crate) latency_ms: u64,
    /// Time from the headers to the first token, in milliseconds
    #[arg(long, default_value_t = 50,
        value_parser = clap::value_parser!(u64).range(0..=LONGEST_MS))]
    pub(crate) first_token_ms: u64,
    /// Time between two chunks of an answer, in milliseconds
    #[arg(long, default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(0..=LONGEST_MS))]
    pub(crate) chunk_ms: u64,
    /// Chunks of content in an answer
    #[arg(long, default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CHUNKS)))]
    pub(crate) chunks: u32,
    /// How much the times of a request may be longer or shorter, in percent: all of its times by
    /// the same, which is drawn from the seed
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) spread_percent: u32,
    /// The status of a refusal; 429 comes with `Retry-After`
    #[arg(long, default_value = "429", value_parser = ["429", "503"])]
    pub(crate) refuse_with: String,
    /// Seed of the words of the answers, and of the spread
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Name of this simulator, in its answers and its statistics
    #[arg(long, default_value = "simulator")]
    pub(crate) label: String,
}

/// What a request may ask to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Garbage,
    Disconnect,
    Stall,
    Silent,
    NeverEnds,
    Status(StatusCode),
}

/// The settings of one request.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) latency: Duration,
    pub(crate) first_token: Duration,
    pub(crate) chunk: Duration,
    pub(crate) chunks: u32,
    pub(crate) fault: Option<Fault>,
}

impl Plan {
    /// Makes the times longer or shorter, as the spread has it for the request of this number.
    pub(crate) fn spread(self, args: &SimulateArgs, number: u64) -> Self {
        let share = Random::new(args.seed ^ number.rotate_left(32)).next() as f64 / u64::MAX as f64;
        let factor = 1.0 + (2.0 * share - 1.0) * f64::from(args.spread_percent) / 100.0;
        Self {
            latency: self.latency.mul_f64(factor),
            first_token: self.first_token.mul_f64(factor),
            chunk: self.chunk.mul_f64(factor),
            ..self
        }
    }

    /// Reads the overrides of one request.
    ///
    /// # Errors
    /// A sentence that names the header and what it takes.
    pub(crate) fn read(args: &SimulateArgs, headers: &HeaderMap) -> Result<Self, String> {
        let number = |name: &str, most: u64, default: u64| match text(headers, name)? {
            None => Ok(default),
            Some(value) => match value.parse::<u64>() {
                Ok(n) if n <= most => Ok(n),
                _ => Err(format!("{name}: {value:?} is not a whole number from 0 to {most}")),
            },
        };
        let ms = |name, default| number(name, LONGEST_MS, default).map(Duration::from_millis);
        let chunks = number("x-sim-chunks", MOST_CHUNKS.into(), args.chunks.into())?;
        Ok(Self {
            latency: ms("x-sim-latency-ms", args.latency_ms)?,
            first_token: ms("x-sim-first-token-ms", args.first_token_ms)?,
            chunk: ms("x-sim-chunk-ms", args.chunk_ms)?,
            chunks: u32::try_from(chunks).unwrap_or(MOST_CHUNKS),
            fault: text(headers, "x-sim-fault")?.map(Fault::parse).transpose()?,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let read = |v: &'a axum::http::HeaderValue| v.to_str().map_err(|_| format!("{name}: not text"));
    headers.get(name).map(read).transpose()
}

impl Fault {
    fn parse(text: &str) -> Result<Self, String> {
        let status = |s: &str| s.parse().ok().filter(|n| (400..600).contains(n));
        match text {
            "garbage" => Ok(Self::Garbage),
            "disconnect" => Ok(Self::Disconnect),
            "stall" => Ok(Self::Stall),
            "silent" => Ok(Self::Silent),
            "never-ends" => Ok(Self::NeverEnds),
            _ => text
                .strip_prefix("status=")
                .and_then(status)
                .and_then(|n: u16| StatusCode::from_u16(n).ok())
                .map(Self::Status)
                .ok_or_else(|| {
                    format!(
                        "x-sim-fault: {text:?} is none of garbage, disconnect, stall, silent, \
                         never-ends, status=400 to status=599"
                    )
                }),
        }
    }
}
