//! Every catalogued route once: asked for, submitted, polled, kept, served and paid.

use std::collections::BTreeSet;

use doitong::catalog::{Life, RouteRef, spec::Route};
use serde_json::{Value, json};

use super::gateway::{CREDITS, Gateway};
use crate::providers::{doubles, support};

macro_rules! every_route_of {
    ($($name:ident: $upstream:literal),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            every_route($upstream).await;
        })+

        #[test]
        fn no_upstream_is_left_out() {
            let run = [$($upstream),+];
            assert_eq!(doubles::all().iter().map(|double| double.upstream).collect::<Vec<_>>(), run);
            let catalogued: Vec<_> = support::CATALOG.upstreams().0.keys().cloned().collect();
            assert_eq!(catalogued, run);
        }
    };
}

every_route_of! {
    ark: "ark",
    bfl: "bfl",
    comfyui: "comfyui",
    creatify: "creatify",
    dashscope: "dashscope",
    did: "did",
    elevenlabs: "elevenlabs",
    fal: "fal",
    google_tts: "google-tts",
    hedra: "hedra",
    heygen: "heygen",
    imagen: "imagen",
    kling: "kling",
    luma: "luma",
    minimax: "minimax",
    openai: "openai",
    pixverse: "pixverse",
    replicate: "replicate",
    runway: "runway",
    sdwebui: "sdwebui",
    stability: "stability",
    sync: "sync",
    veo: "veo",
    vidu: "vidu",
}

/// Routes that need certain credentials are run with these alone, so that no other route takes their requests.
async fn every_route(upstream: &str) {
    let needs: BTreeSet<_> = support::routes(upstream).iter().map(|at| at.route.needs.clone()).collect();
    assert!(!needs.is_empty(), "no route by {upstream}");
    for needs in needs {
        let known = |name: &str| needs.is_empty() || needs.iter().any(|needed| needed == name);
        let gateway = Gateway::knowing(&[upstream], known).await;
        run_routes(&gateway, upstream, &needs).await;
    }
}

async fn run_routes(gateway: &Gateway, upstream: &str, needs: &[String]) {
    let catalog = gateway.app.app.catalog();
    let today = gateway.app.clock.now().date_naive();
    let mut runs = Vec::new();
    for provider in catalog.providers() {
        for model in provider.models.iter().filter(|model| catalog.life(model, today) != Life::Retired) {
            let is_meant = |route: &&Route| route.upstream.as_str() == upstream && route.needs == needs;
            for route in model.routes.iter().filter(is_meant) {
                let name = format!("{}/{} as {} {:?}", provider.id, model.id, route.model, route.when);
                runs.push((ask(gateway, &name, RouteRef { provider, model, route }).await, name));
            }
        }
    }
    gateway.run_dry().await;
    let mut spent = 0;
    for (asked, name) in &runs {
        let done = gateway.generation(&asked["id"]).await;
        assert_eq!(done["status"], "COMPLETED", "{name}: {done:#}");
        check(gateway, name, upstream, asked, &done).await;
        spent += done["creditCost"].as_i64().unwrap();
    }
    // What was captured is what was quoted: no transfer is off, and the purse has lost just that.
    gateway.app.audit().await;
    let account = gateway.app.account(&gateway.key).await;
    assert_eq!(account["credits"], json!({ "balance": CREDITS - spent, "held": 0, "available": CREDITS - spent }));
}

async fn ask(gateway: &Gateway, name: &str, at: RouteRef<'_>) -> Value {
    let request = gateway.request_for(at);
    assert!(request.is_some(), "nothing comes over {name}");
    let request = request.unwrap_or_default();
    let cost = gateway.quote(&request).await["creditCost"].clone();
    let asked = gateway.generate(&request).await;
    assert_eq!(asked["creditCost"], cost, "{name}");
    asked
}

async fn check(gateway: &Gateway, name: &str, upstream: &str, asked: &Value, done: &Value) {
    assert_eq!(done["creditCost"], asked["creditCost"], "{name}");
    let attempts = done["attempts"].as_array().unwrap();
    let attempt = &attempts[0];
    let expected = json!({ "provider": done["provider"], "model": done["model"], "upstream": upstream,
        "outcome": "COMPLETED", "startedAt": attempt["startedAt"], "endedAt": attempt["endedAt"], "message": null });
    assert_eq!((attempts.len(), attempt), (1, &expected), "{name}");
    let kind = match done["type"].as_str() {
        Some("IMAGE") => "image/",
        Some("AUDIO") => "audio/",
        _ => "video/",
    };
    assert_eq!(done["url"], done["assets"][0]["url"], "{name}");
    for asset in done["assets"].as_array().unwrap() {
        let file = gateway.app.http.get(asset["url"].as_str().unwrap()).send().await.unwrap();
        let content_type = file.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!((file.status().as_u16(), json!(content_type)), (200, asset["contentType"].clone()), "{name}");
        assert!(content_type.starts_with(kind), "{name}: {content_type}");
        assert_eq!(json!(file.bytes().await.unwrap().len()), asset["sizeBytes"], "{name}");
    }
}
