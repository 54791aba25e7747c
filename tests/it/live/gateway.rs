//! The whole gateway in live mode, with doubles for upstreams.

use std::{collections::BTreeMap, path::Path, sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use doitong::{
    catalog::{Asked, RouteRef},
    config::{PlanLimits, Upstream},
    domain::{Mode, Plan, Priority},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tap::Tap;
use crate::{
    providers::{
        doubles,
        support::{self, Samples},
    },
    support::{GENERATE, GENERATION, TestApp},
};

/// What the live purse holds at first.
pub const CREDITS: i64 = 100_000_000;

/// The catalogue without the pacing of submits, which goes by a clock that cannot be wound.
static UNPACED: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for file in Path::new(env!("CARGO_MANIFEST_DIR")).join("config/catalog").read_dir().unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("submits_per_minute", _)) => "submits_per_minute = 1000000",
            _ => line,
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        std::fs::write(folder.path().join(file.file_name()), text).unwrap();
    }
    folder
});

pub struct Gateway {
    pub app: TestApp,
    pub key: String,
    taps: BTreeMap<&'static str, Tap>,
}

impl Gateway {
    /// With credentials for these upstreams only, whose doubles it runs.
    pub async fn with(upstreams: &[&str]) -> Self {
        Self::knowing(upstreams, |_| true).await
    }

    /// With some of the credentials for these upstreams.
    pub async fn knowing(upstreams: &[&str], known: impl Fn(&str) -> bool) -> Self {
        let doubles = doubles::all().into_iter().filter(|double| upstreams.contains(&double.upstream));
        let clock = doitong::domain::Clock::default();
        let (mut taps, mut bases, mut keys) = (BTreeMap::new(), Vec::new(), Vec::new());
        for double in doubles {
            let tap = Tap::new(clock.clone());
            bases.push((double.upstream.to_owned(), support::serve(tap.before(double.router)).await));
            keys.extend(double.secrets.into_iter().filter(|(name, _)| known(name)));
            taps.insert(double.upstream, tap);
        }
        let limits = PlanLimits { per_minute: 1_000_000, concurrent: 10_000, daily: 0, queued: 10_000 };
        let app = TestApp::by(clock, Plan::Pro, |config, secrets| {
            config.plans.pro = limits;
            config.worker.time_scale = 1.0;
            config.catalog.folder = Some(UNPACED.path().to_owned());
            config.upstreams.extend(bases.into_iter().map(|(id, base_url)| (id, Upstream { base_url })));
            secrets.upstreams.extend(keys.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        })
        .await;
        let key = app.new_key(&app.key.account, Plan::Pro, Mode::Live, Some(CREDITS)).await.key;
        Self { app, key, taps }
    }

    pub fn tap(&self, upstream: &str) -> &Tap {
        &self.taps[upstream]
    }

    /// The data of an operation that must succeed.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let body = self.app.answer(&self.key, None, query, variables).await.body;
        assert!(body.get("errors").is_none(), "{body:#}");
        body["data"].clone()
    }

    /// Asks for a generation that must be accepted.
    pub async fn generate(&self, input: &Value) -> Value {
        self.data(GENERATE, json!({ "input": input })).await["generate"].clone()
    }

    pub async fn generation(&self, id: &Value) -> Value {
        self.data(GENERATION, json!({ "id": id })).await["generation"].clone()
    }

    pub async fn quote(&self, input: &Value) -> Value {
        let query = "query Q($input: GenerateInput!) { quote(input: $input) { provider model creditCost } }";
        self.data(query, json!({ "input": input })).await["quote"].clone()
    }

    pub async fn full_quote(&self, input: &Value) -> Value {
        let query = "query Q($input: GenerateInput!) { quote(input: $input) {
            provider model creditCost estimatedTime quality
            alternatives { provider model creditCost estimatedTime quality } } }";
        self.data(query, json!({ "input": input })).await["quote"].clone()
    }

    /// Runs until nothing is left to do, winding the clock from one due moment to the next.
    pub async fn run_dry(&self) {
        for _ in 0..1_000 {
            self.app.advance(Duration::ZERO).await;
            let next: Option<DateTime<Utc>> =
                sqlx::query_scalar("select min(due_at) from job").fetch_one(&self.app.app.pool).await.unwrap();
            let Some(next) = next else { return };
            let wait = (next - self.app.clock.now()).to_std().unwrap_or_default();
            self.app.clock.advance(wait + Duration::from_millis(1));
        }
        assert_eq!(self.app.count("select count(*) from job").await, 0, "it does not end");
    }

    /// Asks for a generation and runs it to its end.
    pub async fn run(&self, input: &Value) -> Value {
        let asked = self.generate(input).await;
        self.run_dry().await;
        self.generation(&asked["id"]).await
    }

    /// Forgets the trouble that was had with upstreams.
    pub async fn close_circuits(&self) {
        self.app.sql("delete from circuit").await.unwrap();
        // The app may be just reading what was there before.
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.app.app.health.reload().await.unwrap();
    }

    /// The smallest request that comes over a route; nothing where another route takes them all.
    pub fn request_for(&self, at: RouteRef<'_>) -> Option<Value> {
        let files = Samples::inline();
        let options = support::least_options(at);
        let mut inputs: Vec<_> = support::input_sets(at.model, &files).collect();
        inputs.sort_by_key(|input| json!(input).as_object().unwrap().len());
        let asked = inputs.into_iter().map(|input| Asked {
            r#type: at.model.r#type,
            provider: Some(at.provider.id.to_string()),
            model: Some(at.model.id.to_string()),
            input,
            options: options.clone(),
            priority: Priority::Balanced,
            max_credits: None,
        });
        let comes_over = |asked: &Asked| {
            self.app.app.with_conditions(Mode::Live, |catalog, conditions| {
                let choice = catalog.accept(asked, conditions).ok();
                choice
                    .and_then(|choice| catalog.route(&choice.route))
                    .is_some_and(|it| std::ptr::eq(it.route, at.route))
            })
        };
        let asked = asked.into_iter().find(comes_over)?;
        Some(json!({
            "type": asked.r#type, "provider": asked.provider, "model": asked.model,
            "input": asked.input, "options": asked.options,
        }))
    }
}
