//! `Account` and what belongs to it.

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use crate::{
    accounts::{Caller, Usage},
    domain::Timestamp,
    webhooks::SecretRow,
};

/// The account of the key, in the key's mode.
pub struct Account {
    pub caller: Caller,
    pub usage: Usage,
    pub secrets: Vec<SecretRow>,
}

/// The account of the key, in the key's mode.
#[Object]
impl Account {
    /// The account's id.
    async fn id(&self) -> ID {
        self.caller.account.to_string().into()
    }

    /// The name it was made with.
    async fn name(&self) -> &str {
        &self.caller.name
    }

    /// `test` or `live`: the mode of the key. Each mode has credits and counters of its own.
    async fn mode(&self) -> &str {
        self.caller.mode.as_str()
    }

    /// The limits in force.
    async fn plan(&self) -> PlanInfo {
        let limits = &self.usage.limits;
        PlanInfo {
            name: self.caller.plan.as_str().to_owned(),
            per_minute: limits.per_minute,
            concurrent: limits.concurrent,
            daily: Some(limits.daily).filter(|daily| *daily > 0),
            queued: limits.queued,
        }
    }

    /// What of them is used.
    async fn usage(&self, _ctx: &Context<'_>) -> Result<UsageInfo> {
        let allowance = self.usage.allowance;
        Ok(UsageInfo {
            minute_remaining: allowance.minute_remaining(),
            minute_reset: allowance.minute_reset(),
            daily_used: allowance.day_count,
            daily_remaining: allowance.daily_remaining(),
            running: self.usage.running,
            queued: self.usage.waiting,
        })
    }

    /// The credits of this mode.
    async fn credits(&self) -> CreditsInfo {
        let (available, held) = (self.usage.allowance.available.get(), self.usage.held.get());
        CreditsInfo { balance: available + held, held, available }
    }

    /// The secrets that webhooks are signed with, the current one first.
    async fn webhook_secrets(&self) -> Vec<WebhookSecret> {
        self.secrets.iter().cloned().map(WebhookSecret).collect()
    }
}

/// The limits in force.
#[derive(SimpleObject)]
#[graphql(name = "Plan")]
struct PlanInfo {
    /// `free`, `starter`, `pro` or `enterprise`.
    name: String,
    /// Generations a minute.
    per_minute: u32,
    /// Generations at once.
    concurrent: u32,
    /// Generations a day; null: unlimited.
    daily: Option<u32>,
    /// Generations waiting for one of those places.
    queued: u32,
}

/// What of the limits is used.
#[derive(SimpleObject)]
#[graphql(name = "Usage")]
struct UsageInfo {
    /// Generations that would be admitted now.
    minute_remaining: u32,
    /// Seconds until the whole minute's allowance is back.
    minute_reset: u64,
    /// Generations of today (UTC).
    daily_used: u32,
    /// Generations left today; null: unlimited.
    daily_remaining: Option<u32>,
    /// Generations that hold one of the plan's places.
    running: u32,
    /// Generations that wait for one.
    queued: u32,
}

/// Credits; 1 is US$0.001.
#[derive(SimpleObject)]
#[graphql(name = "Credits")]
struct CreditsInfo {
    /// `available` + `held`.
    balance: i64,
    /// Held for generations under way.
    held: i64,
    /// What can be spent.
    available: i64,
}

/// A webhook secret, as Standard Webhooks has them.
pub struct WebhookSecret(pub SecretRow);

/// A secret that webhooks are signed with, as Standard Webhooks has them.
#[Object]
impl WebhookSecret {
    /// `whsec_` and base64, as stock verifiers take it.
    async fn secret(&self) -> &str {
        &self.0.secret
    }

    /// When it was made.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When it stops signing; null for the current one.
    async fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }
}
