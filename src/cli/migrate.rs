//! `doitong migrate`

use super::{Settings, output};
use crate::{app::Connected, config::Secrets, db};

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    Connected::open(&settings.config, &Secrets::read([]), &settings.data_dir).await?.close().await;
    output::line(&format!("the database is up to date ({} migrations)", db::MIGRATIONS.iter().count()))?;
    Ok(())
}
