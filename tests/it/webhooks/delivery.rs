//! What is sent, and when it is sent again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, response::Redirect, routing::post};
use doitong::domain::Plan;
use serde_json::{Value, json};

use super::{end, hooked, unhurried};
use crate::support::{Receiver, TestApp, image};

const REDELIVER: &str = "mutation R($id: ID!) { redeliverWebhook(generationId: $id) }";

#[tokio::test]
async fn the_end_of_a_generation_is_sent_as_documented() {
    let (app, receiver) = (TestApp::start().await, Receiver::start(&[]).await);
    let id = app.ask(hooked("a", &receiver.url)).await.id();
    let done = app.finish(&id).await;
    let [hook] = &receiver.received()[..] else { panic!("{:?}", receiver.received()) };
    assert_eq!(hook.header("content-type"), "application/json");
    let moment = |moment: &Value| {
        let moment: chrono::DateTime<chrono::Utc> = moment.as_str().unwrap().parse().unwrap();
        moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    let body = json!({"type": "generation.completed", "timestamp": moment(&done["completedAt"]), "data": {
        "id": id, "status": "COMPLETED", "type": "IMAGE", "provider": "flux-dev", "model": done["model"], "url": done["url"],
        "metadata": done["metadata"], "creditCost": 25, "error": null, "labels": {"order": 17},
        "createdAt": moment(&done["createdAt"]), "completedAt": moment(&done["completedAt"]),
    }});
    assert_eq!(hook.json(), body);
    assert_eq!(done["webhook"]["delivered"], true);
}

#[tokio::test]
async fn failures_and_cancels_are_sent_too() {
    let (app, receiver) = (TestApp::start().await, Receiver::start(&[]).await);
    let failed = app.ask(hooked("[[reject]]", &receiver.url)).await.id();
    let failed = app.finish(&failed).await;
    let cancelled = end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    let [first, second] = &receiver.received()[..] else { panic!("{:?}", receiver.received()) };
    assert_eq!(
        (&first.json()["type"], &first.json()["data"]["error"]),
        (&"generation.failed".into(), &failed["error"])
    );
    assert_eq!((&first.json()["data"]["url"], &first.json()["data"]["metadata"]), (&Value::Null, &Value::Null));
    assert_eq!((&second.json()["type"], &second.json()["data"]["id"]), (&"generation.cancelled".into(), &cancelled));
    assert_eq!(
        (&second.json()["data"]["status"], &second.json()["data"]["error"]),
        (&"CANCELLED".into(), &Value::Null)
    );
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_by_the_schedule_with_the_same_id() {
    let (app, receiver) = (unhurried().await, Receiver::start(&[500; 20]).await);
    let id = end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    for (n, wait) in [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400].into_iter().enumerate() {
        assert_eq!(receiver.received().len(), n + 1);
        let webhook = app.generation(&id).await["webhook"].clone();
        assert_eq!((&webhook["attempts"], &webhook["lastStatus"]), (&(n + 1).into(), &500.into()));
        assert!(webhook["nextAttemptAt"].is_string() && webhook["delivered"] == false);
        app.advance(Duration::from_millis(wait * 1000 - 2700)).await;
        assert_eq!(receiver.received().len(), n + 1, "too early, {wait} s");
        app.advance(Duration::from_secs(wait / 10 + 4)).await;
    }
    app.advance(Duration::from_hours(100)).await;
    assert_eq!(receiver.received().len(), 10);
    let webhook = app.generation(&id).await["webhook"].clone();
    assert_eq!((&webhook["delivered"], &webhook["nextAttemptAt"]), (&false.into(), &Value::Null));
    let ids: Vec<_> = receiver.received().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert!(ids.iter().all(|other| *other == ids[0]) && ids[0].starts_with("msg_"), "{ids:?}");
    let bodies: Vec<_> = receiver.received().into_iter().map(|received| received.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn a_receiver_that_recovers_gets_it_once() {
    let (app, receiver) = (unhurried().await, Receiver::start(&[503, 404]).await);
    let id = end(&app, &receiver.url).await;
    for wait in [0, 6, 331, 100_000] {
        app.advance(Duration::from_secs(wait)).await;
    }
    assert_eq!(receiver.received().len(), 3);
    let webhook = app.generation(&id).await["webhook"].clone();
    assert_eq!(
        webhook,
        json!({"url": receiver.url, "attempts": 3, "delivered": true, "lastStatus": 200, "nextAttemptAt": null})
    );
}

#[tokio::test]
async fn gone_stops_it() {
    let (app, receiver) = (unhurried().await, Receiver::start(&[410]).await);
    let id = end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    app.advance(Duration::from_hours(24)).await;
    assert_eq!(receiver.received().len(), 1);
    let webhook = app.generation(&id).await["webhook"].clone();
    assert_eq!((&webhook["lastStatus"], &webhook["nextAttemptAt"]), (&410.into(), &Value::Null));
}

/// A receiver of one's own; the number counts who comes to `/landed`.
#[expect(clippy::disallowed_methods, reason = "the receiver ends with the test's runtime")]
async fn receiver(router: Router) -> (String, Arc<AtomicUsize>) {
    let landed = Arc::new(AtomicUsize::new(0));
    let counter = landed.clone();
    let land = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = router.route("/landed", post(land.clone()).get(land));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, landed)
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_counts_as_not_taken() {
    let app = unhurried().await;
    let (url, landed) = receiver(Router::new().route("/hook", post(|| async { Redirect::temporary("/landed") }))).await;
    let id = end(&app, &url).await;
    app.advance(Duration::ZERO).await;
    let webhook = app.generation(&id).await["webhook"].clone();
    assert_eq!((&webhook["lastStatus"], &webhook["delivered"]), (&307.into(), &false.into()));
    assert!(webhook["nextAttemptAt"].is_string());
    assert_eq!(landed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_asked_again() {
    let app = unhurried().await;
    let hang = || async { tokio::time::sleep(Duration::from_mins(1)).await };
    let (url, _) = receiver(Router::new().route("/hook", post(hang))).await;
    let id = end(&app, &url).await;
    let begun = app.clock.now();
    app.advance(Duration::ZERO).await;
    let took = (app.clock.now() - begun).num_seconds();
    assert!((14..25).contains(&took), "{took} s");
    let webhook = app.generation(&id).await["webhook"].clone();
    assert_eq!((&webhook["attempts"], &webhook["lastStatus"]), (&1.into(), &Value::Null));
    assert!(webhook["nextAttemptAt"].is_string());
}

#[tokio::test]
async fn a_delivery_is_sent_again_on_request() {
    let (app, receiver) = (unhurried().await, Receiver::start(&[200, 500]).await);
    let id = end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    assert_eq!(app.data(REDELIVER, json!({"id": id})).await["redeliverWebhook"], true);
    app.advance(Duration::ZERO).await;
    app.advance(Duration::from_secs(6)).await;
    let hooks = receiver.received();
    assert_eq!(hooks.len(), 3);
    assert!(hooks.iter().all(|hook| hook.header("webhook-id") == hooks[0].header("webhook-id")));
    assert!(hooks.iter().all(|hook| hook.body == hooks[0].body));
}

#[tokio::test]
async fn only_ended_generations_with_a_webhook_are_sent_again() {
    let app = TestApp::start().await;
    let (running, without) = (app.ask(hooked("a", "http://127.0.0.1:9/")).await.id(), app.ask(image("b")).await.id());
    app.cancel(&without).await;
    for id in [running, without] {
        assert_eq!(app.error(REDELIVER, json!({"id": id})).await["code"], "INVALID_INPUT");
    }
    let other = app.new_key("other", Plan::Free, doitong::domain::Mode::Test, None).await.key;
    let id = end(&app, "http://127.0.0.1:9/").await;
    assert_eq!(app.answer(&other, None, REDELIVER, json!({"id": id})).await.refusal().0, "NOT_FOUND");
}

#[tokio::test]
async fn the_outbox_is_written_with_the_end_or_neither_is() {
    let (app, receiver) = (TestApp::start().await, Receiver::start(&[]).await);
    app.sql("alter table delivery add constraint broken check (false) not valid").await.unwrap();
    let id = app.ask(hooked("[[fail]]", &receiver.url)).await.id();
    for _ in 0..3 {
        app.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(app.generation(&id).await["status"], "PROCESSING");
    assert_eq!(app.account(&app.key.key).await["credits"]["held"], 25);
    app.sql("alter table delivery drop constraint broken").await.unwrap();
    app.advance(Duration::from_secs(61)).await;
    assert_eq!((&app.generation(&id).await["status"], receiver.received().len()), (&"FAILED".into(), 1));
    app.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_send_each_webhook_once() {
    let (app, receiver) = (TestApp::start().await, Receiver::start(&[]).await);
    let other = app.beside().await;
    for _ in 0..20 {
        end(&app, &receiver.url).await;
    }
    let (one, two) = (app.drain_apart(), other.drain_apart());
    one.await.unwrap();
    two.await.unwrap();
    let mut ids: Vec<_> = receiver.received().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), receiver.received().len()), (20, 20));
}
