use super::{Received, text_at};
use crate::dialect::Dialect;
use crate::failure::Failure;

/// Reads the list of a provider's models.
///
/// # Errors
///
/// The failure that a status of no success stands for; or that the body is not what the dialect
/// says.
pub fn models(dialect: Dialect, received: &Received<'_>) -> Result<Vec<String>, Failure> {
    let value = received.json()?;
    let (list, name) = match dialect {
        Dialect::Ollama => (&value["models"], "name"),
        _ => (&value["data"], "id"),
    };
    let list = list.as_array();
    let list = list.ok_or_else(|| Failure::malformed("the provider answered no list of models"))?;
    Ok(list.iter().filter_map(|model| text_at(&model[name])).collect())
}
