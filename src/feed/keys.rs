//! The keys of those who watch: one look at all of them, at times and whenever it is said that keys changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::broadcast::error::RecvError, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{Accounts, Hash},
    db::Bus,
};

/// A look when nothing is said.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after a look that brought no answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The keys in use.
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<Hash, Weak<CancellationToken>>>);

/// One of them, for as long as somebody watches by it.
pub struct KeyWatch(Arc<CancellationToken>);

impl KeyWatch {
    /// Returns when it is revoked.
    pub async fn revoked(&self) {
        self.0.cancelled().await;
    }
}

impl Keys {
    pub fn watch(&self, key: Hash) -> KeyWatch {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get(&key).and_then(Weak::upgrade).filter(|key| !key.is_cancelled());
        KeyWatch(known.unwrap_or_else(|| {
            let new = Arc::default();
            keys.insert(key, Arc::downgrade(&new));
            new
        }))
    }

    /// Looks for as long as there is a bus.
    pub async fn check(&self, accounts: &Accounts, bus: &Bus) {
        let (mut changes, mut wait) = (bus.key_changes(), CHECK_EVERY);
        loop {
            if let Ok(Err(RecvError::Closed)) = timeout(wait, changes.recv()).await {
                return;
            }
            let keys = self.in_use();
            wait = CHECK_EVERY;
            if keys.is_empty() {
                continue;
            }
            match timeout(CHECK_EVERY, accounts.good_keys(&keys)).await {
                Ok(Ok(good)) => self.revoke(keys.iter().filter(|key| !good.contains(key))),
                answer => {
                    tracing::debug!(?answer, "the keys of subscribers could not be looked at");
                    wait = PAUSE;
                }
            }
        }
    }

    fn in_use(&self) -> Vec<Hash> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, key| key.strong_count() > 0);
        keys.keys().copied().collect()
    }

    fn revoke<'a>(&self, revoked: impl Iterator<Item = &'a Hash>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in revoked.filter_map(|key| keys.remove(key)?.upgrade()) {
            key.cancel();
        }
    }
}
