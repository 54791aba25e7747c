//! ComfyUI against its double.

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cancelled, Cx, Handle, Progress, Provider, Reconciled, Submitted, Task, adapters::comfyui::ComfyUi},
};
use serde_json::{Value, json};

use super::{
    doubles::comfyui::Double,
    support::{self, PNG, finish, run, run_every_route},
};

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    let address = base.as_str().replace("http://", "http://user:pass%3Aword@");
    let cx = support::cx(&ComfyUi, &base, &[("COMFYUI_URL", address.as_str())]);
    (double, Cx { base: None, ..cx })
}

fn task(words: &str, options: &Value) -> Task {
    support::task("comfyui", "stable-diffusion", "stable-diffusion-xl", &json!({ "text": words }), options)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (_, cx) = start().await;
    run_every_route(&ComfyUi, &cx).await;
}

#[tokio::test]
async fn a_picture_is_queued_made_and_fetched_from_the_server() {
    let (double, cx) = start().await;
    let outputs =
        run(&ComfyUi, &cx, &task("a fox", &json!({ "seed": 5, "aspectRatio": "16:9", "n": 2 }))).await.unwrap();
    let Source::Url { url, authorized } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.as_str().ends_with("/double/view?filename=ComfyUI_00001_.png&subfolder=&type=output") && *authorized);
    assert_eq!(outputs.seed, Some(5));
    assert_eq!(double.graphs()[0]["5"]["inputs"], json!({ "width": 1344, "height": 768, "batch_size": 2 }));
}

#[tokio::test]
async fn a_picture_given_is_uploaded_first() {
    let (double, cx) = start().await;
    let input = json!({ "text": "in winter", "image": PNG });
    let task = support::task("comfyui", "stable-diffusion", "stable-diffusion-xl", &input, &json!({ "strength": 0.4 }));
    run(&ComfyUi, &cx, &task).await.unwrap();
    let graph = &double.graphs()[0];
    assert!(graph["10"]["inputs"]["image"].as_str().unwrap().starts_with("stored-gen_"));
    assert_eq!(graph["3"]["inputs"]["denoise"], 0.4);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[refused]]", Kind::InvalidInput, Verdict::Refused),
        ("[[part]]", Kind::Account, Verdict::Refused),
    ] {
        let (_, cx) = start().await;
        let fault = run(&ComfyUi, &cx, &task(words, &json!({}))).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_missing_there_is_our_trouble_unless_the_caller_named_it() {
    let (_, cx) = start().await;
    let mut task = task("a fox", &json!({}));
    task.model = "missing.safetensors".into();
    assert_eq!(run(&ComfyUi, &cx, &task).await.unwrap_err().kind, Kind::Account);
    task.options.insert("checkpoint".into(), json!("mine.safetensors"));
    assert_eq!(run(&ComfyUi, &cx, &task).await.unwrap_err().kind, Kind::InvalidInput);
}

#[tokio::test]
async fn a_lost_submit_is_found_by_our_own_id() {
    let (_, cx) = start().await;
    let lost = task("[[garbled]]", &json!({}));
    ComfyUi.submit(&cx, &lost).await.unwrap_err();
    let Reconciled::Found(handle) = ComfyUi.reconcile(&cx, &lost).await.unwrap() else { panic!("not found") };
    finish(&ComfyUi, &cx, &lost, &handle).await.unwrap();
    assert!(matches!(ComfyUi.reconcile(&cx, &task("never sent", &json!({}))).await.unwrap(), Reconciled::Absent));
}

#[tokio::test]
async fn a_job_is_stopped_where_it_is() {
    let (_, cx) = start().await;
    let slow = task("[[slow]]", &json!({}));
    let Submitted::Accepted { handle, .. } = ComfyUi.submit(&cx, &slow).await.unwrap() else { panic!("at once") };
    assert_eq!(ComfyUi.cancel(&cx, &slow, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(ComfyUi.cancel(&cx, &slow, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(finish(&ComfyUi, &cx, &slow, &handle).await.unwrap_err().kind, Kind::Gone);

    let Submitted::Accepted { handle, .. } = ComfyUi.submit(&cx, &slow).await.unwrap() else { panic!("at once") };
    assert!(matches!(ComfyUi.poll(&cx, &slow, &handle).await.unwrap(), Progress::Queued));
    assert!(matches!(ComfyUi.poll(&cx, &slow, &handle).await.unwrap(), Progress::Running(None)));
    assert_eq!(ComfyUi.cancel(&cx, &slow, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(finish(&ComfyUi, &cx, &slow, &handle).await.unwrap_err().kind, Kind::Failed);
}

#[tokio::test]
async fn a_job_that_two_looks_do_not_find_is_gone() {
    let (_, cx) = start().await;
    ComfyUi.check(&cx).await.unwrap();
    let (task, handle) = (task("a fox", &json!({})), Handle("unknown".into()));
    assert!(matches!(ComfyUi.poll(&cx, &task, &handle).await.unwrap(), Progress::Running(None)));
    let fault = ComfyUi.poll(&cx, &task, &handle).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Gone);
}
