//! What is known of a tenant.

use super::Strategy;
use super::id::{MAX_LEN, TenantId};
use super::roster::Terms;
use crate::Share;

/// What comes before the id in the names of a tenant's schema and database.
const PREFIX: &str = "tenant_";

/// What is set for one tenant; whatever is not has its default.
///
/// # Examples
///
/// ```
/// use edgepool::Share;
/// use edgepool::tenants::TenantConfig;
///
/// let config = TenantConfig::new().share(Share::new().weight(3).max(4)).schema("acme_prod");
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it sets nothing until a builder has it"]
pub struct TenantConfig {
    /// Its share, if it has one of its own.
    pub share: Option<Share>,
    /// The name of its schema, if it is set.
    pub schema: Option<String>,
    /// The name of its database, if it is set.
    pub database: Option<String>,
}

impl TenantConfig {
    /// Sets nothing yet.
    pub const fn new() -> Self {
        Self { share: None, schema: None, database: None }
    }

    /// Sets the tenant's share. Default: that of [`Builder::share`](super::Builder::share).
    pub const fn share(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// Sets the name of the tenant's schema. Default: `tenant_<id>` under
    /// [`Strategy::PerTenant`], none under the others.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Sets the name of the tenant's database. Default: `tenant_<id>` under
    /// [`Strategy::PerDatabase`], none under the others.
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }
}

/// A tenant, as its factory is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    id: TenantId,
    schema: Option<String>,
    database: Option<String>,
    share: Share,
}

impl Entry {
    /// Puts what is set for a tenant together with the defaults. `None`: the id is too long for the
    /// name that it would give, which PostgreSQL cuts off after 63 bytes: two tenants could have the
    /// same.
    pub(super) fn new(
        id: TenantId,
        config: &TenantConfig,
        strategy: Strategy,
        share: Share,
    ) -> Option<Self> {
        let name = |set: &Option<String>, wanted: bool| match set {
            Some(name) => Some(Some(name.clone())),
            None if !wanted => Some(None),
            None if PREFIX.len() + id.as_str().len() > MAX_LEN => None,
            None => Some(Some(format!("{PREFIX}{id}"))),
        };
        let schema = name(&config.schema, matches!(strategy, Strategy::PerTenant { .. }))?;
        let database = name(&config.database, matches!(strategy, Strategy::PerDatabase { .. }))?;
        let share = config.share.unwrap_or(share);
        Some(Self { id, schema, database, share })
    }

    /// What the tenant has of the places and of the budget.
    pub(super) fn terms(&self, strategy: Strategy) -> Terms {
        let cap = self.share.max.unwrap_or_else(|| strategy.size());
        Terms { cap, weight: self.share.weight }
    }

    /// Returns the tenant's id.
    #[must_use]
    pub const fn id(&self) -> &TenantId {
        &self.id
    }

    /// Returns the name of the tenant's schema, if it has one of its own.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Returns the name of the tenant's database, if it has one of its own.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Returns the tenant's share.
    #[must_use]
    pub const fn share(&self) -> Share {
        self.share
    }
}
