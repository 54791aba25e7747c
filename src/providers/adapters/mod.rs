//! One file an upstream.

pub mod openai;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(openai::OpenAi)]
}
