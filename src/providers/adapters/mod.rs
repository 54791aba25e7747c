//! One file an upstream.

pub mod bfl;
pub mod creatify;
pub mod dashscope;
pub mod luma;
pub mod runway;

use super::Provider;

/// All adapters.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(bfl::Bfl),
        Box::new(creatify::Creatify),
        Box::new(dashscope::DashScope),
        Box::new(luma::Luma),
        Box::new(runway::Runway),
    ]
}
