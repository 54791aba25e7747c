//! One file an upstream.

pub mod ark;
pub mod bfl;
pub mod creatify;
pub mod dashscope;
pub mod google_tts;
pub mod imagen;
pub mod kling;
pub mod luma;
pub mod minimax;
pub mod openai;
pub mod pixverse;
pub mod runway;
pub mod veo;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(ark::Ark),
        Box::new(bfl::Bfl),
        Box::new(creatify::Creatify),
        Box::new(dashscope::DashScope),
        Box::new(google_tts::GoogleTts),
        Box::new(imagen::Imagen),
        Box::new(kling::Kling),
        Box::new(luma::Luma),
        Box::new(minimax::MiniMax),
        Box::new(openai::OpenAi),
        Box::new(pixverse::PixVerse),
        Box::new(runway::Runway),
        Box::new(veo::Veo),
        Box::new(vidu::Vidu),
    ]
}
