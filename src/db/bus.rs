//! What processes tell each other: which generations changed, that jobs or deliveries are due, that keys changed.
//!
//! Everything here is a hint; polling is the guarantee. Messages are coalesced: one NOTIFY for each channel and
//! interval, because a NOTIFY takes a lock that serialises commits.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::domain::GenerationId;

const CHANGED: &str = "doitong_changed";
const DUE: &str = "doitong_due";
const KEYS: &str = "doitong_keys";
const HEALTH: &str = "doitong_health";

/// How long messages are gathered before they are sent to other processes.
const INTERVAL: Duration = Duration::from_millis(25);
/// Ids in one NOTIFY; its payload is limited to 8000 bytes.
const IDS_A_MESSAGE: usize = 200;

/// The bus of this process.
pub struct Bus {
    /// Some job or delivery may be due. Wakes those who registered before; the others are about to look.
    pub due: Notify,
    changed: broadcast::Sender<GenerationId>,
    keys: broadcast::Sender<()>,
    health: broadcast::Sender<()>,
    outbox: Mutex<Outbox>,
    filled: Notify,
}

#[derive(Default)]
struct Outbox {
    changed: BTreeSet<GenerationId>,
    due: bool,
    health: bool,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            due: Notify::new(),
            changed: broadcast::channel(4096).0,
            keys: broadcast::channel(16).0,
            health: broadcast::channel(16).0,
            outbox: Mutex::default(),
            filled: Notify::new(),
        }
    }
}

impl Bus {
    /// Tells everyone that these generations changed.
    pub fn tell_changed(&self, ids: impl IntoIterator<Item = GenerationId>) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            // Without subscribers there is nobody to tell.
            let _ = self.changed.send(id);
            outbox.changed.insert(id);
        }
        drop(outbox);
        self.filled.notify_one();
    }

    /// Tells everyone that something became due.
    pub fn tell_due(&self) {
        self.due.notify_waiters();
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).due = true;
        self.filled.notify_one();
    }

    /// The generations that change from now on. Lagging receivers re-read.
    pub fn changes(&self) -> broadcast::Receiver<GenerationId> {
        self.changed.subscribe()
    }

    /// Tells everyone that the health of a route changed.
    pub fn tell_health(&self) {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).health = true;
        self.filled.notify_one();
    }

    /// Ticks when the health of a route changed.
    pub fn health_changes(&self) -> broadcast::Receiver<()> {
        self.health.subscribe()
    }

    /// Ticks when keys, plans or secrets changed.
    pub fn key_changes(&self) -> broadcast::Receiver<()> {
        self.keys.subscribe()
    }

    /// Sends and receives until stopped.
    pub async fn run(&self, pool: &PgPool, stop: &CancellationToken) {
        let sending = async {
            while stop.run_until_cancelled(self.filled.notified()).await.is_some() {
                if let Err(error) = self.send(pool).await {
                    tracing::debug!(%error, "a notification was not sent");
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        let receiving = async {
            while !stop.is_cancelled() {
                let ended = stop.run_until_cancelled(self.listen(pool)).await;
                // At the end the pool may be closed already.
                if let Some(Err(error)) = ended
                    && !stop.is_cancelled()
                {
                    tracing::warn!(%error, "notifications are interrupted; polling goes on");
                    stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await;
                }
            }
        };
        tokio::join!(sending, receiving);
    }

    async fn send(&self, pool: &PgPool) -> sqlx::Result<()> {
        let Outbox { changed, due, health } =
            std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner));
        let mut messages: Vec<(&str, String)> = Vec::new();
        let ids: Vec<String> = changed.iter().map(|id| id.uuid().simple().to_string()).collect();
        messages.extend(ids.chunks(IDS_A_MESSAGE).map(|ids| (CHANGED, ids.join(","))));
        messages.extend(due.then(|| (DUE, String::new())));
        messages.extend(health.then(|| (HEALTH, String::new())));
        let (channels, payloads): (Vec<_>, Vec<_>) = messages.into_iter().map(|(c, p)| (c.to_owned(), p)).unzip();
        sqlx::query!(
            r#"select pg_notify(channel, payload)::text as "sent" from unnest($1::text[], $2::text[]) m (channel, payload)"#,
            &channels,
            &payloads
        )
        .fetch_all(pool)
        .await?;
        Ok(())
    }

    async fn listen(&self, pool: &PgPool) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen_all([CHANGED, DUE, KEYS, HEALTH]).await?;
        loop {
            let message = listener.recv().await?;
            match message.channel() {
                CHANGED => {
                    let ids = message.payload().split(',').filter_map(|id| uuid::Uuid::try_parse(id).ok());
                    ids.map(GenerationId::from).for_each(|id| drop(self.changed.send(id)));
                }
                DUE => self.due.notify_waiters(),
                HEALTH => drop(self.health.send(())),
                _ => drop(self.keys.send(())),
            }
        }
    }
}

/// Tells every process, in the transaction that changes them, that keys, plans or secrets changed.
pub async fn tell_keys_changed(conn: &mut sqlx::PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_notify('doitong_keys', '')::text as sent").fetch_one(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_due_wakes_every_pool() {
        let bus = Bus::default();
        let mut pools = [Box::pin(bus.due.notified()), Box::pin(bus.due.notified())];
        for pool in &mut pools {
            pool.as_mut().enable();
        }
        bus.tell_due();
        for pool in pools {
            tokio::time::timeout(Duration::from_secs(5), pool).await.unwrap();
        }
    }
}
