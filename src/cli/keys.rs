//! `doitong keys`

use anyhow::bail;
use clap::Subcommand;
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use serde_json::json;

use super::{Settings, output, values};
use crate::{
    accounts::{CreatedKey, KeyRow, NewKey},
    domain::{Credits, Mode, Plan},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key, and its account when that is new; the key's text is shown this once
    Create {
        /// The account's name
        #[arg(long, value_name = "NAME", value_parser = values::name)]
        account: String,
        /// The plan of a new account [default: free]
        #[arg(long, value_parser = values::plan())]
        plan: Option<Plan>,
        /// Whether the key runs against the sandbox or the real upstreams
        #[arg(long, default_value = "test", value_parser = values::mode())]
        mode: Mode,
        /// What a new account starts with in this mode [default: 100000 test, 0 live]; a top-up of an existing one
        #[arg(long, value_name = "N", value_parser = values::credits(), allow_negative_numbers = true)]
        credits: Option<Credits>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all keys by the start of their text
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key, at once
    Revoke {
        /// The key, or its start as listed
        #[arg(value_name = "KEY_OR_PREFIX")]
        key: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Create { account, plan, mode, credits, json } => {
            create(settings, &NewKey { account, plan, mode, credits }, json).await
        }
        Command::List { json } => list(settings, json).await,
        Command::Revoke { key, json } => revoke(settings, &key, json).await,
    }
}

async fn create(settings: &Settings, new: &NewKey, json: bool) -> anyhow::Result<()> {
    let mut rng = StdRng::try_from_rng(&mut SysRng)?;
    let created = settings.with_accounts(async |accounts| Ok(accounts.create_key(new, &mut rng).await?)).await?;
    if json {
        return output::json(&created);
    }
    let CreatedKey { account, key, plan, mode, credits, webhook_secret } = created;
    let plan = plan.as_str();
    output::line(&format!("account         {account} (plan {plan}, {credits} {} credits)", mode.as_str()))?;
    output::line(&format!("key             {key}"))?;
    output::line(&format!("webhook secret  {webhook_secret}"))?;
    output::line("The key is shown this once.")?;
    Ok(())
}

async fn list(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let keys = settings.with_accounts(async |accounts| Ok(accounts.keys().await?)).await?;
    if json {
        return output::json(&keys);
    }
    let rows: Vec<_> = keys.iter().map(row).collect();
    Ok(output::table(["KEY", "ACCOUNT", "MODE", "CREATED", "REVOKED"], &rows)?)
}

fn row(key: &KeyRow) -> [String; 5] {
    [
        format!("{}…", key.prefix),
        key.account.clone(),
        key.mode.as_str().to_owned(),
        output::moment(key.created_at),
        key.revoked_at.map(output::moment).unwrap_or_default(),
    ]
}

async fn revoke(settings: &Settings, key: &str, json: bool) -> anyhow::Result<()> {
    let key = key.trim_end_matches('…');
    let revoked = settings.with_accounts(async |accounts| Ok(accounts.revoke_key(key).await?)).await?;
    // The rest of a key's text stays out of logs and terminals.
    let shown: String = key.chars().take("dt_test_".len() + 8).collect();
    if !revoked {
        bail!("no key in use is or begins with {shown} as listed; `doitong keys list` shows them");
    }
    if json {
        return output::json(&json!({ "key": shown, "revoked": true }));
    }
    Ok(output::line(&format!("revoked {shown}…"))?)
}
