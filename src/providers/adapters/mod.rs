//! One file an upstream.

pub mod ark;
pub mod bfl;
pub mod comfyui;
pub mod creatify;
pub mod dashscope;
pub mod did;
pub mod elevenlabs;
pub mod fal;
pub mod google_tts;
pub mod hedra;
pub mod heygen;
pub mod imagen;
pub mod kling;
pub mod luma;
pub mod minimax;
pub mod openai;
pub mod pixverse;
pub mod replicate;
pub mod runway;
pub mod sdwebui;
pub mod stability;
pub mod sync;
pub mod veo;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(ark::Ark),
        Box::new(bfl::Bfl),
        Box::new(comfyui::ComfyUi),
        Box::new(creatify::Creatify),
        Box::new(dashscope::DashScope),
        Box::new(did::Did),
        Box::new(elevenlabs::ElevenLabs),
        Box::new(fal::Fal),
        Box::new(google_tts::GoogleTts),
        Box::new(hedra::Hedra),
        Box::new(heygen::HeyGen),
        Box::new(imagen::Imagen),
        Box::new(kling::Kling),
        Box::new(luma::Luma),
        Box::new(minimax::MiniMax),
        Box::new(openai::OpenAi),
        Box::new(pixverse::PixVerse),
        Box::new(replicate::Replicate),
        Box::new(runway::Runway),
        Box::new(sdwebui::SdWebui),
        Box::new(stability::Stability),
        Box::new(sync::Sync),
        Box::new(veo::Veo),
        Box::new(vidu::Vidu),
    ]
}
