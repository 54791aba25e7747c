//! Keeps the planner's statistics up with tables that grow fast.
//!
//! Statements look rows up by their keys (`db::open`), but of a table that was seen empty the planner thinks that reading
//! all of it costs nothing, and plans are kept until the next ANALYZE. Autovacuum comes by once a minute, in which a quiet
//! service can get a hundred thousand jobs. So a table that has become another one since it was looked at is looked at
//! again within moments, which makes every connection plan anew.

use sqlx::{AssertSqlSafe, Executor as _, PgPool};

/// Changes that make another table of a small one.
const CHANGES: i64 = 500;

/// Looks again at what has outgrown its statistics.
pub async fn refresh(pool: &PgPool) -> sqlx::Result<()> {
    let outgrown = sqlx::query_scalar!(
        r#"
        select c.oid::regclass::text as "name!" from pg_stat_user_tables s join pg_class c on c.oid = s.relid
        where s.n_mod_since_analyze >= $1 and s.n_mod_since_analyze > c.reltuples / 2
        "#,
        CHANGES
    )
    .fetch_all(pool)
    .await?;
    for table in outgrown {
        let mut tx = pool.begin().await?;
        // Where another process is at it already, there is nothing to warn of.
        tx.execute("set local client_min_messages = error").await?;
        tx.execute(AssertSqlSafe(format!("analyze (skip_locked) {table}"))).await?;
        tx.commit().await?;
    }
    Ok(())
}
