//! `ModelArk` against its double.

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cancelled, Cx, Handle, Progress, Provider, Submitted, Task, adapters::ark::Ark},
};
use serde_json::json;

use super::{
    doubles::ark::{Double, KEY},
    support::{self, LINK, finish, run, run_every_route},
};

async fn start() -> Cx {
    support::cx(&Ark, &support::serve(Double::default().router()).await, &[("ARK_API_KEY", KEY)])
}

fn clip(words: &str) -> Task {
    support::task("ark", "seedance", "2.0", &json!({ "text": words }), &json!({}))
}

fn picture(words: &str) -> Task {
    support::task("ark", "seedream", "4.0", &json!({ "text": words }), &json!({}))
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start().await;
    run_every_route(&Ark, &cx).await;
}

#[tokio::test]
async fn a_clip_ends_in_an_address_and_its_seed() {
    let outputs = run(&Ark, &start().await, &clip("a fox")).await.unwrap();
    let Source::Url { url, authorized } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.as_str().ends_with("/clip.mp4") && !authorized);
    assert_eq!(outputs.seed, Some(4711));
}

#[tokio::test]
async fn a_dance_is_taken_from_a_clip() {
    let input = json!({"text": "dance", "images": [LINK], "video": LINK, "audio": LINK});
    run(&Ark, &start().await, &support::task("ark", "seedance", "2.5", &input, &json!({"task": "reference"})))
        .await
        .unwrap();
}

#[tokio::test]
async fn each_picture_is_a_call() {
    let options = json!({"n": 3, "resolution": "4k", "aspectRatio": "16:9"});
    let task = support::task("ark", "seedream", "4.5", &json!({"text": "a fox"}), &options);
    assert_eq!(run(&Ark, &start().await, &task).await.unwrap().files.len(), 3);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[quota]]", Kind::Account, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[closed]]", Kind::Account, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        for task in [clip(words), picture(words)] {
            let fault = run(&Ark, &cx, &task).await.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{} {words}", task.model);
        }
    }
}

#[tokio::test]
async fn failures_say_what_they_are() {
    let cx = start().await;
    for (words, kind) in [("[[failed]]", Kind::Failed), ("[[unsafe]]", Kind::Moderated), ("[[expired]]", Kind::Failed)]
    {
        assert_eq!(run(&Ark, &cx, &clip(words)).await.unwrap_err().kind, kind, "{words}");
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running_and_an_unknown_task_gone() {
    let (cx, task) = (start().await, clip("[[odd]]"));
    let Submitted::Accepted { handle, .. } = Ark.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    assert!(matches!(Ark.poll(&cx, &task, &handle).await.unwrap(), Progress::Queued));
    assert!(matches!(Ark.poll(&cx, &task, &handle).await.unwrap(), Progress::Running(None)));
    finish(&Ark, &cx, &task, &handle).await.unwrap();
    assert_eq!(Ark.poll(&cx, &task, &Handle("none".into())).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn only_a_waiting_clip_can_be_cancelled() {
    let (cx, task) = (start().await, clip("a fox"));
    let Submitted::Accepted { handle, .. } = Ark.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    assert_eq!(Ark.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Ark.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    let Submitted::Accepted { handle, .. } = Ark.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    for _ in 0..2 {
        Ark.poll(&cx, &task, &handle).await.unwrap();
    }
    assert_eq!(Ark.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
}

#[tokio::test]
async fn credentials_are_proved_by_the_task_list() {
    let cx = start().await;
    Ark.check(&cx).await.unwrap();
    let wrong = support::cx(&Ark, &cx.base.clone().unwrap(), &[("ARK_API_KEY", "wrong")]);
    assert_eq!(Ark.check(&wrong).await.unwrap_err().kind, Kind::Account);
}
