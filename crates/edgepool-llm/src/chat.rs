//! What is asked of a model and what it answers, in the words of no provider.

use serde_json::{Map, Value};

use crate::failure::{Class, Failure};

/// A chat: what is asked of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The model, unless it is the provider's own.
    pub model: Option<String>,
    /// What the model is to keep to.
    pub system: Option<String>,
    /// What was said so far, the latest last.
    pub messages: Vec<Message>,
    /// The tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must call one; `None` leaves that to the provider.
    pub tool_choice: Option<ToolChoice>,
    /// How the answer is made; what is set here comes before the provider's own.
    pub parameters: Parameters,
    /// Fields of the provider's own API, sent as they are. They come before all others.
    pub extra: Map<String, Value>,
}

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the model is to keep to.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: Vec<Part>,
    /// The tools that the model called with it.
    pub tool_calls: Vec<ToolCall>,
    /// Which call it answers; for [`Role::Tool`].
    pub tool_call_id: Option<String>,
}

impl Message {
    /// Makes a message of a text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        let content = vec![Part::Text(text.into())];
        Self { role, content, tool_calls: Vec::new(), tool_call_id: None }
    }

    /// Makes the answer of a tool.
    #[must_use]
    pub fn tool(call: impl Into<String>, text: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call.into()), ..Self::text(Role::Tool, text) }
    }
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(String),
    /// An image.
    Image(Image),
    /// A part in the provider's own words, sent as it is.
    Raw(Value),
}

/// An image of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Image {
    /// Where it is.
    Url(String),
    /// Its bytes as base64.
    Data {
        /// Such as `image/png`.
        media_type: String,
        /// The bytes as base64.
        base64: String,
    },
}

impl Image {
    /// Reads a URL; one that begins with `data:` holds the image itself.
    #[must_use]
    pub fn from_url(url: &str) -> Self {
        let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match inline {
            Some((media_type, base64)) => {
                Self::Data { media_type: media_type.to_owned(), base64: base64.to_owned() }
            }
            None => Self::Url(url.to_owned()),
        }
    }

    /// Returns it as a URL.
    #[must_use]
    pub fn to_url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Data { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
        }
    }
}

/// A tool that a model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of what it takes.
    pub parameters: Value,
}

/// Whether a model must call a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// It decides.
    Auto,
    /// It must not.
    None,
    /// It must call one.
    Required,
    /// It must call the one of this name.
    Named(String),
}

/// A call of a tool that a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// What the answer to it names; made up from its place where the provider sends none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is called with, as JSON in a text.
    pub arguments: String,
}

/// How an answer is made. What a dialect has no word for is an error, not left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    /// The most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// How much chance there is.
    pub temperature: Option<f64>,
    /// How much of the likeliest tokens' probability is drawn from.
    pub top_p: Option<f64>,
    /// How many of the likeliest tokens are drawn from.
    pub top_k: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// What chance is drawn from.
    pub seed: Option<i64>,
    /// How much a token is held against itself by how often it came.
    pub frequency_penalty: Option<f64>,
    /// How much a token is held against itself for having come.
    pub presence_penalty: Option<f64>,
}

impl Parameters {
    /// Returns these, and where something is not set what `defaults` say.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        let stop = if self.stop.is_empty() { &defaults.stop } else { &self.stop };
        Self {
            max_tokens: self.max_tokens.or(defaults.max_tokens),
            temperature: self.temperature.or(defaults.temperature),
            top_p: self.top_p.or(defaults.top_p),
            top_k: self.top_k.or(defaults.top_k),
            stop: stop.clone(),
            seed: self.seed.or(defaults.seed),
            frequency_penalty: self.frequency_penalty.or(defaults.frequency_penalty),
            presence_penalty: self.presence_penalty.or(defaults.presence_penalty),
        }
    }

    /// Returns the name of a number that JSON cannot hold.
    pub(crate) fn not_finite(&self) -> Option<&'static str> {
        let numbers = [
            ("temperature", self.temperature),
            ("top_p", self.top_p),
            ("frequency_penalty", self.frequency_penalty),
            ("presence_penalty", self.presence_penalty),
        ];
        let odd = |(_, number): &(_, Option<f64>)| number.is_some_and(|it| !it.is_finite());
        numbers.into_iter().find(odd).map(|(name, _)| name)
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model had said all, or came to a text to stop at.
    Stop,
    /// The answer had as many tokens as it may.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// The provider's filter ended it, or the model refuses.
    Filtered,
    /// For another reason, in the provider's word.
    Other(String),
}

impl Finish {
    /// Reads a provider's word.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "stop" | "end_turn" | "stop_sequence" | "completed" => Self::Stop,
            "length" | "max_tokens" | "max_output_tokens" | "model_length" => Self::Length,
            "tool_calls" | "tool_use" | "function_call" => Self::ToolCalls,
            "content_filter" | "refusal" => Self::Filtered,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those from a cache among them.
    pub input_tokens: u64,
    /// Tokens of the answer, those of reasoning among them.
    pub output_tokens: u64,
    /// Tokens of the prompt that came from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens of reasoning.
    pub reasoning_tokens: u64,
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The provider's name for it.
    pub id: Option<String>,
    /// The model that made it.
    pub model: Option<String>,
    /// What it says.
    pub text: String,
    /// What the model thought, if the provider tells.
    pub reasoning: String,
    /// The tools that it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// What it used.
    pub usage: Option<Usage>,
}

/// A piece of an answer that comes in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEvent {
    /// The answer begins. It comes at most once, before all content.
    Started {
        /// The provider's name for it.
        id: Option<String>,
        /// The model that makes it.
        model: Option<String>,
    },
    /// More text; not empty.
    Text(String),
    /// More of what the model thinks; not empty.
    Reasoning(String),
    /// A call of a tool begins.
    ToolCall {
        /// Its place among the calls of this answer.
        index: usize,
        /// What the answer to it names.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of what a tool is called with; not empty.
    Arguments {
        /// The place of the call.
        index: usize,
        /// A piece of JSON as text.
        json: String,
    },
    /// Why the answer ended.
    Finished(Finish),
    /// What it used.
    Usage(Usage),
    /// The protocol's own end.
    Done,
}

impl StreamEvent {
    /// Tells whether it is a part of what the model says: after one, a call is not tried again.
    #[must_use]
    pub const fn is_content(&self) -> bool {
        matches!(
            self,
            Self::Text(_) | Self::Reasoning(_) | Self::ToolCall { .. } | Self::Arguments { .. }
        )
    }
}

/// The most bytes of text and arguments that [`Collector`] keeps, unless it is told: 16 MiB.
pub const MAX_COLLECTED: usize = 16 << 20;

/// The most calls of tools that one answer may have.
pub const MAX_TOOL_CALLS: usize = 1_024;

/// Puts the pieces of an answer together.
#[derive(Clone, Debug)]
pub struct Collector {
    answer: Answer,
    left: usize,
}

impl Default for Collector {
    fn default() -> Self {
        Self::new(MAX_COLLECTED)
    }
}

impl Collector {
    /// Makes one that keeps at most so many bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { answer: Answer::default(), left: max }
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// When the answer is larger than may be kept.
    pub fn add(&mut self, event: StreamEvent) -> Result<(), Failure> {
        let answer = &mut self.answer;
        match event {
            StreamEvent::Started { id, model } => {
                answer.id = id;
                answer.model = model;
            }
            StreamEvent::Text(text) => {
                spend(&mut self.left, text.len())?;
                answer.text.push_str(&text);
            }
            StreamEvent::Reasoning(text) => {
                spend(&mut self.left, text.len())?;
                answer.reasoning.push_str(&text);
            }
            StreamEvent::ToolCall { index, id, name } => {
                spend(&mut self.left, id.len() + name.len())?;
                let call = call_at(answer, index)?;
                call.id = id;
                call.name = name;
            }
            StreamEvent::Arguments { index, json } => {
                spend(&mut self.left, json.len())?;
                call_at(answer, index)?.arguments.push_str(&json);
            }
            StreamEvent::Finished(finish) => answer.finish = Some(finish),
            StreamEvent::Usage(usage) => answer.usage = Some(usage),
            StreamEvent::Done => {}
        }
        Ok(())
    }

    /// Returns the answer so far.
    #[must_use]
    pub fn finish(mut self) -> Answer {
        for call in &mut self.answer.tool_calls {
            if call.arguments.is_empty() {
                call.arguments.push_str("{}");
            }
        }
        self.answer
    }
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), Failure> {
    *left = left.checked_sub(bytes).ok_or_else(too_large)?;
    Ok(())
}

fn call_at(answer: &mut Answer, index: usize) -> Result<&mut ToolCall, Failure> {
    if index >= MAX_TOOL_CALLS {
        return Err(too_large());
    }
    if answer.tool_calls.len() <= index {
        answer.tool_calls.resize_with(index + 1, ToolCall::default);
    }
    answer.tool_calls.get_mut(index).ok_or_else(too_large)
}

fn too_large() -> Failure {
    Failure::new(Class::TooLarge, "the answer is larger than the bound for what is collected")
}
