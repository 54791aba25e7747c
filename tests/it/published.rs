//! The operations of the service's public page, as clients send them.

use serde_json::{Value, json};

use crate::support::TestApp;

const GENERATE: &str =
    "mutation Generate($input: GenerateInput!) { generate(input: $input) { id status type provider url metadata
    creditCost estimatedTime progress error errorCode } }";

/// The variables of the page, by name, and which provider serves them.
fn examples() -> Vec<(&'static str, Value, Option<&'static str>)> {
    vec![
        (
            "video, automatic",
            json!({"type": "VIDEO", "input": {"text": "A bustling Tokyo street at night with neon lights"},
                "options": {"duration": 10, "resolution": "1080p", "style": "cinematic"}}),
            None,
        ),
        (
            "video, minimax",
            json!({"type": "VIDEO", "provider": "minimax", "input": {"text": "Epic battle scene"},
                "options": {"duration": 10, "resolution": "1080p", "style": "cinematic"}}),
            Some("minimax"),
        ),
        (
            "video, kling",
            json!({"type": "VIDEO", "provider": "kling", "input": {"text": "Epic space battle scene"},
                "options": {"mode": "pro", "duration": 10, "aspectRatio": "16:9"}}),
            Some("kling"),
        ),
        (
            "image to video, runway",
            json!({"type": "VIDEO", "provider": "runway",
                "input": {"text": "Make the character dance", "image": "https://example.com/character.jpg"},
                "options": {"motionIntensity": "high", "model": "gen-3"}}),
            Some("runway"),
        ),
        (
            "image, flux-ultra",
            json!({"type": "IMAGE", "provider": "flux-ultra", "input": {"text": "Photorealistic portrait in Rembrandt style"},
                "options": {"aspectRatio": "16:9", "quality": "ultra", "seed": 42}}),
            Some("flux-ultra"),
        ),
        (
            "audio, elevenlabs",
            json!({"type": "AUDIO", "provider": "elevenlabs",
                "input": {"text": "Welcome to the future of artificial intelligence"},
                "options": {"voice": "rachel", "emotion": "excited", "speed": 1.0}}),
            Some("elevenlabs"),
        ),
        (
            "avatar, heygen",
            json!({"type": "AVATAR", "provider": "heygen",
                "input": {"text": "Hello, I'm your AI assistant", "voice": "professional_female"},
                "options": {"avatarId": "kate", "background": "modern_office", "gesture": "friendly"},
                "webhookUrl": "https://your-app.com/webhook"}),
            Some("heygen"),
        ),
    ]
}

#[tokio::test]
async fn every_example_of_the_page_is_accepted_and_completes() {
    let app = TestApp::start().await;
    for (name, input, provider) in examples() {
        let accepted = app.data(GENERATE, json!({"input": input})).await["generate"].clone();
        assert_eq!(accepted["status"], "pending", "{name}: {accepted}");
        assert_eq!(accepted["metadata"], Value::Null, "{name}");
        if let Some(provider) = provider {
            assert_eq!(accepted["provider"], provider, "{name}");
        }
        let done = app.finish(&accepted["id"]).await;
        assert_eq!(done["status"], "COMPLETED", "{name}: {done:#}");
        assert_eq!(done["progress"], 100, "{name}");
    }
    app.audit().await;
}
