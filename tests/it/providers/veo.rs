//! Google video against its double.

use std::time::Duration;

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cancelled, Cx, Handle, Progress, Provider, Submitted, Task, adapters::veo::Veo},
};
use serde_json::json;

use super::{
    doubles::{
        google::{KEY, account},
        veo::Double,
    },
    support::{self, PNG, finish, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(Double::default().router()).await;
    let mut secrets = account().to_vec();
    secrets.push(("GEMINI_API_KEY", KEY));
    support::cx(&Veo, &base, &secrets)
}

fn omni(words: &str) -> Task {
    support::task("veo", "veo", "omni-1.1-flash", &json!({ "text": words }), &json!({}))
}

fn veo(words: &str) -> Task {
    support::task("veo", "veo", "veo-3.1", &json!({ "text": words }), &json!({}))
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&Veo, &start().await).await;
}

#[tokio::test]
async fn an_interaction_ends_in_a_link_that_needs_the_key() {
    let outputs = run(&Veo, &start().await, &omni("a boat")).await.unwrap();
    let Source::Url { url, authorized } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.as_str().ends_with("/v1beta/files/abc:download?alt=media") && *authorized);
    assert_eq!(outputs.files[0].content_type.as_deref(), Some("video/mp4"));
}

#[tokio::test]
async fn an_operation_ends_in_bytes() {
    let outputs = run(&Veo, &start().await, &veo("a boat")).await.unwrap();
    assert!(matches!(&outputs.files[0].source, Source::Bytes(bytes) if bytes[4..].starts_with(b"ftyp")));
}

#[tokio::test]
async fn first_and_last_picture_go_along() {
    let input = json!({"text": "a boat", "image": PNG, "lastImage": PNG});
    run(&Veo, &start().await, &support::task("veo", "veo", "veo-3.1", &input, &json!({}))).await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Refused),
        ("[[invalid]]", Kind::InvalidInput, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        for task in [omni(words), veo(words)] {
            let fault = run(&Veo, &cx, &task).await.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{} {words}", task.model);
        }
    }
    let fault = run(&Veo, &cx, &veo("[[busy]]")).await.unwrap_err();
    assert_eq!(fault.retry_after, Some(Duration::from_secs(48)));
}

#[tokio::test]
async fn failures_say_what_they_are() {
    let cx = start().await;
    for (task, kind) in [
        (omni("[[failed]]"), Kind::Failed),
        (omni("[[refused]]"), Kind::Moderated),
        (veo("[[failed]]"), Kind::Failed),
        (veo("[[refused]]"), Kind::Moderated),
        (veo("[[filtered]]"), Kind::Moderated),
    ] {
        assert_eq!(run(&Veo, &cx, &task).await.unwrap_err().kind, kind, "{:?}", task.input.text);
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let (cx, task) = (start().await, omni("[[odd]]"));
    let Submitted::Accepted { handle, .. } = Veo.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    assert!(matches!(Veo.poll(&cx, &task, &handle).await.unwrap(), Progress::Queued));
    assert!(matches!(Veo.poll(&cx, &task, &handle).await.unwrap(), Progress::Running(None)));
    finish(&Veo, &cx, &task, &handle).await.unwrap();
}

#[tokio::test]
async fn an_interaction_can_be_cancelled_while_it_runs() {
    let (cx, task) = (start().await, omni("a boat"));
    let Submitted::Accepted { handle, .. } = Veo.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    assert_eq!(Veo.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Veo.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(Veo.cancel(&cx, &task, &Handle("v1_none".into())).await.unwrap(), Cancelled::TooLate);
    assert_eq!(Veo.cancel(&cx, &veo("a boat"), &handle).await.unwrap(), Cancelled::Unsupported);
}

#[tokio::test]
async fn an_unknown_task_is_gone() {
    let cx = start().await;
    for task in [omni("a boat"), veo("a boat")] {
        assert_eq!(Veo.poll(&cx, &task, &Handle("none".into())).await.unwrap_err().kind, Kind::Gone);
    }
}

#[tokio::test]
async fn credentials_are_proved_by_list_and_token() {
    let cx = start().await;
    Veo.check(&cx).await.unwrap();
    let base = cx.base.clone().unwrap();
    Veo.check(&support::cx(&Veo, &base, &account())).await.unwrap();
    let wrong = support::cx(&Veo, &base, &[("GEMINI_API_KEY", "wrong")]);
    assert_eq!(Veo.check(&wrong).await.unwrap_err().kind, Kind::Account);
    let no_file = support::cx(&Veo, &base, &[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")]);
    assert_eq!(Veo.check(&no_file).await.unwrap_err().kind, Kind::Account);
}
