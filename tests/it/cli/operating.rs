//! What an operator watches: metrics, with the dashboard and the rules made of them, and traces.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::json;

use super::{Home, Served, curl, eventually};
use crate::support::{Collected, Collector, Receiver, TestApp, image};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ANY_PORT: &[&str] = &["--listen", "127.0.0.1:0"];

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join("docs").join(name)).unwrap()
}

/// The names of our metrics in a text, without what a histogram adds to its own.
fn metrics(text: &str) -> BTreeSet<String> {
    let words =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("doitong_"));
    let family = |word: &str| {
        let suffix = ["_bucket", "_count", "_sum"].into_iter().find_map(|suffix| word.strip_suffix(suffix));
        suffix.unwrap_or(word).to_owned()
    };
    words.map(family).collect()
}

fn key(home: &Home, more: &[&str]) -> String {
    let made = home.json(&[&["keys", "create", "--account", "ada", "--json"], more].concat());
    made["key"].as_str().unwrap().to_owned()
}

/// Asks for a generation, and waits for its end.
fn run(served: &Served, key: &str, input: &serde_json::Value, headers: &[&str]) -> String {
    let query = "mutation G($input: GenerateInput!) { generate(input: $input) { id } }";
    let body = json!({"query": query, "variables": {"input": input}}).to_string();
    let (url, bearer) = (format!("{}/graphql", served.url), format!("Authorization: Bearer {key}"));
    let mut args = vec![url.as_str(), "-H", &bearer, "-H", "Content-Type: application/json", "-d", &body];
    for header in headers {
        args.extend(["-H", header]);
    }
    let (_, answer) = curl(&args);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let id = answer["data"]["generate"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    eventually(|| {
        let (_, answer) = served.ask(key, &format!(r#"{{ generation(id: "{id}") {{ status }} }}"#));
        matches!(answer["data"]["generation"]["status"].as_str(), Some("COMPLETED" | "FAILED")).then_some(())
    });
    id
}

#[test]
fn a_worker_serves_how_it_does_and_nothing_else() {
    let home = Home::new().with("DOITONG__WORKER__LISTEN", "127.0.0.1:0");
    let worker = home.serve(&["--role", "worker"]);
    assert_eq!(worker.get("/healthz").0, 200);
    assert_eq!(worker.get("/readyz").0, 200);
    let (status, scraped) = worker.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics(&scraped).is_superset(&metrics("doitong_jobs doitong_steps doitong_job_lag_seconds")), "{scraped}");
    for path in ["/", "/graphql", "/schema.graphql"] {
        assert_eq!(worker.get(path).0, 404, "{path}");
    }
    worker.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_dashboard_the_rules_and_the_documents_is_scraped() {
    let receiver = Receiver::start(&[]).await;
    let home = Home::new()
        .with("VIDU_API_KEY", "secret")
        .with("DOITONG__UPSTREAMS__VIDU__BASE_URL", "http://127.0.0.1:9")
        .with("DOITONG__WORKER__TIME_SCALE", "0.01");
    let (test, live) = (key(&home, &[]), key(&home, &["--mode", "live", "--credits", "100000"]));
    let served = home.serve(ANY_PORT);
    let mut hooked = image("A boat");
    hooked["webhookUrl"] = receiver.url.clone().into();
    run(&served, &test, &hooked, &[]);
    // An upstream that does not answer, until its circuit opens.
    let video = json!({"type": "VIDEO", "provider": "vidu", "model": "q3-pro", "input": {"text": "A boat"}});
    run(&served, &live, &video, &[]);
    served.ask(&test, "{ nothing }");

    let wanted = metrics(&(document("operations/dashboard.json") + &document("operations/alerts.yml")));
    assert!(wanted.len() > 15, "{wanted:?}");
    let scraped = eventually(|| {
        let scraped = metrics(&served.get("/metrics").1);
        scraped.is_superset(&wanted).then_some(scraped)
    });
    assert_eq!(scraped, metrics(&document("operations.md")), "the table of the documents");
    let answer = served.get("/metrics").1;
    for text in ["operations/dashboard.json", "operations/alerts.yml"].map(document) {
        every_series_is_there(&text, &answer);
    }
    for line in [
        r#"doitong_graphql_requests_total{operation="generate",code="OK"} 2"#,
        r#"doitong_graphql_requests_total{operation="unknown",code="GRAPHQL_VALIDATION_FAILED"} 1"#,
        r#"doitong_generations_total{status="completed",provider="flux-dev"} 1"#,
        r#"doitong_generations_total{status="failed",provider="vidu"} 1"#,
        r#"doitong_webhook_attempts_total{delivered="true"} 1"#,
        r#"doitong_admission_seconds_count{outcome="admitted"} 2"#,
    ] {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    served.stop();
}

/// Whether each series that expressions select is scraped: a histogram where one is meant, with the labels asked for.
fn every_series_is_there(text: &str, scraped: &str) {
    let mut seen = 0;
    for (at, _) in text.match_indices("doitong_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
        let (name, rest) = rest.split_at(end);
        let selected = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let labels = selected.split(',').filter_map(|one| one.split(['=', '!']).next()).filter(|one| !one.is_empty());
        let has =
            |line: &str, label: &str| line.contains(&format!("{{{label}=")) || line.contains(&format!(",{label}="));
        let mut series = scraped.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let labels: Vec<_> = labels.collect();
        assert!(series.any(|line| labels.iter().all(|label| has(line, label))), "{name} with {labels:?}: {scraped}");
        seen += 1;
    }
    assert!(seen > 12, "{seen}");
}

#[test]
fn the_log_is_json_or_lines_and_names_the_request() {
    for format in ["json", "pretty"] {
        let home = Home::new().with("DOITONG__LOG__FORMAT", format).with("DOITONG__LOG__FILTER", "info,sqlx=debug");
        let key = key(&home, &[]);
        let served = home.serve(ANY_PORT);
        let bearer = format!("Authorization: Bearer {key}");
        let url = format!("{}/graphql", served.url);
        let asked = [url.as_str(), "-H", &bearer, "-H", "x-request-id: mine-7", "-H", "Content-Type: application/json"];
        let (status, _) = curl(&[&asked[..], &["-d", r#"{"query": "{ account { name } }"}"#]].concat());
        assert_eq!(status, 200);
        let log = eventually(|| Some(served.log()).filter(|log| log.contains("mine-7")));
        served.stop();
        if format == "pretty" {
            assert!(
                log.lines().any(|line| line.contains("request{") && line.contains(r#"request.id="mine-7""#)),
                "{log}"
            );
            continue;
        }
        let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{log}");
        assert!(lines.iter().any(|line| line["span"]["request.id"] == "mine-7" && line["target"] == "sqlx::query"));
    }
}

/// Prometheus's tool, of the machine or of Debian's package.
pub fn promtool() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        if Command::new("promtool").arg("--version").output().is_ok() {
            return "promtool".into();
        }
        let folder = Path::new(ROOT).join("target/prometheus");
        let tool = folder.join("usr/bin/promtool");
        if !tool.exists() {
            fs::create_dir_all(&folder).unwrap();
            let fetch = "apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }";
            let script = format!("({fetch}) 2>&1 && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb");
            let fetched = Command::new("sh").args(["-c", &script]).current_dir(&folder).output().unwrap();
            assert!(tool.exists(), "no promtool: {}", String::from_utf8_lossy(&fetched.stdout));
        }
        tool
    })
}

#[test]
fn promtool_finds_the_rules_sound() {
    let rules = Path::new(ROOT).join("docs/operations/alerts.yml");
    let checked = Command::new(promtool()).args(["check", "rules", "--lint-fatal"]).arg(rules).output().unwrap();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && text.contains("SUCCESS: 12 rules found"), "{text}");
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let dashboard: serde_json::Value = serde_json::from_str(&document("operations/dashboard.json")).unwrap();
    assert_eq!(dashboard["uid"], "doitong");
    let panels: Vec<_> =
        dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() > 15);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].as_str().unwrap().contains("doitong_")), "{panel:#}");
        // Every expression is one that Prometheus parses.
        for target in targets {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            let rule = json!({"groups": [{"name": "g", "rules": [{"record": "a:b", "expr": expression}]}]});
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), rule.to_string()).unwrap();
            let checked = Command::new(promtool()).args(["check", "rules"]).arg(file.path()).output().unwrap();
            assert!(checked.status.success(), "{expression}: {}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_the_steps_of_its_job_are_one_trace() {
    let (collector, receiver) = (Collector::start().await, Receiver::start(&[]).await);
    let home = Home::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .with("OTEL_SERVICE_NAME", "films");
    let key = key(&home, &[]);
    let api = home.serve(&["--role", "api", "--listen", "127.0.0.1:0"]);
    let worker = home.serve(&["--role", "worker"]);
    let mut hooked = image("A boat");
    hooked["webhookUrl"] = receiver.url.clone().into();
    let (trace, caller) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let id = run(&api, &key, &hooked, &[&format!("traceparent: 00-{trace}-{caller}-01")]);

    let of_trace = || collector.spans().into_iter().filter(|one| one.trace() == trace).collect::<Vec<_>>();
    let spans = eventually(|| Some(of_trace()).filter(|spans| spans.iter().any(|one| one.span.name == "deliver")));
    let named = |name: &str| spans.iter().filter(|one| one.span.name == name).collect::<Vec<&Collected>>();
    let [request] = named("request")[..] else { panic!("{spans:#?}") };
    assert_eq!((request.parent().as_str(), request.service.as_str()), (caller, "films"));
    assert_eq!(request.attribute("http.path").as_deref(), Some("/graphql"));
    assert_eq!(request.attribute("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(named("admit")[0].parent(), request.id());
    let steps = named("step");
    assert!(steps.len() >= 2, "{steps:#?}");
    for step in steps.iter().chain(&named("deliver")) {
        assert_eq!(step.parent(), request.id());
        assert_eq!(step.attribute("job.id").as_deref(), Some(id.as_str()));
    }
    for call in named("upstream") {
        assert!(steps.iter().any(|step| step.id() == call.parent()), "{call:#?}");
    }
    assert_eq!(named("upstream")[0].attribute("upstream.call").as_deref(), Some("submit"));

    // A request that brings no trace begins one; what is asked for goes into none of them.
    let id = run(&api, &key, &image("A lighthouse"), &[]);
    let step_of = |spans: &[Collected]| spans.iter().find(|one| one.attribute("job.id") == Some(id.clone())).cloned();
    let step = eventually(|| step_of(&collector.spans()));
    let spans = eventually(|| {
        let spans = collector.spans();
        spans.iter().any(|one| one.id() == step.parent()).then_some(spans)
    });
    assert!(step.trace() != trace && !format!("{spans:?}").contains("lighthouse"));
    worker.stop();
    api.stop();
}

#[tokio::test]
async fn without_a_collector_nothing_is_kept_of_a_trace() {
    let app = TestApp::start().await;
    let query = "mutation { generate(input: {type: IMAGE, input: {text: \"a\"}}) { id } }";
    let request = app.http.post(format!("{}/graphql", app.url)).bearer_auth(&app.key.key);
    let request = request.header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!(request.json(&json!({"query": query})).send().await.unwrap().status(), 200);
    assert_eq!(app.count("select count(*) from generation").await, 1);
    assert_eq!(app.count("select count(*) from generation where traceparent is not null").await, 0);
}
