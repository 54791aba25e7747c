//! The enums.

use async_graphql::Enum;

use crate::{catalog::Life, domain};

/// The kind of thing that is made.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::GenerationType")]
pub enum GenerationType {
    /// A clip made from text, pictures or another clip.
    Video,
    /// One or more pictures.
    Image,
    /// Speech or other sound.
    Audio,
    /// A clip of a talking person.
    Avatar,
}

/// Where a generation is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Status")]
pub enum GenerationStatus {
    /// Accepted and durable; no upstream has it yet.
    Pending,
    /// An upstream works on it.
    Processing,
    /// Done, results kept, paid.
    Completed,
    /// Ended without a result; nothing is charged.
    Failed,
    /// Ended by the caller; nothing is charged.
    Cancelled,
}

/// What matters most when the gateway chooses.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Priority")]
pub enum Priority {
    /// The best result.
    Quality,
    /// The shortest wait.
    Speed,
    /// The lowest price.
    Cost,
    /// A bit of each.
    Balanced,
}

/// Where a model is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Life")]
pub enum ModelStatus {
    /// In service.
    Live,
    /// In service until `endsAt`.
    Ending,
    /// Out of service; requests run on `replacedBy`.
    Retired,
}
