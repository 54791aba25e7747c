//! Doubles of the upstreams: they check everything and take nothing that is not documented.

pub mod ark;
pub mod asked;
pub mod bfl;
pub mod board;
pub mod check;
pub mod comfyui;
pub mod creatify;
pub mod dashscope;
pub mod did;
pub mod elevenlabs;
pub mod fal;
pub mod files;
pub mod google;
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
pub mod request;
pub mod runway;
pub mod sdwebui;
pub mod stability;
pub mod sync;
pub mod veo;
pub mod vidu;

use axum::Router;

/// A double of an upstream, with the credentials that it knows.
pub struct Known {
    pub upstream: &'static str,
    pub router: Router,
    pub secrets: Vec<(&'static str, &'static str)>,
}

/// A fresh double of an upstream.
pub fn of(upstream: &str) -> Known {
    all().into_iter().find(|double| double.upstream == upstream).unwrap()
}

/// A fresh double of every upstream.
pub fn all() -> Vec<Known> {
    let known = |upstream, router, secrets: &[(&'static str, &'static str)]| Known {
        upstream,
        router,
        secrets: secrets.to_vec(),
    };
    let google = || [&google::account()[..], &[("GEMINI_API_KEY", google::KEY)]].concat();
    let creatify_keys = [("CREATIFY_API_ID", creatify::ID), ("CREATIFY_API_KEY", creatify::KEY)];
    let hedra_keys = [("HEDRA_API_KEY", hedra::KEY), ("HEDRA_V2_API_KEY", hedra::V2_KEY)];
    let luma_keys = [("LUMAAI_API_KEY", luma::KEY), ("LUMA_AGENTS_API_KEY", luma::AGENTS_KEY)];
    vec![
        known("ark", ark::Double::default().router(), &[("ARK_API_KEY", ark::KEY)]),
        known("bfl", bfl::router(board::Board::default()), &[("BFL_API_KEY", bfl::KEY)]),
        known("comfyui", comfyui::Double::default().router(), &[("COMFYUI_URL", comfyui::ADDRESS)]),
        known("creatify", creatify::router(board::Board::default()), &creatify_keys),
        known("dashscope", dashscope::router(board::Board::default()), &[("DASHSCOPE_API_KEY", dashscope::KEY)]),
        known("did", did::Double::default().router(), &[("DID_API_KEY", did::KEY)]),
        known("elevenlabs", elevenlabs::Double::default().router(), &[("ELEVENLABS_API_KEY", elevenlabs::KEY)]),
        known("fal", fal::Double::default().router(), &[("FAL_KEY", fal::KEY)]),
        known("google-tts", google_tts::router(), &[("GOOGLE_TTS_API_KEY", google_tts::KEY)]),
        known("hedra", hedra::Double::default().router(), &hedra_keys),
        known("heygen", heygen::Double::default().router(), &[("HEYGEN_API_KEY", heygen::KEY)]),
        known("imagen", imagen::router(), &google()),
        known("kling", kling::Double::default().router(), &[("KLING_API_KEY", kling::API_KEY)]),
        known("luma", luma::router(board::Board::default()), &luma_keys),
        known("minimax", minimax::Double::default().router(), &[("MINIMAX_API_KEY", minimax::KEY)]),
        known("openai", openai::router(), &[("OPENAI_API_KEY", openai::KEY)]),
        known("pixverse", pixverse::Double::default().router(), &[("PIXVERSE_API_KEY", pixverse::KEY)]),
        known("replicate", replicate::Double::default().router(), &[("REPLICATE_API_TOKEN", replicate::TOKEN)]),
        known("runway", runway::router(board::Board::default()), &[("RUNWAYML_API_SECRET", runway::KEY)]),
        known("sdwebui", sdwebui::router(), &[("SDWEBUI_URL", sdwebui::ADDRESS)]),
        known("stability", stability::router(), &[("STABILITY_API_KEY", stability::KEY)]),
        known("sync", sync::Double::default().router(), &[("SYNC_API_KEY", sync::KEY)]),
        known("veo", veo::Double::default().router(), &google()),
        known("vidu", vidu::Double::default().router(), &[("VIDU_API_KEY", vidu::KEY)]),
    ]
}
