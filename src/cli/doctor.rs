//! `doitong doctor`: checks what the service stands on, one line each.

use std::{process::ExitCode, sync::Arc, time::Duration};

use futures_util::future::join_all;
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio_util::task::TaskTracker;

use super::{Settings, output};
use crate::{
    app::{self, App, Connected, Parts, open_media, read_catalog},
    catalog::Catalog,
    config::Secrets,
    db::{self, Database},
    domain::{Clock, Upstream},
    webhooks::{Seal, SecretError, Webhooks},
};

/// How long an upstream may take to answer.
const CHECK_LIMIT: Duration = Duration::from_secs(20);

/// What a check found.
struct Finding {
    what: String,
    result: Result<String, String>,
}

fn finding(what: impl Into<String>, result: anyhow::Result<String>) -> Finding {
    Finding { what: what.into(), result: result.map_err(|error| format!("{error:#}")) }
}

pub(super) async fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let (catalog, secrets) = match read_catalog(&settings.config) {
        Ok((catalog, secrets)) => (Ok(catalog), secrets),
        Err(error) => (Err(error), Secrets::read([])),
    };
    let (seal, mut secrets) = (app::seal(&secrets), secrets);
    let connected = Connected::join(&settings.config, &secrets, &settings.data_dir).await;
    let mut findings = database(&connected).await;
    if seal.is_err() {
        // Told below; the upstreams can be checked all the same.
        (secrets.secret_key, secrets.previous_secret_key) = (None, None);
    }
    if let Ok(connected) = &connected {
        findings.push(finding("secrets", webhook_secrets(&connected.pool, seal).await));
    }
    findings.push(finding("media store", media(settings).await));
    match catalog {
        Ok(catalog) => {
            findings.push(finding("catalogue", Ok(format!("ok, {} providers", catalog.providers().count()))));
            let pool = connected.as_ref().ok().map(|connected| connected.pool.clone());
            findings.extend(upstreams(settings, catalog, secrets, pool).await?);
        }
        Err(error) => findings.push(finding("catalogue", Err(error))),
    }
    if let Ok(connected) = connected {
        connected.close().await;
    }
    report(&findings)
}

fn report(findings: &[Finding]) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for Finding { what, result } in findings {
        let text = match result {
            Ok(text) => text.clone(),
            Err(reason) => {
                code = ExitCode::FAILURE;
                format!("failed: {}", reason.split_whitespace().collect::<Vec<_>>().join(" "))
            }
        };
        output::line(&format!("{what:<12} {text}"))?;
    }
    Ok(code)
}

async fn database(connected: &anyhow::Result<Connected>) -> Vec<Finding> {
    match connected {
        Ok(connected) => {
            let whose = if connected.embedded.is_some() { "ok, the private PostgreSQL" } else { "ok, DATABASE_URL" };
            vec![finding("database", Ok(whose.to_owned())), finding("migrations", migrations(connected).await)]
        }
        Err(error) => vec![finding("database", Err(anyhow::anyhow!("{error:#}")))],
    }
}

/// A private database is brought up to date as every other command does; one that others run is only looked at.
async fn migrations(connected: &Connected) -> anyhow::Result<String> {
    if connected.embedded.is_some() {
        db::migrate(&connected.pool).await?;
    }
    let is_migrated = db::is_migrated(&connected.pool).await.unwrap_or(false);
    anyhow::ensure!(is_migrated, "some are missing; apply them with `doitong migrate`");
    Ok("ok".to_owned())
}

async fn webhook_secrets(pool: &PgPool, seal: Result<Seal, SecretError>) -> anyhow::Result<String> {
    let webhooks = Webhooks::new(&Database::new(pool.clone(), &TaskTracker::new()), Clock::default(), seal?);
    let is_sealed = webhooks.check_secrets().await?;
    Ok(if is_sealed {
        "ok, webhook secrets are encrypted"
    } else {
        "ok, webhook secrets are plain text (DOITONG_SECRET_KEY is not set)"
    }
    .to_owned())
}

async fn media(settings: &Settings) -> anyhow::Result<String> {
    open_media(&settings.config, &settings.data_dir)?.check().await?;
    Ok("ok".to_owned())
}

async fn upstreams(
    settings: &Settings,
    catalog: Catalog,
    secrets: Secrets,
    pool: Option<PgPool>,
) -> anyhow::Result<Vec<Finding>> {
    let ids: Vec<String> = catalog.upstreams().0.keys().cloned().collect();
    let app = App::new(Parts {
        config: settings.config.clone(),
        secrets,
        catalog,
        // Without a database the upstreams can be checked all the same.
        pool: pool.unwrap_or_else(|| PgPool::connect_lazy_with(PgConnectOptions::new_without_pgpass())),
        clock: Clock::default(),
        data_dir: settings.data_dir.clone(),
        allow_private: settings.config.network.allow_private.unwrap_or_default(),
    })?;
    Ok(join_all(ids.into_iter().map(|id| upstream(app.clone(), id))).await)
}

async fn upstream(app: Arc<App>, id: String) -> Finding {
    let catalog = app.catalog();
    let sets = catalog.upstreams().0.get(&id).map(|spec| spec.credentials.as_slice()).unwrap_or_default();
    let is_configured = sets.is_empty() || sets.iter().any(|set| set.iter().all(|name| app.registry.has(name)));
    if !is_configured {
        let sets: Vec<_> = sets.iter().map(|set| set.join(" and ")).collect();
        return finding(id, Ok(format!("not configured (waits for {})", sets.join(", or "))));
    }
    let checked = tokio::time::timeout(CHECK_LIMIT, app.registry.check(&Upstream::from(id.as_str()))).await;
    let result = match checked {
        Ok(Ok(())) => Ok("ok".to_owned()),
        Ok(Err(fault)) => Err(anyhow::anyhow!("{}: {}", fault.kind.for_people(), fault.detail)),
        Err(_) => Err(anyhow::anyhow!("no answer within {} s", CHECK_LIMIT.as_secs())),
    };
    finding(id, result)
}
