//! The database itself refuses what would break the books.

use std::time::Duration;

use serde_json::json;

use crate::support::{IMAGE_COST, TestApp, image};

/// The constraint or trigger that a statement runs into.
async fn refusal(app: &TestApp, statement: &'static str) -> String {
    let error = app.sql(statement).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned)
}

#[tokio::test]
async fn ledger_rows_are_immutable() {
    let app = TestApp::start().await;
    for statement in
        ["update ledger_transfer set amount = amount + 1", "delete from ledger_transfer", "truncate ledger_transfer"]
    {
        assert_eq!(refusal(&app, statement).await, "ledger rows are immutable");
    }
}

#[tokio::test]
async fn a_hold_is_made_and_closed_once() {
    let app = TestApp::start().await;
    let id = app.ask(image("a")).await.id();
    app.finish(&id).await;
    for kind in [
        "insert into ledger_transfer select account_id, mode, reference, 'hold', amount, at from ledger_transfer where kind = 'hold'",
        "insert into ledger_transfer select account_id, mode, reference, 'capture', amount, at from ledger_transfer where kind = 'hold'",
        "insert into ledger_transfer select account_id, mode, reference, 'release', amount, at from ledger_transfer where kind = 'hold'",
    ] {
        assert_eq!(refusal(&app, kind).await, "ledger_transfer_once");
    }
    app.audit().await;
}

#[tokio::test]
async fn nothing_is_captured_that_was_not_held() {
    let app = TestApp::start().await;
    app.ask(image("a")).await.id();
    for statement in [
        "insert into ledger_transfer select account_id, mode, gen_random_uuid(), 'capture', 5, at from ledger_transfer",
        "insert into ledger_transfer select account_id, mode, reference, 'capture', amount, at from ledger_transfer where kind = 'top-up'",
        "insert into ledger_transfer select account_id, mode, reference, 'capture', amount + 1, at from ledger_transfer where kind = 'hold'",
        "insert into ledger_transfer select account_id, 'live', reference, 'release', amount, at from ledger_transfer where kind = 'hold'",
    ] {
        assert_eq!(refusal(&app, statement).await, "only what is held is captured or released", "{statement}");
    }
}

#[tokio::test]
async fn no_balance_is_negative_and_no_amount_is_nothing() {
    let app = TestApp::start().await;
    for (statement, constraint) in [
        ("update purse set available = -1", "purse_available_not_negative"),
        ("update purse set held = held - 1", "purse_held_not_negative"),
        ("update purse set running = running - 1", "purse_running_not_negative"),
        ("update purse set waiting = waiting - 1", "purse_waiting_not_negative"),
        (
            "insert into ledger_transfer select account_id, mode, gen_random_uuid(), 'hold', 0, at from ledger_transfer",
            "ledger_transfer_amount_positive",
        ),
    ] {
        assert_eq!(refusal(&app, statement).await, constraint);
    }
}

#[tokio::test]
async fn a_generation_ends_with_what_its_end_needs() {
    let app = TestApp::start().await;
    app.ask(image("a")).await.id();
    for (statement, constraint) in [
        ("update generation set status = 'COMPLETED', completed_at = now()", "generation_result_when_completed"),
        ("update generation set status = 'FAILED', completed_at = now()", "generation_error_when_failed"),
        ("update generation set status = 'CANCELLED'", "generation_ends_once"),
        ("update job set stage = 'running'", "job_handle_once_running"),
        ("update job set due_at = null", "job_due_unless_waiting"),
    ] {
        assert_eq!(refusal(&app, statement).await, constraint);
    }
}

#[tokio::test]
async fn the_audit_notices_what_no_constraint_can() {
    let app = TestApp::start().await;
    let id = app.ask(image("a")).await.id();
    app.finish(&id).await;
    app.audit().await;
    app.sql("update purse set available = available + 1 where mode = 'test' and held = 0").await.unwrap();
    let audit = doitong::ledger::audit(&app.app.pool).await.unwrap();
    assert!(audit.purses_off > 0, "{audit:?}");
}

#[tokio::test]
async fn every_end_leaves_one_closing_entry_of_the_whole_cost() {
    let app = TestApp::start().await;
    for text in ["a", "[[fail]]", "[[reject]]"] {
        let id = app.ask(image(text)).await.id();
        app.finish(&id).await;
    }
    let cancelled = app.ask(image("b")).await.id();
    app.cancel(&cancelled).await;
    app.advance(Duration::ZERO).await;
    assert_eq!(app.count("select count(*) from ledger_transfer where closes").await, 4);
    assert_eq!(app.count("select sum(amount)::bigint from ledger_entry where book = 'spent'").await, IMAGE_COST);
    assert_eq!(app.count("select sum(amount)::bigint from ledger_entry").await, 0);
    let credits = app.account(&app.key.key).await["credits"].clone();
    assert_eq!(credits, json!({"balance": 99_975, "held": 0, "available": 99_975}));
}
