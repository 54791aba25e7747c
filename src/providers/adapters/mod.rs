//! One file an upstream.

pub mod bfl;
pub mod creatify;
pub mod dashscope;
pub mod luma;
pub mod runway;
pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(bfl::Bfl),
        Box::new(creatify::Creatify),
        Box::new(dashscope::DashScope),
        Box::new(luma::Luma),
        Box::new(runway::Runway),
    ]
    vec![Box::new(kling::Kling), Box::new(minimax::MiniMax), Box::new(pixverse::PixVerse), Box::new(vidu::Vidu)]
}
