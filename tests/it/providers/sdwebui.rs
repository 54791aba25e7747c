//! The WebUI against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cx, Provider, adapters::sdwebui::SdWebui},
};
use serde_json::json;

use super::{
    doubles::sdwebui::{ADDRESS, router},
    support::{self, run, run_every_route},
};

/// A server whose address, user and password are all in the variable.
async fn start() -> Cx {
    with_login("user:pass%3Aword").await
}

async fn with_login(login: &str) -> Cx {
    let base = support::serve(router()).await;
    let address = base.as_str().replace("http://", &format!("http://{login}@"));
    let cx = support::cx(&SdWebui, &base, &[("SDWEBUI_URL", &address)]);
    Cx { base: None, ..cx }
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&SdWebui, &start().await).await;
}

#[tokio::test]
async fn the_base_override_wins_and_the_login_of_the_variable_stays() {
    let base = support::serve(router()).await;
    let cx = support::cx(&SdWebui, &base, &[("SDWEBUI_URL", ADDRESS)]);
    SdWebui.check(&cx).await.unwrap();
    assert_eq!(SdWebui.check(&with_login("user:wrong").await).await.unwrap_err().kind, Kind::Account);
}

#[tokio::test]
async fn several_pictures_come_with_one_answer() {
    let task = support::task(
        "sdwebui",
        "stable-diffusion",
        "stable-diffusion-xl",
        &json!({ "text": "a fox" }),
        &json!({ "n": 3 }),
    );
    let outputs = run(&SdWebui, &start().await, &task).await.unwrap();
    assert_eq!((outputs.files.len(), outputs.seed), (3, Some(42)));
}

#[tokio::test]
async fn a_checkpoint_the_server_lacks_is_never_replaced_silently() {
    let cx = start().await;
    let mut task =
        support::task("sdwebui", "stable-diffusion", "stable-diffusion-xl", &json!({ "text": "a fox" }), &json!({}));
    task.options.insert("checkpoint".into(), json!("dreamshaper"));
    assert_eq!(run(&SdWebui, &cx, &task).await.unwrap_err().kind, Kind::InvalidInput);
    task.options.remove("checkpoint");
    task.model = "dreamshaper".into();
    assert_eq!(run(&SdWebui, &cx, &task).await.unwrap_err().kind, Kind::Account);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        let task =
            support::task("sdwebui", "stable-diffusion", "stable-diffusion-xl", &json!({ "text": words }), &json!({}));
        let fault = run(&SdWebui, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn a_server_that_is_off_was_never_reached() {
    let cx = support::cx(&SdWebui, &"http://127.0.0.1:1".parse().unwrap(), &[]);
    let task =
        support::task("sdwebui", "stable-diffusion", "stable-diffusion-xl", &json!({ "text": "a fox" }), &json!({}));
    let fault = run(&SdWebui, &cx, &task).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::Down, Verdict::NotReached));
}
