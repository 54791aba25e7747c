//! Values and rules of the product: no IO, nothing of ours below it.

pub mod clock;
pub mod credits;
pub mod fault;
pub mod generation;
pub mod ids;
pub mod output;

pub use clock::{Clock, Timestamp};
pub use credits::Credits;
pub use fault::{Fault, Verdict};
pub use generation::{Adjustment, ContentInput, GenerationType, Mode, Plan, Priority, Status};
pub use ids::{AccountId, GenerationId, ModelId, ProviderId, Upstream};
