//! Clocks that jump: nothing runs twice, and nothing stays behind for longer than the jump.

use std::time::Duration;

use doitong::domain::{Mode, Plan};
use serde_json::json;

use crate::support::{Double, TestApp, image, live_video};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_clock_that_jumps_ahead_ends_leases_and_submits_nothing_again() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let other = app.beside_with(double.settings()).await;
    let key = app.live_key().await;
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    // A worker has it when the clock jumps; another one takes it over.
    app.clock.advance(Duration::from_secs(2));
    let (old, claimed) = app.app.jobs.claim(1, &[], Duration::from_mins(1)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    other.advance(DAY).await;
    let ended = other.generation_as(&key, &id).await;
    assert_eq!((&ended["status"], double.asked("submit")), (&"COMPLETED".into(), 1), "{ended:#}");
    assert!(app.app.jobs.put_back(claimed[0].id, old, app.clock.now(), 0).await.unwrap().is_err());
    app.audit().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_delays_by_as_much_and_runs_nothing_twice() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let key = app.live_key().await;
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    app.clock.set_back(Duration::from_mins(10));
    app.advance(Duration::from_mins(9)).await;
    assert_eq!(app.generation_as(&key, &id).await["status"], "PROCESSING");
    // New work does not wait for the old time.
    let next = app.ask_as(&key, None, live_video("b")).await.id();
    app.advance(Duration::ZERO).await;
    app.advance(Duration::from_secs(30)).await;
    assert_eq!(app.generation_as(&key, &next).await["status"], "COMPLETED");
    app.advance(Duration::from_mins(1)).await;
    assert_eq!(app.generation_as(&key, &id).await["status"], "COMPLETED");
    assert_eq!(double.asked("submit"), 2);
    app.audit().await;
}

#[tokio::test]
async fn limits_are_not_wider_after_a_clock_was_set_back() {
    let app = TestApp::on(Plan::Free).await;
    let key = app.new_key("mover", Plan::Free, Mode::Test, None).await.key;
    let mut admitted = 0;
    for round in 0..30 {
        let answer = app.ask_as(&key, None, image("a")).await;
        admitted += u32::from(answer.body["data"]["generate"]["id"].is_string());
        if round % 3 == 0 {
            app.clock.set_back(Duration::from_secs(50));
            app.clock.advance(Duration::from_secs(50));
        }
    }
    // 10 a minute, and what the seconds of this test refill.
    assert!((10..=12).contains(&admitted), "{admitted}");
}

/// A machine boots in a year that is far ahead, works, and is set right.
#[tokio::test]
async fn what_a_clock_far_ahead_has_left_behind_is_forgotten() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let key = app.live_key().await;
    let years = 3650 * DAY;
    app.clock.advance(years);
    double.runs_for(1);
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    for _ in 0..9 {
        app.ask_as(&key, None, live_video("b")).await.id();
    }
    app.clock.set_back(years);
    app.advance(Duration::from_mins(2)).await;
    assert_eq!(app.generation_as(&key, &id).await["status"], "PROCESSING", "it is due in ten years");

    app.app.jobs.keep_house(0).await.unwrap();
    for _ in 0..4 {
        app.advance(Duration::from_mins(1)).await;
    }
    let ended = app.generation_as(&key, &id).await;
    assert_eq!((&ended["status"], &ended["attempts"][0]["outcome"]), (&"COMPLETED".into(), &"COMPLETED".into()));
    // The minute refills again, and the day is today.
    let usage = app.account(&key).await["usage"].clone();
    assert_eq!((&usage["minuteRemaining"], &usage["dailyUsed"]), (&json!(10), &json!(10)), "{usage}");
    app.ask_as(&key, None, live_video("c")).await.id();
    app.audit().await;
}
