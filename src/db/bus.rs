//! What processes tell each other: which generations changed, that jobs or deliveries are due, that keys changed.
//!
//! Everything here is a hint; polling is the guarantee. Messages are coalesced: one NOTIFY for each channel and
//! interval, because a NOTIFY takes a lock that serialises commits. Which generations changed here is known here at once;
//! the process's own message about it comes back and is ignored.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::GenerationId;

const CHANGED: &str = "doitong_changed";
const DUE: &str = "doitong_due";
const KEYS: &str = "doitong_keys";
const HEALTH: &str = "doitong_health";

/// How long messages are gathered before they are sent to other processes.
const INTERVAL: Duration = Duration::from_millis(25);
/// Ids in one NOTIFY; its payload is limited to 8000 bytes.
const IDS_A_MESSAGE: usize = 200;
/// Changed generations that are kept for a listener that is behind, or absent; beyond, it has to look at everything.
const MAX_KEPT: usize = 100_000;

/// The bus of this process.
pub struct Bus {
    /// Some job or delivery may be due. Wakes those who registered before; the others are about to look.
    pub due: Notify,
    changes: Mutex<Changes>,
    changed: Notify,
    keys: broadcast::Sender<()>,
    health: broadcast::Sender<()>,
    outbox: Mutex<Outbox>,
    filled: Notify,
    /// Signs the messages of this process.
    origin: Uuid,
}

/// What changed since it was last asked for.
#[derive(Debug, Default)]
pub struct Changes {
    /// These generations.
    pub ids: HashSet<GenerationId>,
    /// Others may have, too: other processes were not heard for a while.
    pub missed: bool,
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
            changes: Mutex::default(),
            changed: Notify::new(),
            keys: broadcast::channel(16).0,
            health: broadcast::channel(16).0,
            outbox: Mutex::default(),
            filled: Notify::new(),
            origin: Uuid::new_v4(),
        }
    }
}

impl Bus {
    /// Tells everyone that these generations changed.
    pub fn tell_changed(&self, ids: impl IntoIterator<Item = GenerationId>) {
        let ids: Vec<GenerationId> = ids.into_iter().collect();
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).changed.extend(&ids);
        self.filled.notify_one();
        self.note_changed(ids);
    }

    fn note_changed(&self, ids: impl IntoIterator<Item = GenerationId>) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.ids.extend(ids);
        if changes.ids.len() > MAX_KEPT {
            *changes = Changes { missed: true, ..Changes::default() };
        }
        drop(changes);
        self.changed.notify_one();
    }

    /// Has everyone look anew, since what others said meanwhile was not heard.
    fn note_missed(&self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).missed = true;
        self.changed.notify_one();
        self.due.notify_waiters();
        // Without listeners there is nobody to tell.
        let _ = self.keys.send(());
        let _ = self.health.send(());
    }

    /// Tells everyone that something became due.
    pub fn tell_due(&self) {
        self.due.notify_waiters();
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).due = true;
        self.filled.notify_one();
    }

    /// Waits until generations have changed since the last call. There is one listener, the feed.
    pub async fn changes(&self) -> Changes {
        self.changed.notified().await;
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
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
        let signed = |ids: &[String]| format!("{} {}", self.origin.simple(), ids.join(","));
        messages.extend(ids.chunks(IDS_A_MESSAGE).map(|ids| (CHANGED, signed(ids))));
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
        self.note_missed();
        loop {
            let Some(message) = listener.try_recv().await? else {
                // The connection was lost and stands again.
                self.note_missed();
                continue;
            };
            match message.channel() {
                CHANGED => self.hear_changed(message.payload()),
                DUE => self.due.notify_waiters(),
                HEALTH => drop(self.health.send(())),
                _ => drop(self.keys.send(())),
            }
        }
    }

    fn hear_changed(&self, message: &str) {
        let Some((origin, ids)) = message.split_once(' ') else { return };
        if Uuid::try_parse(origin) != Ok(self.origin) {
            self.note_changed(ids.split(',').filter_map(|id| Uuid::try_parse(id).ok()).map(GenerationId::from));
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
    async fn a_change_is_heard_once_and_that_of_others_too() {
        let (bus, ours, others) = (Bus::default(), GenerationId::generate(), GenerationId::generate());
        bus.tell_changed([ours]);
        assert_eq!(bus.changes().await.ids, HashSet::from([ours]));
        let message = |origin: Uuid, id: GenerationId| format!("{} {}", origin.simple(), id.uuid().simple());
        bus.hear_changed(&message(bus.origin, ours));
        bus.hear_changed(&message(Uuid::new_v4(), others));
        assert_eq!(bus.changes().await.ids, HashSet::from([others]));
    }

    #[tokio::test]
    async fn a_listener_that_is_far_behind_looks_at_everything() {
        let bus = Bus::default();
        bus.tell_changed((0..=MAX_KEPT).map(|_| GenerationId::generate()));
        let Changes { ids, missed } = bus.changes().await;
        assert!(ids.is_empty() && missed);
    }

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
