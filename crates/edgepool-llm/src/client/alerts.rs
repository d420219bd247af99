use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::stats::Alert;

/// Who is told when a provider has less room than its callers need, and when it has enough again.
pub(super) type OnAlert = Arc<dyn Fn(&str, Option<&Alert>) + Send + Sync>;

/// What was told of one provider.
#[derive(Clone)]
pub(super) struct Alerts {
    provider: Arc<str>,
    observer: OnAlert,
    told: Arc<AtomicBool>,
}

impl Alerts {
    pub(super) fn new(provider: &str, observer: OnAlert) -> Self {
        Self { provider: provider.into(), observer, told: Arc::default() }
    }

    /// Tells of a change. It is called without a lock.
    pub(super) fn tell(&self, alert: Option<Alert>) {
        if self.told.swap(alert.is_some(), Ordering::SeqCst) != alert.is_some() {
            (self.observer)(&self.provider, alert.as_ref());
        }
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alerts").field(&self.told).finish()
    }
}
