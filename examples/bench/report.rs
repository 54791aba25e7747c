//! What was measured, as JSON, as tables, and as a plot.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub machine: String,
    pub database: String,
    pub commit: String,
    pub settings: String,
    pub rows: Vec<Row>,
    /// What the size of the table and the number of processes change.
    pub curves: Vec<Curve>,
}

/// One kind of work.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub work: String,
    /// The figure, with what it is measured in.
    pub figure: f64,
    pub unit: String,
    /// What pgbench does with the ideal statement.
    pub limit: Option<f64>,
    /// What the bare server does.
    pub bare: Option<f64>,
    pub of_limit: Option<f64>,
    pub of_bare: Option<f64>,
    pub goal: String,
    pub met: Option<bool>,
    pub cost: Option<Cost>,
    /// Under half of the load.
    pub half: Option<Cost>,
    /// Anything else worth knowing, by its name.
    pub details: BTreeMap<String, String>,
    pub fails: u64,
    pub failure: Option<String>,
}

/// Times and means of work of one kind; of several rounds the median of each.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub rss_mb: f64,
    /// Seconds of CPU for a thousand of them.
    pub server_cpu: f64,
    pub postgres_cpu: f64,
    pub load_cpu: f64,
    pub wal_bytes: f64,
    /// Cores that the rest of the machine was busy with meanwhile.
    pub others_cores: f64,
}

/// A figure as something else grows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Curve {
    pub name: String,
    pub over: String,
    pub points: Vec<(String, f64)>,
    /// The same at the same time without what grows.
    pub beside: Vec<f64>,
}

impl Cost {
    pub fn median(all: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| median(all.iter().map(value).collect());
        Self {
            per_second: of(|cost| cost.per_second),
            p50_ms: of(|cost| cost.p50_ms),
            p95_ms: of(|cost| cost.p95_ms),
            p99_ms: of(|cost| cost.p99_ms),
            rss_mb: of(|cost| cost.rss_mb),
            server_cpu: of(|cost| cost.server_cpu),
            postgres_cpu: of(|cost| cost.postgres_cpu),
            load_cpu: of(|cost| cost.load_cpu),
            wal_bytes: of(|cost| cost.wal_bytes),
            others_cores: of(|cost| cost.others_cores),
        }
    }
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (count, half) if count % 2 == 1 => values[half],
        (_, half) => f64::midpoint(values[half - 1], values[half]),
    }
}

impl Row {
    pub fn new(name: &str, work: &str, unit: &str, goal: &str) -> Self {
        let own = str::to_owned;
        Self { name: own(name), work: own(work), unit: own(unit), goal: own(goal), ..Self::default() }
    }

    pub fn detail(&mut self, name: &str, value: impl Into<String>) {
        self.details.insert(name.to_owned(), value.into());
    }

    pub fn fail(&mut self, count: u64, what: impl FnOnce() -> String) {
        self.fails += count;
        if count > 0 && self.failure.is_none() {
            self.failure = Some(what());
        }
    }

    /// Sets the figure beside its references.
    pub fn compare(&mut self) {
        let ratio = |to: Option<f64>| to.filter(|to| *to > 0.0).map(|to| self.figure / to);
        (self.of_limit, self.of_bare) = (ratio(self.limit), ratio(self.bare));
    }
}

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

impl Report {
    pub fn fails(&self) -> u64 {
        self.rows.iter().map(|row| row.fails).sum()
    }

    pub fn markdown(&self) -> String {
        let mut text = format!("{}; {}; {}; {}.\n\n", self.machine, self.database, self.settings, self.commit);
        text += "| work | figure | limit (pgbench) | bare server | of the limit | of the bare server | goal | met | fails |\n";
        text += "| --- | --: | --: | --: | --: | --: | --- | --- | --: |\n";
        for row in &self.rows {
            let met = row.met.map_or("–", |met| if met { "yes" } else { "**no**" });
            writeln!(
                text,
                "| {} | {} {} | {} | {} | {} | {} | {} | {met} | {} |",
                row.work,
                short(row.figure),
                row.unit,
                or_dash(row.limit),
                or_dash(row.bare),
                or_dash(row.of_limit),
                or_dash(row.of_bare),
                row.goal,
                row.fails
            )
            .unwrap();
        }
        text += "\n| work | load | p50 ms | p95 ms | p99 ms | RSS MB | gateway CPU s/1,000 | PostgreSQL CPU s/1,000 | WAL bytes each | cores busy otherwise |\n";
        text += "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n";
        for (row, load, cost) in self.rows.iter().flat_map(|row| {
            let full = row.cost.map(|cost| (row, "full", cost));
            full.into_iter().chain(row.half.map(|cost| (row, "half", cost)))
        }) {
            writeln!(
                text,
                "| {} | {load}: {}/s | {} | {} | {} | {} | {:.3} | {:.3} | {} | {:.2} |",
                row.name,
                short(cost.per_second),
                time(cost.p50_ms),
                time(cost.p95_ms),
                time(cost.p99_ms),
                short(cost.rss_mb),
                cost.server_cpu,
                cost.postgres_cpu,
                short(cost.wal_bytes),
                cost.others_cores.max(0.0)
            )
            .unwrap();
        }
        for curve in &self.curves {
            curve.write(&mut text);
        }
        text += "\n";
        for row in self.rows.iter().filter(|row| !row.details.is_empty() || row.failure.is_some()) {
            let details: Vec<_> = row.details.iter().map(|(name, value)| format!("{name} {value}")).collect();
            let failure = row.failure.as_ref().map(|failure| format!(" **Failed:** `{failure}`")).unwrap_or_default();
            writeln!(text, "- **{}**: {}.{failure}", row.name, details.join("; ")).unwrap();
        }
        text
    }

    /// Puts the tables between the marks of a document.
    pub fn write_into(&self, document: &Path) {
        let text = fs::read_to_string(document).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the mark where the figures begin");
        let (_, after) = rest.split_once(END).expect("the mark where the figures end");
        fs::write(document, format!("{before}{BEGIN}\n{}{END}{after}", self.markdown())).unwrap();
    }
}

impl Curve {
    fn write(&self, text: &mut String) {
        let heads: Vec<_> = self.points.iter().map(|(at, _)| at.as_str()).collect();
        writeln!(text, "\n| {}, by {} | {} |", self.name, self.over, heads.join(" | ")).unwrap();
        writeln!(text, "| --- |{}", " --: |".repeat(heads.len())).unwrap();
        let line = |values: &mut dyn Iterator<Item = f64>| values.map(short).collect::<Vec<_>>().join(" | ");
        writeln!(text, "| a second | {} |", line(&mut self.points.iter().map(|(_, value)| *value))).unwrap();
        if !self.beside.is_empty() {
            writeln!(text, "| with a small table, in the same rounds | {} |", line(&mut self.beside.iter().copied()))
                .unwrap();
            writeln!(text, "| cost of one, small table = 1 | {} |", line(&mut self.costs())).unwrap();
        }
    }

    /// What one costs, where one beside costs 1.
    pub fn costs(&self) -> impl Iterator<Item = f64> {
        self.points.iter().zip(&self.beside).map(|((_, value), beside)| beside / value.max(1e-9))
    }
}

/// A time that was taken.
fn time(milliseconds: f64) -> String {
    or_dash(Some(milliseconds).filter(|time| *time > 0.0))
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), short)
}

/// As many digits as mean something.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => {
            let (digits, mut text) = (format!("{value:.0}"), String::new());
            for (n, digit) in digits.chars().enumerate() {
                if n > 0 && (digits.len() - n).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}
