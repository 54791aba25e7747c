//! What is past its time is dropped; months ahead have their place.

use std::time::Duration;

use serde_json::json;

use crate::support::{TestApp, image};

const MONTH: Duration = Duration::from_hours(31 * 24);

#[tokio::test]
async fn a_month_that_began_without_a_partition_stays_where_its_rows_are() {
    let app = TestApp::start().await;
    app.ask(image("a")).await.id();
    let far = "update generation set generation_id = generation_id_floor(now() + interval '150 days')";
    app.sql(far).await.unwrap();
    app.clock.advance(5 * MONTH);
    app.app.jobs.keep_house(0).await.unwrap();
    assert_eq!(app.count("select count(*) from generation_other").await, 1);
    app.clock.advance(MONTH);
    app.app.jobs.keep_house(0).await.unwrap();
}

#[tokio::test]
async fn months_past_retention_are_dropped_with_their_deliveries() {
    let app = TestApp::start().await;
    let mut input = image("a");
    input["webhookUrl"] = json!("http://127.0.0.1:9/");
    let id = app.ask(input).await.id();
    app.cancel(&id).await;
    app.advance(Duration::ZERO).await;
    app.clock.advance(12 * MONTH);
    app.app.jobs.keep_house(13).await.unwrap();
    assert_eq!(app.count("select count(*) from generation").await, 1);
    app.app.jobs.keep_house(3).await.unwrap();
    let left = "select (select count(*) from generation) + (select count(*) from delivery) + (select count(*) from delivery_attempt)";
    assert_eq!(app.count(left).await, 0);
    app.audit().await;
}

#[tokio::test]
async fn a_month_with_a_generation_under_way_is_kept() {
    let app = TestApp::start().await;
    let id = app.ask(image("a")).await.id();
    app.clock.advance(12 * MONTH);
    app.app.jobs.keep_house(3).await.unwrap();
    assert_eq!(app.finish(&id).await["status"], "COMPLETED");
}
