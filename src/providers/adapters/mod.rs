//! One file an upstream.

pub mod bfl;
pub mod creatify;
pub mod dashscope;
pub mod kling;
pub mod luma;
pub mod minimax;
pub mod pixverse;
pub mod runway;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(bfl::Bfl),
        Box::new(creatify::Creatify),
        Box::new(dashscope::DashScope),
        Box::new(kling::Kling),
        Box::new(luma::Luma),
        Box::new(minimax::MiniMax),
        Box::new(pixverse::PixVerse),
        Box::new(runway::Runway),
        Box::new(vidu::Vidu),
    ]
}
