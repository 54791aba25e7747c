//! Circuits: when they open and close, who notices, and who may try.

use std::time::Duration;

use doitong::{
    catalog::RouteId,
    domain::fault::Kind,
    health::{Gate, TRIP},
};
use futures_util::future::join_all;

use crate::support::TestApp;

/// Longer than a circuit stays open the first time.
const OPEN: Duration = Duration::from_secs(31);

fn route() -> RouteId {
    RouteId("flux-dev/flux-dev@bfl".to_owned())
}

async fn trip(app: &TestApp, kind: Kind) {
    for _ in 0..TRIP {
        app.app.health.refused(&route(), kind).await.unwrap();
    }
}

fn is_open(app: &TestApp) -> bool {
    app.app.health.of(&route()).open
}

async fn gate(app: &TestApp) -> Gate {
    app.app.health.pass(&route()).await.unwrap()
}

/// Waits for the other process to know.
async fn within_a_second(app: &TestApp, open: bool) {
    let known = async {
        while is_open(app) != open {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), known).await.is_ok(), "not known within a second");
}

/// Both listen on the bus.
async fn two_processes() -> (TestApp, TestApp) {
    let app = TestApp::start().await;
    let other = app.beside().await;
    let listening = "select count(*) from pg_stat_activity where query like 'LISTEN%' and datname = current_database()";
    while app.count(listening).await < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (app, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_knows_of_a_trip_and_of_its_end_within_a_second() {
    let (app, other) = two_processes().await;
    trip(&app, Kind::Down).await;
    assert!(is_open(&app));
    within_a_second(&other, true).await;
    assert!(matches!(gate(&other).await, Gate::Open(_, Kind::Down)));
    app.app.health.accepted(&route()).await.unwrap();
    within_a_second(&other, false).await;
    assert_eq!(gate(&other).await, Gate::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_probe_at_a_time_goes_through_a_half_open_circuit() {
    let (app, other) = two_processes().await;
    trip(&app, Kind::Down).await;
    within_a_second(&other, true).await;
    for round in 1..=3 {
        app.clock.advance(OPEN);
        let gates = join_all((0..16).map(|n| gate([&app, &other][n % 2]))).await;
        let probes = gates.iter().filter(|gate| **gate == Gate::Closed).count();
        assert_eq!(probes, 1, "round {round}: a probe that never answers is followed by another, later");
    }
}

#[tokio::test]
async fn each_time_it_opens_again_it_stays_open_for_longer() {
    let app = TestApp::start().await;
    trip(&app, Kind::Down).await;
    for seconds in [30, 60, 120] {
        app.clock.advance(Duration::from_secs(seconds - 1));
        assert!(is_open(&app) && matches!(gate(&app).await, Gate::Open(..)), "{seconds} s");
        app.clock.advance(Duration::from_secs(2));
        assert_eq!(gate(&app).await, Gate::Closed, "{seconds} s");
        app.app.health.refused(&route(), Kind::Down).await.unwrap();
    }
}

#[tokio::test]
async fn refusals_in_a_row_open_it_and_others_do_not() {
    let app = TestApp::start().await;
    for kind in [Kind::Down, Kind::Busy, Kind::Account] {
        for _ in 0..3 {
            for _ in 1..TRIP {
                app.app.health.refused(&route(), kind).await.unwrap();
            }
            app.app.health.accepted(&route()).await.unwrap();
        }
        for _ in 0..3 * TRIP {
            app.app.health.refused(&route(), Kind::InvalidInput).await.unwrap();
        }
        assert!(!is_open(&app), "{kind:?}");
    }
}

/// What a probe through a circuit that opened for one kind of trouble shows by its own answer.
#[tokio::test]
async fn a_probe_closes_the_circuits_whose_trouble_is_over() {
    let all = [Kind::Busy, Kind::Down, Kind::Account];
    let stays_open = |opened: Kind, answer: Kind| match answer {
        // It answers, so it is not down; of the rest nothing is known.
        Kind::Busy | Kind::Account => opened != Kind::Down,
        Kind::Down | Kind::Internal | Kind::Garbled | Kind::Gone => true,
        // It looked into the request itself.
        Kind::InvalidInput | Kind::Moderated | Kind::Failed => false,
    };
    let answers =
        [Kind::Busy, Kind::Down, Kind::Account, Kind::Garbled, Kind::Gone, Kind::InvalidInput, Kind::Moderated];
    let app = TestApp::start().await;
    for opened in all {
        for answer in answers {
            app.sql("delete from circuit").await.unwrap();
            app.app.health.reload().await.unwrap();
            trip(&app, opened).await;
            app.clock.advance(OPEN);
            assert_eq!(gate(&app).await, Gate::Closed, "{opened:?}: the probe");
            app.app.health.refused(&route(), answer).await.unwrap();
            assert_eq!(is_open(&app), stays_open(opened, answer), "{opened:?}, its probe answered {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_closed_probe_of_one_kind_does_not_pass_a_circuit_of_another() {
    let app = TestApp::start().await;
    trip(&app, Kind::Account).await;
    app.clock.advance(Duration::from_secs(20));
    trip(&app, Kind::Busy).await;
    app.clock.advance(Duration::from_secs(11));
    assert!(matches!(gate(&app).await, Gate::Open(_, Kind::Busy)));
    app.clock.advance(Duration::from_secs(20));
    assert_eq!(gate(&app).await, Gate::Closed, "no probe was lost on the way");
}

/// A reading that began before a change must not end after the reading of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_reading_never_replaces_a_newer_one() {
    let app = TestApp::start().await;
    for round in 0..20 {
        let (health, success) = (&app.app.health, f64::from(round) / 100.0);
        let mut lock = app.app.pool.begin().await.unwrap();
        sqlx::query("lock table circuit").execute(&mut *lock).await.unwrap();
        let early = join_all((0..4).map(|_| health.reload()));
        let late = async {
            // The early ones have read one of the two tables, and wait for the other.
            let waiting =
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            while app.count(waiting).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let query = "insert into route_health (route, success, updated_at) values ($1, $2, $3)
                on conflict (route) do update set success = $2, updated_at = $3";
            let query = sqlx::query(query).bind(route().0).bind(success).bind(app.clock.now());
            query.execute(&app.app.pool).await.unwrap();
            let read = health.reload();
            let (unlocked, read) = tokio::join!(lock.commit(), read);
            unlocked.unwrap();
            read.unwrap();
        };
        tokio::join!(early, late);
        let known = health.of(&route()).success;
        assert!((known - success).abs() < 0.001, "round {round}: {known} is known, {success} is true");
    }
}
