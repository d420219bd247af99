use core::fmt;

use edgepool::Priority;
use serde_json::{Map, Value, json};

use crate::bucket::Need;
use crate::call::CallOptions;
use crate::chat::{ChatRequest, Image, Message, Part, Role, Tool, ToolCall, ToolChoice};
use crate::clocks::Timeouts;
use crate::fields::{Fields, Place, join};
use crate::provider::parameters;
use crate::request::EmbedRequest;

/// What is wrong with a request. It repeats no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldError {
    /// Where, such as `messages[0].role`; empty for the request itself.
    pub field: String,
    /// What is accepted there.
    pub message: String,
}

impl FieldError {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, message } = self;
        if field.is_empty() { f.write_str(message) } else { write!(f, "\"{field}\" {message}") }
    }
}

impl core::error::Error for FieldError {}

const CHAT: [&str; 7] =
    ["model", "system", "messages", "tools", "toolChoice", "parameters", "extra"];
const MESSAGE: [&str; 4] = ["role", "content", "toolCalls", "toolCallId"];
const TOOL: [&str; 3] = ["name", "description", "parameters"];
const TOOL_CALL: [&str; 3] = ["id", "name", "arguments"];
const EMBED: [&str; 4] = ["input", "model", "dimensions", "extra"];

impl ChatRequest {
    /// Reads a chat; see [`json`](crate::json).
    ///
    /// # Errors
    ///
    /// Names the field that is unknown or wrong, and what is accepted.
    pub fn from_json(value: &Value) -> Result<Self, FieldError> {
        let object = Object::of(Path(""), "a chat", value, &CHAT)?;
        let parameters = match object.get("parameters") {
            None => Default::default(),
            Some(value) => parameters("", value)
                .map_err(|error| FieldError::new(error.option, error.message))?,
        };
        Ok(Self {
            model: object.text("model")?,
            system: object.text("system")?,
            messages: object.list("messages", message)?.unwrap_or_default(),
            tools: object.list("tools", tool)?.unwrap_or_default(),
            tool_choice: object.get("toolChoice").map(tool_choice).transpose()?,
            parameters,
            extra: object.extra()?,
        })
    }
}

impl EmbedRequest {
    /// Reads a request for embeddings; see [`json`](crate::json).
    ///
    /// # Errors
    ///
    /// Names the field that is unknown or wrong, and what is accepted.
    pub fn from_json(value: &Value) -> Result<Self, FieldError> {
        let object = Object::of(Path(""), "a request for embeddings", value, &EMBED)?;
        let inputs = match object.get("input") {
            Some(Value::String(only)) => vec![only.clone()],
            _ => object.list("input", |path, value| of_text(&path, value))?.unwrap_or_default(),
        };
        let dimensions = match object.get("dimensions") {
            None => None,
            Some(value) => {
                let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
                let count = count.filter(|count| *count > 0);
                Some(count.ok_or_else(|| object.wrong("dimensions", "takes a count from 1 on"))?)
            }
        };
        Ok(Self { model: object.text("model")?, inputs, dimensions, extra: object.extra()? })
    }

    /// Writes it as it is read.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("input".to_owned(), json!(self.inputs));
        if let Some(model) = &self.model {
            object.insert("model".to_owned(), json!(model));
        }
        if let Some(dimensions) = self.dimensions {
            object.insert("dimensions".to_owned(), json!(dimensions));
        }
        if !self.extra.is_empty() {
            object.insert("extra".to_owned(), Value::Object(self.extra.clone()));
        }
        Value::Object(object)
    }
}

const CALL: [&str; 10] = [
    "priority",
    "acquireTimeout",
    "headersTimeout",
    "firstContentTimeout",
    "stallTimeout",
    "totalTimeout",
    "retries",
    "hedgeAfter",
    "retried",
    "need",
];

impl CallOptions {
    /// Reads what one call has otherwise than `usual`; see [`json`](crate::json).
    ///
    /// # Errors
    ///
    /// Names the option that is unknown or wrong, and what is accepted.
    pub fn from_json(value: &Value, usual: Self) -> Result<Self, FieldError> {
        let object = Object::of(Path(""), "a call", value, &CALL)?;
        let timeouts = usual.timeouts;
        let need = match object.get("need") {
            None => usual.need,
            Some(value) => {
                let need =
                    Object::of(Path("need"), "a need", value, &["inputTokens", "outputTokens"])?;
                Need {
                    input_tokens: need.count("inputTokens")?.unwrap_or(usual.need.input_tokens),
                    output_tokens: need.count("outputTokens")?.unwrap_or(usual.need.output_tokens),
                }
            }
        };
        Ok(Self {
            priority: object.priority(usual.priority)?,
            need,
            timeouts: Timeouts {
                acquire: object.duration("acquireTimeout", timeouts.acquire)?,
                headers: object.duration("headersTimeout", timeouts.headers)?,
                first_content: object.duration("firstContentTimeout", timeouts.first_content)?,
                between_content: object.duration("stallTimeout", timeouts.between_content)?,
                total: object.duration("totalTimeout", timeouts.total)?,
            },
            retries: object.count("retries")?.map_or(usual.retries, small),
            hedge_after: object.duration("hedgeAfter", usual.hedge_after)?,
            retried: object.count("retried")?.map_or(usual.retried, small),
        })
    }
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn message(path: String, value: &Value) -> Result<Message, FieldError> {
    let object = Object::of(Path(&path), "a message", value, &MESSAGE)?;
    let roles = [
        ("system", Role::System),
        ("user", Role::User),
        ("assistant", Role::Assistant),
        ("tool", Role::Tool),
    ];
    let word = object.get("role").and_then(Value::as_str);
    let role = roles.iter().find(|(name, _)| Some(*name) == word).map(|(_, role)| *role);
    let role =
        role.ok_or_else(|| object.wrong("role", "takes one of system, user, assistant, tool"))?;
    let content = match object.get("content") {
        Some(Value::String(text)) => vec![Part::Text(text.clone())],
        _ => object.list("content", part)?.unwrap_or_default(),
    };
    Ok(Message {
        role,
        content,
        tool_calls: object.list("toolCalls", tool_call)?.unwrap_or_default(),
        tool_call_id: object.text("toolCallId")?,
    })
}

fn part(path: String, value: &Value) -> Result<Part, FieldError> {
    match value["type"].as_str() {
        _ if value.is_string() => Ok(Part::Text(of_text(&path, value)?)),
        Some("text") => {
            let object = Object::of(Path(&path), "a text", value, &["type", "text"])?;
            Ok(Part::Text(object.needed("text")?))
        }
        Some("image") => image(&path, value).map(Part::Image),
        Some("raw") => {
            let object = Object::of(Path(&path), "a raw part", value, &["type", "value"])?;
            let value = object.get("value").cloned();
            value.map(Part::Raw).ok_or_else(|| object.wrong("value", "is needed"))
        }
        _ => Err(FieldError::new(join(&path, "type"), "takes one of text, image, raw")),
    }
}

fn image(path: &str, value: &Value) -> Result<Image, FieldError> {
    let object =
        Object::of(Path(path), "an image", value, &["type", "url", "mediaType", "base64"])?;
    if let Some(url) = object.text("url")? {
        if object.get("base64").is_some() || object.get("mediaType").is_some() {
            return Err(object.wrong("url", "cannot stand beside \"base64\" or \"mediaType\""));
        }
        return Ok(Image::from_url(&url));
    }
    if object.get("base64").is_none() {
        return Err(object.wrong("url", "is needed, or \"base64\" with \"mediaType\""));
    }
    let (media_type, base64) = (object.needed("mediaType")?, object.needed("base64")?);
    Ok(Image::Data { media_type, base64 })
}

fn tool(path: String, value: &Value) -> Result<Tool, FieldError> {
    let object = Object::of(Path(&path), "a tool", value, &TOOL)?;
    let parameters = match object.get("parameters") {
        None => json!({"type": "object", "properties": {}}),
        Some(schema) if schema.is_object() => schema.clone(),
        Some(_) => return Err(object.wrong("parameters", "takes a JSON schema, an object")),
    };
    let (name, description) = (object.needed("name")?, object.text("description")?);
    Ok(Tool { name, description, parameters })
}

fn tool_call(path: String, value: &Value) -> Result<ToolCall, FieldError> {
    let object = Object::of(Path(&path), "a call of a tool", value, &TOOL_CALL)?;
    Ok(ToolCall {
        id: object.needed("id")?,
        name: object.needed("name")?,
        arguments: object.text("arguments")?.unwrap_or_default(),
    })
}

fn tool_choice(value: &Value) -> Result<ToolChoice, FieldError> {
    match value.as_str() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Required),
        None if value.is_object() => {
            let object = Object::of(Path("toolChoice"), "a choice of a tool", value, &["name"])?;
            Ok(ToolChoice::Named(object.needed("name")?))
        }
        _ => Err(FieldError::new("toolChoice", "takes one of auto, none, required, or {name}")),
    }
}

/// The path of an object in a request, such as `messages[0]`.
struct Path<'a>(&'a str);

impl Place for Path<'_> {
    type Error = FieldError;
    const FIELD: &'static str = "field";

    fn no_object(&self, what: &str) -> FieldError {
        FieldError::new(self.0, format!("takes {what}, an object"))
    }
    fn wrong(&self, name: &str, message: String) -> FieldError {
        FieldError::new(join(self.0, name), message)
    }
}

type Object<'a> = Fields<'a, Path<'a>>;

impl Object<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, FieldError> {
        self.get(name).map(|value| of_text(&join(self.place.0, name), value)).transpose()
    }

    fn needed(&self, name: &str) -> Result<String, FieldError> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is needed, a text"))
    }

    fn list<T>(
        &self,
        name: &str,
        read: impl Fn(String, &Value) -> Result<T, FieldError>,
    ) -> Result<Option<Vec<T>>, FieldError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let path = join(self.place.0, name);
        let Value::Array(entries) = value else {
            return Err(FieldError::new(path, "takes a list"));
        };
        let entry = |(index, value)| read(format!("{path}[{index}]"), value);
        entries.iter().enumerate().map(entry).collect::<Result<_, _>>().map(Some)
    }

    fn priority(&self, usual: Priority) -> Result<Priority, FieldError> {
        let Some(value) = self.get("priority") else { return Ok(usual) };
        match value.as_str() {
            Some("low") => Ok(Priority::Low),
            Some("normal") => Ok(Priority::Normal),
            Some("high") => Ok(Priority::High),
            Some("urgent") => Ok(Priority::Urgent),
            _ => Err(self.wrong("priority", "takes one of low, normal, high, urgent")),
        }
    }

    fn extra(&self) -> Result<Map<String, Value>, FieldError> {
        match self.get("extra") {
            None => Ok(Map::new()),
            Some(Value::Object(extra)) => Ok(extra.clone()),
            Some(_) => Err(self.wrong("extra", "takes an object of the provider's own fields")),
        }
    }
}

fn of_text(path: &str, value: &Value) -> Result<String, FieldError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| FieldError::new(path, "takes a text"))
}
