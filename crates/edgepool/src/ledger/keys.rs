//! The handles that the ledger gives out.

/// Names one tenure of a place in the pool: a creation, a lease, or a connection being closed.
///
/// The index is stable while the place is used, so a shell keeps the connection in an array beside
/// the ledger. The generation changes whenever the place changes hands: a key that outlived its
/// tenure is stale, and every operation with it does nothing but count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey {
    /// The place, from 0; reused.
    pub index: u32,
    /// Which tenure of the place; unique until 2^32 tenures have passed.
    pub generation: u32,
}

/// Names one waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaiterKey {
    /// The waiter's entry, from 0; reused.
    pub index: u32,
    /// Which waiter of that entry; unique until 2^32 tenures have passed.
    pub generation: u32,
}

/// Names one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantKey {
    /// The tenant's entry, from 1; reused.
    pub index: u32,
    /// Which tenant of that entry; unique until 2^32 tenants have come.
    pub generation: u32,
}
