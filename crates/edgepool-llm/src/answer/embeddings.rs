use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Received, usage};
use crate::chat::Usage;
use crate::dialect::Dialect;
use crate::failure::Failure;

/// Embeddings, in the order of the texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// A vector a text, all of the same length.
    pub vectors: Vec<Vec<f32>>,
    /// What they used.
    pub usage: Option<Usage>,
}

impl Embeddings {
    /// Adds those of the next batch.
    ///
    /// # Errors
    ///
    /// When they are of another length.
    pub fn append(&mut self, batch: Self) -> Result<(), Failure> {
        let lengths = [&self.vectors, &batch.vectors].map(|of| of.first().map(Vec::len));
        if let [Some(here), Some(there)] = lengths
            && here != there
        {
            return Err(of_lengths(here, there));
        }
        self.vectors.extend(batch.vectors);
        self.usage = match (self.usage, batch.usage) {
            (Some(one), Some(two)) => Some(Usage {
                input_tokens: one.input_tokens.saturating_add(two.input_tokens),
                ..one
            }),
            (one, two) => one.or(two),
        };
        Ok(())
    }
}

/// Reads the embeddings of `count` texts, whether they came as base64 or as numbers. With
/// `dimensions` those of another length are an error.
///
/// # Errors
///
/// The failure that a status of no success stands for; or that the body is not what the dialect
/// says: one is missing or there twice, has no finite numbers, or is longer than another.
pub fn embeddings(
    dialect: Dialect,
    received: &Received<'_>,
    count: usize,
    dimensions: Option<usize>,
) -> Result<Embeddings, Failure> {
    let value = received.json()?;
    let read = match dialect {
        Dialect::Ollama => ollama(&value, count),
        _ => openai(&value, count),
    };
    let vectors = read.and_then(|vectors| check(vectors, dimensions));
    let vectors =
        vectors.map_err(|failure| Failure { status: Some(received.status), ..failure })?;
    let usage = match dialect {
        Dialect::Ollama => usage(Dialect::Ollama, &value),
        _ => usage(Dialect::OpenAi, &value),
    };
    Ok(Embeddings { vectors, usage })
}

fn openai(value: &Value, count: usize) -> Result<Vec<Vec<f32>>, Failure> {
    let none = || Failure::malformed("the provider answered JSON without embeddings");
    let data = value["data"].as_array().ok_or_else(none)?;
    check_count(data.len(), count)?;
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    for (place, entry) in data.iter().enumerate() {
        // Not every server numbers them; those that do may send them in any order.
        let index = match &entry["index"] {
            Value::Null => Some(place),
            index => index.as_u64().and_then(|index| usize::try_from(index).ok()),
        };
        let free = index.and_then(|index| vectors.get_mut(index)).filter(|free| free.is_none());
        let twice =
            || Failure::malformed("the indices of the embeddings are not those of the texts");
        *free.ok_or_else(twice)? = Some(vector(&entry["embedding"])?);
    }
    vectors.into_iter().map(|vector| vector.ok_or_else(none)).collect()
}

fn ollama(value: &Value, count: usize) -> Result<Vec<Vec<f32>>, Failure> {
    let none = || Failure::malformed("the provider answered JSON without embeddings");
    let list = value["embeddings"].as_array().ok_or_else(none)?;
    check_count(list.len(), count)?;
    list.iter().map(vector).collect()
}

fn check_count(there: usize, count: usize) -> Result<(), Failure> {
    if there == count {
        return Ok(());
    }
    Err(Failure::malformed(format!("the provider answered {there} embeddings for {count} texts")))
}

/// Reads a vector: a list of numbers, or base64 of floats of 32 bits, the low byte first.
fn vector(value: &Value) -> Result<Vec<f32>, Failure> {
    let wrong = || Failure::malformed("an embedding is neither numbers nor base64 of them");
    let vector: Vec<f32> = match value {
        Value::Array(numbers) => {
            let numbers = numbers.iter().map(|number| number.as_f64().map(|it| it as f32));
            numbers.collect::<Option<_>>().ok_or_else(wrong)?
        }
        Value::String(text) => {
            let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
            let (floats, []) = bytes.as_chunks::<4>() else { return Err(wrong()) };
            floats.iter().map(|float| f32::from_le_bytes(*float)).collect()
        }
        _ => return Err(wrong()),
    };
    let finite = vector.iter().all(|number| number.is_finite());
    if finite && !vector.is_empty() { Ok(vector) } else { Err(wrong()) }
}

fn check(vectors: Vec<Vec<f32>>, dimensions: Option<usize>) -> Result<Vec<Vec<f32>>, Failure> {
    let expected = dimensions.or_else(|| vectors.first().map(Vec::len)).unwrap_or(0);
    match vectors.iter().find(|vector| vector.len() != expected) {
        Some(other) => Err(of_lengths(expected, other.len())),
        None => Ok(vectors),
    }
}

fn of_lengths(expected: usize, there: usize) -> Failure {
    let text = format!("an embedding has {there} dimensions where {expected} are expected");
    Failure::malformed(text)
}
