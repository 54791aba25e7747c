//! Hedra against its double, on both protocols.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cx, Handle, Progress, Provider, Reconciled, Submitted, Task, adapters::hedra::Hedra},
};
use serde_json::json;

use super::{
    doubles::hedra::{Double, KEY, V2_KEY},
    support::{self, PNG, finish, run, run_every_route, wav},
};

const SECRETS: &[(&str, &str)] = &[("HEDRA_API_KEY", KEY), ("HEDRA_V2_API_KEY", V2_KEY)];

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    let cx = support::cx(&Hedra, &base, SECRETS);
    (double, cx)
}

/// A portrait with a recording on v3 (the prompt steers the double), or speech alone on v2 (the text does).
fn task(api: &str, words: &str) -> Task {
    match api {
        "v3" => {
            let input = json!({ "image": PNG, "audio": wav() });
            support::task("hedra", "hedra", "character-3", &input, &json!({ "prompt": words }))
        }
        _ => support::task("hedra", "hedra", "tts", &json!({ "text": words }), &json!({})),
    }
}

/// A portrait that speaks a text: a chain of two jobs on v3.
fn chain(text: &str) -> Task {
    let mut task =
        support::task("hedra", "hedra", "kling-avatar-v2", &json!({ "image": PNG, "text": text }), &json!({}));
    task.options.insert("voice".into(), json!("Ann"));
    task
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (_, cx) = start().await;
    run_every_route(&Hedra, &cx).await;
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let (_, cx) = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[rejected]]", Kind::Moderated, Verdict::Refused),
    ] {
        for api in ["v3", "v2"] {
            // The errors of the older service are not documented; what became of a submit is looked up there.
            let verdict = if (api, words) == ("v3", "[[broken]]") { Verdict::Refused } else { verdict };
            let fault = run(&Hedra, &cx, &task(api, words)).await.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{api} {words}");
        }
    }
}

#[tokio::test]
async fn odd_states_and_bare_results_are_borne() {
    let (_, cx) = start().await;
    for (api, words) in [("v3", "[[odd]]"), ("v2", "[[odd]]"), ("v2", "[[bare]]")] {
        run(&Hedra, &cx, &task(api, words)).await.unwrap();
    }
    for (api, id) in [("v3", "job_99"), ("v2", "5f0f2b0e-3c1d-4a52-9d51-0d5f3c7a1b11")] {
        let fault = Hedra.poll(&cx, &task(api, "Hello"), &Handle(id.into())).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Gone, "{api}");
    }
}

#[tokio::test]
async fn a_text_is_spoken_first_and_the_portrait_started_once() {
    let (double, cx) = start().await;
    let task = chain("Hello");
    let Submitted::Accepted { handle, .. } = Hedra.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    for _ in 0..3 {
        assert!(!matches!(Hedra.poll(&cx, &task, &handle).await.unwrap(), Progress::Done(_)));
    }
    // Another process knows nothing of the second job, and starts none but the same.
    let other = support::cx(&Hedra, &cx.base.clone().unwrap(), SECRETS);
    finish(&Hedra, &other, &task, &handle).await.unwrap();
    finish(&Hedra, &cx, &task, &handle).await.unwrap();
    assert_eq!(double.started(), ["elevenlabs-multilingual-v2", "kling-ai-avatar-v2"]);
}

#[tokio::test]
async fn a_chain_that_is_refused_half_way_has_failed() {
    let (_, cx) = start().await;
    let mut task = chain("Hello");
    task.options.insert("prompt".into(), json!("[[moderated]]"));
    assert_eq!(run(&Hedra, &cx, &task).await.unwrap_err().kind, Kind::Moderated);
    let fault = run(&Hedra, &cx, &chain("[[failed]]")).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Failed);
}

#[tokio::test]
async fn a_lost_submit_is_found() {
    let (double, cx) = start().await;
    for api in ["v3", "v2"] {
        let lost = task(api, "[[garbled]]");
        assert_eq!(Hedra.submit(&cx, &lost).await.unwrap_err().verdict, Verdict::Unknown);
        let Reconciled::Found(handle) = Hedra.reconcile(&cx, &lost).await.unwrap() else { panic!("{api}: not found") };
        finish(&Hedra, &cx, &lost, &handle).await.unwrap();
    }
    assert_eq!(double.started().len(), 2);
    assert!(matches!(Hedra.reconcile(&cx, &task("v2", "never sent")).await, Ok(Reconciled::Absent)));
}

#[tokio::test]
async fn keys_are_checked_without_spending() {
    let (_, cx) = start().await;
    Hedra.check(&cx).await.unwrap();
    for name in ["HEDRA_API_KEY", "HEDRA_V2_API_KEY"] {
        let cx = support::cx(&Hedra, &cx.base.clone().unwrap(), &[(name, "wrong")]);
        assert_eq!(Hedra.check(&cx).await.unwrap_err().kind, Kind::Account);
    }
}
