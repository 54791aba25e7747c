//! `doitong accounts`

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::{Settings, output, values};
use crate::{
    accounts::{AccountRow, Agreed},
    config::{PlanLimits, Plans},
    domain::{Credits, Mode, Plan, Timestamp},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all accounts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add credits
    Credit {
        /// The account's name
        name: String,
        /// How many
        #[arg(value_name = "N", value_parser = values::some_credits(), allow_negative_numbers = true)]
        credits: Credits,
        /// Of which mode
        #[arg(long, default_value = "test", value_parser = values::mode())]
        mode: Mode,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change the plan, at once; numbers given here are in force instead of the plan's
    SetPlan(SetPlan),
}

#[derive(Debug, clap::Args)]
pub(super) struct SetPlan {
    /// The account's name
    name: String,
    /// The plan
    #[arg(value_parser = values::plan())]
    plan: Plan,
    /// Generations a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_minute: Option<u32>,
    /// Generations at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrent: Option<u32>,
    /// Generations a day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    daily: Option<u32>,
    /// Generations waiting for a place
    #[arg(long, value_name = "N")]
    queued: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::List { json } => list(settings, json).await,
        Command::Credit { name, credits, mode, json } => credit(settings, &name, credits, mode, json).await,
        Command::SetPlan(args) => set_plan(settings, &args).await,
    }
}

/// An account with the limits in force.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    account: String,
    plan: Plan,
    #[serde(flatten)]
    limits: Limits,
    test_credits: Credits,
    live_credits: Credits,
    created_at: Timestamp,
}

/// Limits as JSON; no daily limit is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    per_minute: u32,
    concurrent: u32,
    daily: Option<u32>,
    queued: u32,
}

impl From<PlanLimits> for Limits {
    fn from(limits: PlanLimits) -> Self {
        let PlanLimits { per_minute, concurrent, daily, queued } = limits;
        Self { per_minute, concurrent, daily: Some(daily).filter(|daily| *daily > 0), queued }
    }
}

impl Limits {
    fn daily_text(&self) -> String {
        self.daily.map_or_else(|| "unlimited".to_owned(), |daily| daily.to_string())
    }
}

fn shown(row: AccountRow, plans: &Plans) -> Shown {
    let limits = row.agreed.over(plans.of(row.plan)).into();
    let AccountRow { name: account, plan, test_credits, live_credits, created_at, .. } = row;
    Shown { account, plan, limits, test_credits, live_credits, created_at }
}

async fn list(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let accounts = settings.with_accounts(async |accounts| Ok(accounts.accounts().await?)).await?;
    let accounts: Vec<_> = accounts.into_iter().map(|row| shown(row, &settings.config.plans)).collect();
    if json {
        return output::json(&accounts);
    }
    let headings =
        ["ACCOUNT", "PLAN", "PER MINUTE", "CONCURRENT", "DAILY", "QUEUED", "TEST CREDITS", "LIVE CREDITS", "CREATED"];
    let rows: Vec<_> = accounts.iter().map(row).collect();
    Ok(output::table(headings, &rows)?)
}

fn row(account: &Shown) -> [String; 9] {
    [
        account.account.clone(),
        account.plan.as_str().to_owned(),
        account.limits.per_minute.to_string(),
        account.limits.concurrent.to_string(),
        account.limits.daily_text(),
        account.limits.queued.to_string(),
        account.test_credits.to_string(),
        account.live_credits.to_string(),
        output::moment(account.created_at),
    ]
}

async fn credit(settings: &Settings, name: &str, credits: Credits, mode: Mode, json: bool) -> anyhow::Result<()> {
    let credit = async |accounts: &crate::accounts::Accounts| {
        accounts.credit(name, mode, credits).await?.with_context(|| no_account(name))
    };
    let credits = settings.with_accounts(credit).await?;
    if json {
        return output::json(&json!({ "account": name, "mode": mode, "credits": credits }));
    }
    Ok(output::line(&format!("{name} has {credits} {} credits", mode.as_str()))?)
}

async fn set_plan(settings: &Settings, args: &SetPlan) -> anyhow::Result<()> {
    let SetPlan { name, plan, per_minute, concurrent, daily, queued, json } = args;
    let agreed = Agreed { per_minute: *per_minute, concurrent: *concurrent, daily: *daily, queued: *queued };
    let set_plan = async |accounts: &crate::accounts::Accounts| {
        accounts.set_plan(name, *plan, &agreed).await?.with_context(|| no_account(name))
    };
    let limits: Limits = settings.with_accounts(set_plan).await?.into();
    if *json {
        let mut shown = serde_json::to_value(&limits)?;
        shown["account"] = json!(name);
        shown["plan"] = json!(plan);
        return output::json(&shown);
    }
    let Limits { per_minute, concurrent, queued, .. } = limits;
    let (plan, daily) = (plan.as_str(), limits.daily_text());
    let text = format!(
        "{name} is on the plan {plan}: {per_minute} a minute, {concurrent} at once, {daily} a day, {queued} waiting"
    );
    Ok(output::line(&text)?)
}

fn no_account(name: &str) -> String {
    format!("there is no account {name}; `doitong accounts list` shows them, `doitong keys create --account` makes one")
}
