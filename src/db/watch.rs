//! Whether the database is there, asked on a connection of its own.
//!
//! A pool waits for connections, which is right while it is busy and wrong while the database is away: callers would wait
//! for nothing. So one connection asks all the time, and whoever serves callers answers at once while it gets no answer.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// How often it is asked, and how soon after a failure again.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long an answer may take; more than a busy database needs.
const LIMIT: Duration = Duration::from_secs(2);

/// What is known of the database.
#[derive(Debug)]
pub struct Watch(watch::Sender<bool>);

impl Default for Watch {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Watch {
    /// Whether it is away.
    pub fn is_away(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is away.
    pub async fn away(&self) {
        let mut changes = self.0.subscribe();
        // Without a sender nobody would be told any more; it lives as long as we do.
        if changes.wait_for(|is_away| *is_away).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks until stopped.
    pub async fn run(&self, pool: &PgPool, stop: &CancellationToken) {
        let options = pool.connect_options();
        stop.run_until_cancelled(async {
            loop {
                if let Some(connection) = self.connect(&options).await {
                    self.ask(connection).await;
                }
            }
        })
        .await;
    }

    async fn connect(&self, options: &Arc<PgConnectOptions>) -> Option<PgConnection> {
        match timeout(LIMIT, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => {
                self.note(false);
                Some(connection)
            }
            answer => {
                // A server that refuses this one connection is there.
                let is_away = answer.map_or(true, |answer| answer.is_err_and(|error| super::is_away(&error)));
                self.note(is_away);
                tokio::time::sleep(ASK_EVERY).await;
                None
            }
        }
    }

    /// Asks over and over; returns when the connection is broken, which says nothing of the server yet.
    async fn ask(&self, mut connection: PgConnection) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            match timeout(LIMIT, connection.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => return self.note(true),
            }
        }
    }

    fn note(&self, is_away: bool) {
        let changed = self.0.send_if_modified(|was_away| std::mem::replace(was_away, is_away) != is_away);
        if changed && is_away {
            tracing::warn!("the database is away; requests are refused until it is back");
        } else if changed {
            tracing::info!("the database is back");
        }
    }
}
