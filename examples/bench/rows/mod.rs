//! The kinds of work, one function each.

mod api;
mod flight;
mod idle;
mod pipeline;
mod subscribers;
mod table;

use std::sync::Arc;

use crate::{
    Bench, TEMPLATE, data,
    load::{Idempotency, Request},
    report::{Report, short},
};

/// What `--only` takes.
pub const NAMES: [&str; 13] = [
    "admission",
    "hot",
    "reads",
    "static",
    "lifecycles",
    "image",
    "flight",
    "rows",
    "processes",
    "webhooks",
    "idle",
    "subscribers",
    "overload",
];

/// Measures what was asked for; what is done is kept, whatever becomes of the rest.
pub async fn measure_all(bench: &Bench, report: &mut Report) {
    for name in NAMES.into_iter().filter(|name| bench.args.wants(name)) {
        eprintln!("{name} …");
        let row = match name {
            "admission" => api::admission(bench).await,
            "hot" => api::hot(bench).await,
            "reads" => api::reads(bench).await,
            "static" => api::unchanging(bench).await,
            "lifecycles" => pipeline::lifecycles(bench).await,
            "image" => pipeline::image(bench).await,
            "flight" => flight::measure(bench).await,
            "rows" => table::rows(bench, &mut report.curves).await,
            "processes" => table::processes(bench, &mut report.curves).await,
            "webhooks" => pipeline::webhooks(bench).await,
            "idle" => idle::measure(bench).await,
            "subscribers" => subscribers::measure(bench).await,
            _ => api::overload(bench).await,
        };
        eprintln!("  {} {}", short(row.figure), row.unit);
        report.rows.push(row);
        bench.args.keep(report);
    }
}

/// A database of its own for a row.
async fn database(bench: &Bench, name: &'static str) -> &'static str {
    bench.cluster.create(name, Some(TEMPLATE)).await;
    name
}

/// Admissions by the first so many accounts.
fn admissions(bench: &Bench, accounts: usize) -> Arc<Vec<Request>> {
    let request = |key: &str| Request::graphql(key, data::GENERATE, Idempotency::Fresh);
    Arc::new(bench.accounts.iter().take(accounts).map(|account| request(&account.test_key)).collect())
}

/// Reads of these generations by their accounts.
fn reads(bench: &Bench, ids: &[(String, usize)]) -> Arc<Vec<Request>> {
    let request = |(id, account): &(String, usize)| {
        Request::graphql(&bench.accounts[*account].test_key, &data::read(id), Idempotency::None)
    };
    Arc::new(ids.iter().map(request).collect())
}
