//! The console: what `GET /` gives, and what people do with it in a browser.

use std::{fs, path::Path};

use doitong::domain::{Mode, Plan};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    graphql::clients::{live, node},
    support::{Receiver, TestApp, image},
};

/// What a program of `tests/clients/console/` tells; there must have been no trouble on the page.
async fn told(app: &TestApp, program: &str, arguments: &[&str]) -> Value {
    let program = format!("console/{program}.mjs");
    let told = node(app, &[&[program.as_str()], arguments].concat()).await;
    let mut told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["troubles"].take(), json!([]), "{program}");
    told
}

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = app.http.get(format!("{}{path}", app.url));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

#[tokio::test]
async fn the_page_may_load_only_from_here() {
    let app = TestApp::start().await;
    let page = get(&app, "/", &[]).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let media = &app.url;
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {media}; media-src 'self' {media}; \
             connect-src 'self' {media}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'"
        )
    );
    let page = page.text().await.unwrap();
    assert!(!page.contains("://") && !page.contains("<style") && !page.contains("style="), "{page}");
}

#[tokio::test]
async fn files_of_the_media_store_may_have_another_address() {
    let public = |config: &mut doitong::config::Config| {
        config.server.public_url = Some("https://media.example:8443/doitong".parse().unwrap());
    };
    let app = TestApp::with(Plan::Free, |config, _| public(config)).await;
    let page = get(&app, "/", &[]).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("img-src 'self' https://media.example:8443;"), "{policy}");
}

#[tokio::test]
async fn its_files_are_compressed_and_asked_for_once() {
    let app = TestApp::start().await;
    let page = get(&app, "/", &[]).await.text().await.unwrap();
    let assets: Vec<_> = page.split('"').filter(|text| text.starts_with("console/assets/")).collect();
    assert_eq!(assets.len(), 3, "{page}");
    for asset in assets {
        let path = format!("/{asset}");
        let plain = get(&app, &path, &[]).await;
        assert_eq!((plain.status().as_u16(), plain.headers().get("content-encoding")), (200, None));
        let zipped = get(&app, &path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(zipped.headers()["content-encoding"], "gzip", "{asset}");
        assert_eq!(zipped.headers()["vary"], "accept-encoding");
        assert_eq!(zipped.headers()["etag"], plain.headers()["etag"]);
        let etag = zipped.headers()["etag"].to_str().unwrap().to_owned();
        let known = get(&app, &path, &[("if-none-match", &format!("\"x\", {etag}"))]).await;
        assert_eq!((known.status().as_u16(), known.bytes().await.unwrap().len()), (304, 0));
        let (plain, zipped) = (plain.bytes().await.unwrap(), zipped.bytes().await.unwrap());
        assert!(zipped.len() < plain.len() && zipped.starts_with(&[0x1f, 0x8b]), "{asset}");
    }
    assert_eq!(get(&app, "/console/assets/other.js", &[]).await.status(), 404);
}

/// `npm run build` in `assets/console` writes what it built from.
#[test]
fn what_is_committed_was_built_from_the_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/console");
    let mut files = Vec::new();
    collect(&folder.join("src"), &mut files);
    files.push(folder.join("package-lock.json"));
    files.sort_by_key(|file| file.as_os_str().to_owned());
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).unwrap());
    }
    let built = fs::read_to_string(folder.join("dist/sources.sha256")).unwrap();
    assert_eq!(built.trim(), hex::encode(hash.finalize()), "run `npm ci && npm run build` in assets/console");
}

fn collect(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, into) } else { into.push(path) }
    }
}

#[tokio::test]
async fn a_newcomer_makes_an_image_a_video_and_speech() {
    let app = live().await;
    let told = told(&app, "newcomer", &[]).await;
    assert_eq!(told["image"], json!([1024, 1024]));
    assert_eq!((&told["zoom"], &told["fits"]), (&json!(true), &json!(true)));
    assert_eq!(told["bars"], 120);
    assert_eq!(told["sought"], 1);
    let made = json!(["The ferry leaves in ten minutes.", "A river boat at dawn", "A red fox in the snow"]);
    assert_eq!(told["gallery"], made);
    assert_eq!(told["videos"], json!(["A river boat at dawn"]));
    assert_eq!(told["keyIsInTheAddress"], false);
    assert_eq!(told["anotherTab"], "Start with your key");
    assert!(!told["keptOutside"].as_str().unwrap().contains("dt_"), "{told}");
    let spent: i64 = told["prices"].as_array().unwrap().iter().filter_map(Value::as_i64).sum();
    assert_eq!(app.account(&app.key.key).await["credits"]["balance"], 100_000 - spent);
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_what_to_do() {
    let app = live().await;
    let poor = app.new_key("poor", Plan::Free, Mode::Test, Some(10)).await.key;
    let told = told(&app, "troubles", &[&poor]).await;
    assert_eq!(told["rejected"]["codes"], json!(["INVALID_INPUT", "CONTENT_REJECTED"]));
    assert!(told["rejected"]["whatToDo"].as_str().unwrap().starts_with("Rephrase the prompt"));
    assert_eq!(told["limited"]["codes"], json!(["INSUFFICIENT_CREDITS", "MAX_CREDITS", "maxCredits"]));
    assert_eq!(told["field"], "true");
    assert_eq!(told["poor"]["title"], "Not enough credits");
    assert_eq!(told["poor"]["codes"], json!(["INSUFFICIENT_CREDITS"]));
    assert_eq!(told["wrong"]["codes"], json!(["UNAUTHENTICATED"]));
}

#[tokio::test]
async fn axe_finds_nothing_serious_and_a_phone_is_wide_enough() {
    let (app, receiver) = (live().await, Receiver::start(&[]).await);
    let told = told(&app, "states", &[&receiver.url]).await;
    assert_eq!(told["seen"], 45);
    assert_eq!(told["findings"], json!([]));
    assert_eq!(told["wide"], json!([]));
}

#[tokio::test]
async fn what_a_phone_runs_comes_into_sight() {
    let told = told(&live().await, "phone", &[]).await;
    assert!(told["whatToDo"].as_str().unwrap().starts_with("Raise the credit limit"), "{told}");
}

#[tokio::test]
async fn cards_tell_what_a_provider_waits_for_and_which_models_are_over() {
    let app = TestApp::start().await;
    let told = told(&app, "catalogue", &[&app.live_key().await]).await;
    for kind in ["VIDEO", "IMAGE", "AUDIO", "AVATAR"] {
        let query = "query P($type: GenerationType!) { providers(type: $type) { id } }";
        let providers = app.data(query, json!({"type": kind})).await["providers"].as_array().unwrap().len();
        assert_eq!(told["cards"][kind], providers, "{kind}");
    }
    assert!(told["card"].as_str().unwrap().contains("Waits for RUNWAYML_API_SECRET"), "{told}");
    assert_eq!(told["waits"], "Waits for RUNWAYML_API_SECRET");
    assert!(told["retired"].as_u64() > Some(0), "{told}");
}

#[tokio::test]
async fn the_form_makes_the_request_from_the_options_of_the_catalogue() {
    let app = TestApp::start().await;
    let told = told(&app, "form", &[]).await;
    let common = json!({"maxCredits": 5000, "labels": {"order": 7}});
    let with = |mut input: Value| {
        input.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        input
    };
    let options = json!({
        "duration": 10, "resolution": "1080p", "negativePrompt": "people", "sound": true, "strict": true
    });
    let input = json!({"text": "A river boat"});
    let video = json!({"type": "VIDEO", "provider": "kling", "model": "v2-6", "input": input, "options": options});
    assert_eq!(told["video"], with(video));
    assert_eq!(told["listed"], "rachel");
    let options = json!({"voice": "21m00Tcm4TlvDq8ikWAM", "speed": 1.1, "strict": true});
    let speech = json!({"type": "AUDIO", "provider": "elevenlabs", "input": input, "options": options});
    assert_eq!(told["speech"], with(speech));
    let options = json!({"strict": true});
    let cheapest = json!({"type": "AUDIO", "input": input, "options": options, "priority": "COST"});
    assert_eq!(told["cheapest"], with(cheapest));
    assert_eq!(told["runs"], 0);
}

#[tokio::test]
async fn the_gallery_is_gone_through_and_narrowed_down() {
    let app = TestApp::start().await;
    let speech = json!({"type": "AUDIO", "provider": "openai-tts", "input": {"text": "Good morning"}});
    for _ in 0..2 {
        app.generate(speech.clone()).await;
    }
    for _ in 0..24 {
        app.generate(image("A red fox in the snow")).await;
    }
    app.cancel(&app.generate(image("A heron")).await["id"]).await;
    let told = told(&app, "gallery", &[]).await;
    assert_eq!((&told["newer"], &told["older"], &told["page"]), (&json!(true), &json!(true), &json!(1)));
    assert_eq!(told["cameBackTo"], "Page 2");
}

#[tokio::test]
async fn it_is_light_and_paints_at_once() {
    let app = live().await;
    let told = told(&app, "weight", &[]).await;
    let numbers = |name: &str| told[name].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>();
    assert!(numbers("bytes").iter().all(|bytes| (10_000..300_000).contains(bytes)), "{told}");
    // Other tests run on the same cores.
    assert!(numbers("firstPaint").iter().min().is_some_and(|milliseconds| *milliseconds < 1_000), "{told}");
    assert_eq!(numbers("again").len(), 2);
    assert!(numbers("again").iter().all(|bytes| *bytes < 1_000), "{told}");
}

#[tokio::test]
async fn what_is_copied_as_code_runs() {
    let app = live().await;
    let told = told(&app, "code", &[]).await;
    assert_eq!(told["holdsTheKey"], false);
    let by_curl: Value = serde_json::from_str(told["ran"]["curl"].as_str().unwrap()).unwrap();
    let generation = app.generation(&by_curl["data"]["generate"]["id"]).await;
    // The same key for the same request: one generation, whatever sends it.
    assert_eq!(told["ran"]["JavaScript"], generation["url"]);
    assert_eq!(told["ran"]["Python"], generation["url"]);
}

#[tokio::test]
async fn it_is_used_without_a_mouse() {
    let told = told(&live().await, "keyboard", &[]).await;
    assert_eq!((&told["first"], &told["skippedTo"]), (&json!("Skip to content"), &json!("main")));
    assert_eq!(told["player"], "Play");
    assert_eq!(told["announced"], "Speech: Completed");
    assert_eq!(told["focusAfterTheView"], "main");
}

#[tokio::test]
async fn without_websockets_it_asks_again() {
    let told = told(&live().await, "polling", &[]).await;
    assert_eq!(told["wasRefused"], true);
}

#[tokio::test]
async fn webhooks_are_seen_and_sent_again() {
    let (app, receiver) = (live().await, Receiver::start(&[]).await);
    let told = told(&app, "webhooks", &[&receiver.url]).await;
    assert_eq!(told["before"], json!([receiver.url, "Delivered", "1", "200"]));
    assert_eq!(told["after"], json!([receiver.url, "Delivered", "2", "200"]));
    assert_eq!((&told["secrets"], &told["rotated"]), (&json!(1), &json!(2)));
    assert_eq!(told["masked"], true);
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn dropped_and_chosen_files_go_into_the_request() {
    let told = told(&live().await, "upload", &[]).await;
    assert_eq!((&told["isInTheRequest"], &told["images"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn a_malay_browser_gets_malay_and_choices_stay() {
    let told = told(&live().await, "malay", &[]).await;
    assert_eq!(told["title"], "Mulakan dengan kunci anda");
    assert_eq!(told["language"], "ms");
    assert_eq!(told["price"], "kredit");
    assert_eq!(told["card"], "teks ke imej");
    assert!(told["error"].as_str().unwrap().starts_with("Gunakan perkataan lain"), "{told}");
    assert_eq!(told["switched"], "New request");
    assert_eq!(told["stays"], "New request");
    assert_eq!(told["darkStays"], true);
}
