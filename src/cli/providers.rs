//! `doitong providers`: the catalogue as a table.

use std::collections::HashSet;

use super::{output, values};
use crate::{
    app::read_catalog,
    catalog::{Catalog, Conditions, Health, Life, ModelView, ProviderView},
    config::{Config, Secrets},
    domain::{Clock, GenerationType, Mode},
    providers::adapters,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what makes this
    #[arg(value_name = "TYPE", ignore_case = true, value_parser = values::generation_type())]
    r#type: Option<GenerationType>,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    let (catalog, secrets) = read_catalog(config)?;
    let rows: Vec<_> = describe(&catalog, &secrets, args.r#type)
        .iter()
        .flat_map(|provider| provider.models.iter().map(move |model| row(provider, model)))
        .collect();
    Ok(output::table(["PROVIDER", "MODEL", "TYPE", "STATUS", "CREDITS", "SECONDS", "WAITS FOR"], &rows)?)
}

fn describe(catalog: &Catalog, secrets: &Secrets, of: Option<GenerationType>) -> Vec<ProviderView> {
    let served: HashSet<_> = adapters::all().iter().map(|adapter| adapter.upstream()).collect();
    let is_set = |name: &str| secrets.upstreams.contains_key(name);
    let conditions = Conditions {
        mode: Mode::Live,
        today: Clock::default().now().date_naive(),
        configured: &|route| served.contains(&route.upstream) && catalog.has_credentials(route, &is_set),
        health: &|_| Health::default(),
    };
    catalog.describe(of, &conditions)
}

fn row(provider: &ProviderView, model: &ModelView) -> [String; 7] {
    let number = |number: Option<String>| number.unwrap_or_default();
    [
        provider.id.to_string(),
        model.id.to_string(),
        model.r#type.as_str().to_owned(),
        status(model),
        number(model.credit_cost.map(|credits| credits.to_string())),
        number(model.estimated_seconds.map(|seconds| seconds.to_string())),
        model.waits_for.clone().unwrap_or_default(),
    ]
}

fn status(model: &ModelView) -> String {
    let day = model.ends_at.map(|day| format!(" {day}")).unwrap_or_default();
    match model.life {
        Life::Retired => format!("retired{day}"),
        Life::Ending => format!("ends{day}"),
        Life::Live if model.available => "available".to_owned(),
        Life::Live => "not configured".to_owned(),
    }
}
