//! The types of the schema, one file each, or a file for a type with the small ones that belong to it.

mod account;
mod enums;
mod generation;
mod inputs;
mod provider;
mod quote;

pub use account::{Account, WebhookSecret};
pub use enums::{GenerationStatus, GenerationType, ModelStatus, Priority};
pub use generation::{Adjustment, Generation, GenerationConnection};
pub use inputs::{AudioCreateInput, AvatarCreateInput, GenerateInput, ImageCreateInput, VideoCreateInput};
pub use provider::Provider;
pub use quote::Quote;
