//! Every statement on the health of routes.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgPool;

use super::{DOUBLINGS, FORGET, OPEN, TRIP};
use crate::{
    catalog::RouteId,
    domain::{Timestamp, fault::Kind},
};

/// A kind of trouble with a circuit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Class {
    /// At its limit for us.
    Busy,
    /// Down or unreachable, or answers nonsense.
    Down,
    /// Refuses our account.
    Account,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Busy, Self::Down, Self::Account];

    /// The class of a refusal; `None` when it is about the request.
    pub(super) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Busy => Some(Self::Busy),
            Kind::Down | Kind::Internal | Kind::Garbled | Kind::Gone => Some(Self::Down),
            Kind::Account => Some(Self::Account),
            Kind::InvalidInput | Kind::Moderated | Kind::Failed => None,
        }
    }

    /// The classes of trouble that an answer of this kind shows to be over: whoever refuses our account or finds that we
    /// ask too much is not down, and whoever looks into the request is in no trouble with us at all.
    pub(super) const fn over_by(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Busy | Kind::Account => &[Self::Down],
            Kind::Down | Kind::Internal | Kind::Garbled | Kind::Gone => &[],
            Kind::InvalidInput | Kind::Moderated | Kind::Failed => &Self::ALL,
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Busy => Kind::Busy,
            Self::Down => Kind::Down,
            Self::Account => Kind::Account,
        }
    }

    /// The name in the database and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Down => "down",
            Self::Account => "account",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub success: f64,
    pub seconds: Option<f64>,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Circuit {
    pub open_until: Option<Timestamp>,
    /// Something was refused since it was closed.
    pub is_troubled: bool,
}

pub(super) async fn measured(pool: &PgPool) -> sqlx::Result<HashMap<RouteId, Measured>> {
    let rows =
        sqlx::query!("select route, success, steady_seconds, updated_at from route_health").fetch_all(pool).await?;
    let measured = rows.into_iter().map(|row| {
        let measured = Measured { success: row.success, seconds: row.steady_seconds, updated_at: row.updated_at };
        (RouteId(row.route), measured)
    });
    Ok(measured.collect())
}

pub(super) async fn circuits(pool: &PgPool) -> sqlx::Result<HashMap<(RouteId, Class), Circuit>> {
    let rows = sqlx::query!(r#"select route, class as "class: Class", failures, open_until from circuit"#)
        .fetch_all(pool)
        .await?;
    let circuits = rows.into_iter().map(|row| {
        let circuit = Circuit { open_until: row.open_until, is_troubled: row.failures > 0 || row.open_until.is_some() };
        ((RouteId(row.route), row.class), circuit)
    });
    Ok(circuits.collect())
}

/// A run that ended; its seconds where it succeeded.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub route: RouteId,
    pub seconds: Option<f64>,
    pub ended_at: Timestamp,
}

/// Several runs as one step of two moving averages: what is kept of the old value, and what is added to it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Runs {
    success: (f64, f64),
    seconds: (f64, f64),
    /// The seconds of a route that had none before.
    first_seconds: Option<f64>,
    ended_at: Timestamp,
}

/// What the newest run counts for: a tenth of the success, a fifth of the time.
const SUCCESS_WEIGHT: f64 = 0.1;
const SECONDS_WEIGHT: f64 = 0.2;

fn moved((kept, added): (f64, f64), weight: f64, newest: f64) -> (f64, f64) {
    (kept * (1.0 - weight), added.mul_add(1.0 - weight, weight * newest))
}

impl Runs {
    const fn none(ended_at: Timestamp) -> Self {
        Self { success: (1.0, 0.0), seconds: (1.0, 0.0), first_seconds: None, ended_at }
    }

    fn count(&mut self, run: &Run) {
        self.success = moved(self.success, SUCCESS_WEIGHT, f64::from(u8::from(run.seconds.is_some())));
        if let Some(seconds) = run.seconds {
            self.seconds = moved(self.seconds, SECONDS_WEIGHT, seconds);
            let before = self.first_seconds.unwrap_or(seconds);
            self.first_seconds = Some(before + SECONDS_WEIGHT * (seconds - before));
        }
        self.ended_at = self.ended_at.max(run.ended_at);
    }
}

/// Counts runs. What choices go by follows the measured time only when that has moved by more than a tenth, so that noise
/// does not make them alternate.
pub(super) async fn measure(pool: PgPool, batch: Vec<Run>) -> sqlx::Result<Vec<()>> {
    let mut routes: BTreeMap<&str, Runs> = BTreeMap::new();
    for run in &batch {
        routes.entry(&run.route.0).or_insert_with(|| Runs::none(run.ended_at)).count(run);
    }
    for (route, runs) in routes {
        sqlx::query!(
            "
            insert into route_health as h (route, success, seconds, steady_seconds, updated_at)
            values ($1, $2::float8 + $3::float8, $6::float8, $6::float8, $7)
            on conflict (route) do update set
                success = $2 * h.success + $3,
                seconds = case when $6 is null then h.seconds else coalesce($4::float8 * h.seconds + $5::float8, $6) end,
                steady_seconds = case
                    when $6 is null or $4 * h.seconds + $5 between h.steady_seconds / 1.1 and h.steady_seconds * 1.1
                        then h.steady_seconds
                    else coalesce($4 * h.seconds + $5, $6)
                end,
                updated_at = $7
            ",
            route,
            runs.success.0,
            runs.success.1,
            runs.seconds.0,
            runs.seconds.1,
            runs.first_seconds,
            runs.ended_at
        )
        .execute(&pool)
        .await?;
    }
    Ok(vec![(); batch.len()])
}

pub(super) struct Refusal<'a> {
    pub route: &'a RouteId,
    pub class: Class,
    pub now: Timestamp,
}

/// Counts a refusal; says whether it opened the circuit, or opened it again.
pub(super) async fn refuse(pool: &PgPool, refusal: &Refusal<'_>) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        r#"
        insert into circuit as c (route, class, failures, last_failure_at) values ($1, $2, 1, $3)
        on conflict (route, class) do update set
            failures = case when c.last_failure_at < $3 - $4::interval then 1 else c.failures + 1 end,
            last_failure_at = $3,
            opened = case
                when c.last_failure_at < $3 - $4::interval then 0
                when c.failures + 1 >= $7 then c.opened + 1
                else c.opened
            end,
            open_until = case
                when c.last_failure_at >= $3 - $4::interval and c.failures + 1 >= $7
                    then $3 + $5::interval * (2 ^ least(c.opened, $6))
                else c.open_until
            end
        returning failures
        "#,
        refusal.route.0,
        refusal.class.as_str(),
        refusal.now,
        interval(FORGET),
        interval(OPEN),
        DOUBLINGS,
        TRIP
    )
    .fetch_one(pool)
    .await?;
    Ok(row.failures >= TRIP)
}

fn interval(delta: chrono::TimeDelta) -> sqlx::postgres::types::PgInterval {
    sqlx::postgres::types::PgInterval {
        microseconds: delta.num_microseconds().unwrap_or_default(),
        ..Default::default()
    }
}

/// Takes the one probe of a circuit that was open for long enough.
pub(super) async fn take_probe(
    pool: &PgPool,
    route: &RouteId,
    class: Class,
    now: Timestamp,
    until: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update circuit set open_until = $4 where route = $1 and class = $2 and open_until <= $3",
        route.0,
        class.as_str(),
        now,
        until
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Closes circuits of a route. How often they opened lately is remembered, against flapping.
pub(super) async fn close(pool: &PgPool, route: &RouteId, classes: &[Class]) -> sqlx::Result<bool> {
    let classes: Vec<_> = classes.iter().map(|class| class.as_str().to_owned()).collect();
    let done = sqlx::query!(
        "
        update circuit set failures = 0, open_until = null
        where route = $1 and class = any ($2) and (failures > 0 or open_until is not null)
        ",
        route.0,
        &classes
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_runs_count_like_one_after_the_other() {
        let now = chrono::DateTime::UNIX_EPOCH;
        let run = |seconds| Run { route: RouteId("r".to_owned()), seconds, ended_at: now };
        let mut runs = Runs::none(now);
        let (mut success, mut seconds) = (0.7, 30.0);
        for took in [Some(10.0), None, Some(20.0), Some(5.0)] {
            runs.count(&run(took));
            success = 0.9 * success + 0.1 * f64::from(u8::from(took.is_some()));
            seconds = took.map_or(seconds, |took| 0.8 * seconds + 0.2 * took);
        }
        assert!((runs.success.0.mul_add(0.7, runs.success.1) - success).abs() < 1e-9);
        assert!((runs.seconds.0.mul_add(30.0, runs.seconds.1) - seconds).abs() < 1e-9);
        assert!((runs.first_seconds.unwrap() - (0.8 * 12.0 + 0.2 * 5.0)).abs() < 1e-9);
    }
}
