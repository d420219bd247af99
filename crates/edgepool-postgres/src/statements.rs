//! Prepared statements, kept by their text.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_postgres::Statement;

/// The prepared statements of one connection, up to a number of them.
#[derive(Default)]
pub(crate) struct Statements {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Each with when it was used last, in uses of the cache.
    by_text: HashMap<Box<str>, (Statement, u64)>,
    uses: u64,
}

impl Statements {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, text: &str) -> Option<Statement> {
        let mut kept = self.lock();
        kept.uses += 1;
        let now = kept.uses;
        let (statement, used) = kept.by_text.get_mut(text)?;
        *used = now;
        Some(statement.clone())
    }

    /// Keeps a statement, in place of the one used longest ago if there are as many as may be.
    pub(crate) fn keep(&self, text: &str, statement: &Statement) {
        if self.most == 0 {
            return;
        }
        let mut kept = self.lock();
        let now = kept.uses;
        if kept.by_text.len() >= self.most && !kept.by_text.contains_key(text) {
            let oldest = kept.by_text.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(text, _)| text.clone()) {
                kept.by_text.remove(&oldest);
            }
        }
        kept.by_text.insert(text.into(), (statement.clone(), now));
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().by_text.len()
    }

    pub(crate) fn clear(&self) {
        self.lock().by_text.clear();
    }
}
