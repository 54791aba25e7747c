//! Many callers at once, on two processes: limits and money hold exactly, and all of them is used.

use doitong::{
    accounts::Agreed,
    domain::{Mode, Plan},
};
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use serde_json::json;

use crate::support::{Answer, IMAGE_COST, TestApp, image};

/// So many callers at once, half of them on each app.
async fn at_once(apps: [&TestApp; 2], key: &str, callers: usize) -> Vec<Answer> {
    join_all((0..callers).map(|n| apps[n % 2].ask_as(key, None, image(&n.to_string())))).await
}

fn admitted(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.body["data"]["generate"]["id"].is_string()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_get_the_minute_and_not_one_more() {
    let app = TestApp::start().await;
    let other = app.beside().await;
    app.set_plan(Plan::Pro, Agreed { per_minute: Some(20), ..Agreed::default() }).await;
    app.hold_minute().await;
    let answers = at_once([&app, &other], &app.key.key, 64).await;
    assert_eq!(admitted(&answers), 20);
    let mut left: Vec<_> =
        answers.iter().filter(|answer| answer.status == 200).map(|a| a.number("x-ratelimit-remaining")).collect();
    left.sort_unstable();
    assert_eq!(left, (0..20).collect::<Vec<_>>());
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).map(Answer::refusal).collect();
    assert_eq!(refused, [("RATE_LIMIT", "REQUESTS_PER_MINUTE"); 44]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_spend_the_balance_and_not_one_credit_more() {
    let app = TestApp::start().await;
    let other = app.beside().await;
    let key = app.new_key("poor", Plan::Enterprise, Mode::Test, Some(17 * IMAGE_COST + 24)).await.key;
    let answers = at_once([&app, &other], &key, 64).await;
    assert_eq!(admitted(&answers), 17);
    assert!(
        answers.iter().filter(|answer| answer.body["data"].is_null()).all(|a| a.refusal().0 == "INSUFFICIENT_CREDITS")
    );
    let credits = app.account(&key).await["credits"].clone();
    assert_eq!(credits, json!({"balance": 17 * IMAGE_COST + 24, "held": 17 * IMAGE_COST, "available": 24}));
    app.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_fill_the_places_and_the_queue_exactly() {
    let app = TestApp::on(Plan::Enterprise).await;
    let other = app.beside().await;
    app.set_plan(Plan::Enterprise, Agreed { concurrent: Some(3), queued: Some(30), ..Agreed::default() }).await;
    let answers = at_once([&app, &other], &app.key.key, 64).await;
    assert_eq!(admitted(&answers), 33);
    let mut positions: Vec<_> =
        answers.iter().filter_map(|answer| answer.body["data"]["generate"]["queuePosition"].as_i64()).collect();
    positions.sort_unstable();
    assert_eq!(positions, (1..=30).collect::<Vec<_>>());
    assert_eq!(app.count("select count(*) from job where stage = 'ready'").await, 3);
    let usage = app.account(&app.key.key).await["usage"].clone();
    assert_eq!((&usage["running"], &usage["queued"]), (&3.into(), &30.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_twins_make_one_job_and_one_charge() {
    let app = TestApp::on(Plan::Free).await;
    let other = app.beside().await;
    let twin = |n: usize| [&app, &other][n % 2].ask_as(&app.key.key, Some("twin"), image("twin"));
    let answers = join_all((0..200).map(twin)).await;
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    assert_eq!(answers.iter().filter(|answer| answer.is_replay()).count(), 199);
    assert_eq!(app.count("select count(*) from generation").await, 1);
    assert_eq!(app.account(&app.key.key).await["credits"]["held"], IMAGE_COST);
    assert_eq!(app.account(&app.key.key).await["usage"]["dailyUsed"], 1);
    app.finish(&answers[0].id()).await;
    app.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_of_many_accounts_do_not_block_each_other() {
    let app = TestApp::start().await;
    let mut keys = Vec::new();
    for n in 0..8 {
        keys.push(app.new_key(&format!("account-{n}"), Plan::Free, Mode::Test, None).await.key);
    }
    app.hold_minute().await;
    let answers = join_all((0..96).map(|n| app.ask_as(&keys[n % 8], None, image(&n.to_string())))).await;
    assert_eq!(admitted(&answers), 80);
    assert_eq!(app.count("select count(*) from purse where mode = 'test' and running = 1 and waiting = 9").await, 8);
    app.audit().await;
}

/// So many operations may be under way at once.
const UNDER_WAY: usize = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_more_than_can_be_answered_soon_is_refused_at_once_and_the_rest_is_served() {
    let app = TestApp::on(Plan::Enterprise).await;
    let plenty = Agreed { per_minute: Some(1_000), concurrent: Some(1_000), daily: None, queued: Some(1_000) };
    app.set_plan(Plan::Enterprise, plenty).await;
    app.account(&app.key.key).await;
    // Nothing is admitted while another holds the purses.
    let mut holder = app.app.pool.begin().await.unwrap();
    sqlx::query("lock table purse in access exclusive mode").execute(&mut *holder).await.unwrap();
    let asked = (0..UNDER_WAY + 44).map(|n| {
        let app = &app;
        async move { app.ask_as(&app.key.key, None, image(&n.to_string())).await }
    });
    let mut answers: FuturesUnordered<_> = asked.collect();
    for _ in 0..44 {
        let refused = answers.next().await.unwrap();
        assert_eq!((refused.status, refused.refusal()), (503, ("INTERNAL", "OVERLOADED")));
        assert_eq!(refused.body["errors"][0]["extensions"]["retryable"], true);
        assert_eq!(refused.number("retry-after"), 1);
    }
    holder.rollback().await.unwrap();
    let served: Vec<Answer> = answers.collect().await;
    assert_eq!(admitted(&served), UNDER_WAY);
    app.audit().await;
}
