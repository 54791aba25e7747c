//! A reader at work: a folder, a gateway of their own and what a document tells them to do.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use doitong::db::embedded::Embedded;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    ROOT,
    blocks::{Block, Mark},
    shown::{is_like, is_same},
    verify::{self, Case},
};
use crate::{
    cli::{Home, Served, eventually, operating::promtool},
    media::bucket::Bucket,
    providers::{doubles, support::serve},
    support::{self, Receiver},
};

/// `cargo` as far as documents go: a run of our binary is one of that which the tests have built.
const CARGO: &str = r#"#!/bin/bash
[ "$1" = run ] || { echo "not among what the tests run: cargo $*" >&2; exit 1; }
shift
while [ $# -gt 0 ]; do
    case "$1" in
        --release | --locked | --quiet) shift ;;
        --) shift; break ;;
        *) echo "not among what the tests run: cargo run $*" >&2; exit 1 ;;
    esac
done
exec doitong "$@"
"#;

pub struct Session {
    served: Served,
    home: Home,
    /// What the gateway printed at its first start.
    pub greeting: Vec<String>,
    key: String,
    /// A generation that is there.
    sample: String,
    receiver: Receiver,
    bucket: Bucket,
    /// The database of an operator.
    database: (Embedded, TempDir),
    /// What the last block printed or was answered.
    last: Option<String>,
    cases: Option<Vec<Case>>,
    runtime: Runtime,
}

impl Session {
    /// Begins with the command that starts the gateway, on an empty folder.
    pub fn start(command: &str) -> Self {
        doitong::egress::use_ring();
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let (receiver, bucket, database, upstream) = runtime.block_on(async {
            let database = Embedded::start(folder.path()).await.unwrap();
            (Receiver::start(&[]).await, Bucket::make().await, database, serve(doubles::of("openai").router).await)
        });
        let home = bucket.variables.iter().fold(Home::new(), |home, (name, value)| home.with(*name, value));
        let home =
            home.with("DOITONG_LISTEN", "127.0.0.1:0").with("DOITONG__UPSTREAMS__OPENAI__BASE_URL", upstream.as_str());
        let path = furnish(&home);
        let home = home.with("PATH", path);
        let mut served = home.serve_by(home.program("bash", &["-c", &becoming(command)]));
        let greeting: Vec<_> = (0..6).map(|_| served.line()).collect();
        let key = greeting.iter().find(|line| line.starts_with("dt_test_")).unwrap().clone();
        assert_eq!(home.run(&["accounts", "set-plan", "default", "pro"]).code, 0);
        let home = home.with("DOITONG_API_KEY", &*key).with("DOITONG_URL", served.url());
        let folder_of_reader = home.file("");
        let home = home.with("HOME", folder_of_reader.to_str().unwrap());
        let query = format!(
            r#"mutation {{ generate(input: {{ type: IMAGE, input: {{ text: "A" }}, webhookUrl: "{}" }}) {{ id }} }}"#,
            receiver.url
        );
        let sample = served.ask(&key, &query).1["data"]["generate"]["id"].as_str().unwrap().to_owned();
        let (last, cases, database) = (None, None, (database, folder));
        let session = Self { served, home, greeting, key, sample, receiver, bucket, database, last, cases, runtime };
        session.webhook(&session.sample);
        session
    }

    /// What the document leaves open, and where its addresses are here.
    pub fn fill(&self, text: &str) -> String {
        let database = self.database.0.url();
        let known = [
            ("dt_test_…", self.key.as_str()),
            ("gen_…", &self.sample),
            ("https://example.com/hook", &self.receiver.url),
            ("0.0.0.0:8080", "127.0.0.1:0"),
            ("postgres://doitong:…@db.example.com/doitong", &database),
            ("$DATABASE_URL", &database),
            ("s3://films/doitong", &self.bucket.location),
            ("OPENAI_API_KEY=…", "OPENAI_API_KEY=sk-test"),
            ("=…", "=secret"),
        ];
        known.iter().fold(self.with_addresses(text.trim_end()), |text, (shown, real)| text.replace(shown, real))
    }

    fn with_addresses(&self, text: &str) -> String {
        text.replace("http://127.0.0.1:8080", self.served.url()).replace("https://api.example.com", self.served.url())
    }

    pub fn run(&mut self, block: &Block, next: Option<&Block>) {
        let text = self.fill(&block.text);
        let last = self.last.take();
        if block.mark == Some(Mark::NotRun) {
            return;
        }
        match block.language.as_str() {
            "sh" if block.mark == Some(Mark::Serves) => self.serve(&text),
            "sh" => self.last = Some(self.program("bash", &["-euo", "pipefail", "-c", &text], block)),
            "graphql" => self.last = Some(self.ask(&text, block, next)),
            "json" => {
                self.compare(block, last.as_deref());
                // The webhook of what was answered may follow.
                self.last = last;
            }
            "text" => self.compare_lines(block, last.as_deref()),
            "js" | "python" | "rust" if block.is_verification() => {
                if self.cases.is_none() {
                    self.cases = Some(self.make_cases());
                }
                verify::run(block, self.cases.as_deref().unwrap());
            }
            "js" => _ = self.program("node", &["--input-type=module", "-e", &text], block),
            "python" => {
                let python = self.runtime.block_on(support::python("docs-python", verify::PACKAGES));
                self.program(python.to_str().unwrap(), &["-c", &text], block);
            }
            "sql" => self.query(&text, block),
            "yaml" => self.configure(&text, block),
            "mermaid" => {}
            other => panic!("{block}: {other}"),
        }
    }

    pub fn stop(self) {
        self.served.stop();
        self.runtime.block_on(self.database.0.stop());
    }

    /// What a program of the document prints.
    fn program(&self, name: &str, args: &[&str], block: &Block) -> String {
        self.output(self.home.program("timeout", &[&["120", name], args].concat()), "", block)
    }

    /// What a program prints, which must succeed.
    fn output(&self, mut command: Command, input: &str, block: &Block) -> String {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{block}: {}\n{stdout}\n{stderr}\n{}", output.status, self.served.log());
        stdout
    }

    /// Runs what goes on until it is stopped.
    fn serve(&self, text: &str) {
        let served = self.home.serve_by(self.home.program("bash", &["-euo", "pipefail", "-c", &becoming(text)]));
        assert_eq!(served.get("/readyz").0, 200);
        served.stop();
    }

    fn ask(&self, query: &str, block: &Block, next: Option<&Block>) -> String {
        let (_, answer) = self.served.ask(&self.key, query);
        let shown = next.is_some_and(|next| next.language == "json" && next.mark.is_none());
        assert!(answer["data"].is_object() || shown, "{block}: {answer:#}");
        assert!(answer.get("errors").is_none() || shown, "{block}: {answer:#}");
        answer.to_string()
    }

    fn compare(&self, block: &Block, last: Option<&str>) {
        let shown: Value =
            serde_json::from_str(&self.with_addresses(&block.text)).unwrap_or_else(|error| panic!("{block}: {error}"));
        assert!(last.is_some() || block.mark.is_none(), "{block}: the webhook of what?");
        if let Some(last) = last {
            let mut real: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{block}: {error}: {last}"));
            if block.mark == Some(Mark::Webhook) {
                real = self.webhook(&id_in(last));
            }
            assert!(is_same(&shown, &real), "{block}: shown {shown:#}\nreal {real:#}");
        }
    }

    fn compare_lines(&self, block: &Block, last: Option<&str>) {
        let Some(last) = last else { return };
        let text = self.with_addresses(&block.text);
        for line in text.lines() {
            assert!(last.lines().any(|real| is_like(line, real.trim_end())), "{block}: {line:?} is not in {last}");
        }
    }

    /// What was posted when a generation ended.
    fn webhook(&self, id: &str) -> Value {
        eventually(|| {
            self.receiver.received().iter().map(support::Received::json).find(|hook| hook["data"]["id"] == id)
        })
    }

    fn query(&self, text: &str, block: &Block) {
        // What a reader has whose service runs since January, and what Citus would check.
        let prepared = "select make_generation_partitions('2026-01-01', 1);\n";
        let citus = fs::read_to_string(Path::new(ROOT).join("tests/clients/docs/citus.sql")).unwrap();
        let text = text.replace("create extension citus;", &citus);
        let socket = self.home.file("data/postgres");
        let psql = ["-h", socket.to_str().unwrap(), "-U", "doitong", "-v", "ON_ERROR_STOP=1", "-qX", "doitong"];
        self.output(self.home.program("psql", &psql), &format!("{prepared}{text}"), block);
    }

    fn configure(&self, text: &str, block: &Block) {
        fs::copy(Path::new(ROOT).join("docs/operations/alerts.yml"), self.home.file("alerts.yml")).unwrap();
        fs::write(self.home.file("prometheus.yml"), text).unwrap();
        let promtool = self.home.program(promtool().to_str().unwrap(), &["check", "config", "prometheus.yml"]);
        let told = self.output(promtool, "", block);
        assert!(told.contains("rules found"), "{block}: {told}");
    }

    /// A webhook that two secrets signed, and false ones.
    fn make_cases(&self) -> Vec<Case> {
        let query = "mutation { rotateWebhookSecret { secret } }";
        assert!(self.served.ask(&self.key, query).1["data"].is_object());
        let query = format!(
            r#"mutation {{ generate(input: {{ type: AUDIO, input: {{ text: "A ü" }}, webhookUrl: "{}" }}) {{ id }} }}"#,
            self.receiver.url
        );
        self.webhook(&id_in(&self.served.ask(&self.key, &query).1.to_string()));
        let hook = self.receiver.received().pop().unwrap();
        let (_, answer) = self.served.ask(&self.key, "{ account { webhookSecrets { secret } } }");
        let secrets = answer["data"]["account"]["webhookSecrets"].as_array().unwrap().clone();
        let secrets: Vec<_> = secrets.iter().map(|one| one["secret"].as_str().unwrap().to_owned()).collect();
        verify::cases(&hook, &secrets)
    }
}

/// A script whose last command takes its place, so that signals reach it, and which prints what that one does.
fn becoming(text: &str) -> String {
    let (before, last) = text.trim_end().rsplit_once('\n').unwrap_or((":", text.trim_end()));
    format!("{{\n{before}\n}} >&2\nexec {last}")
}

/// The id of the generation in an answer.
fn id_in(answer: &str) -> String {
    let start = answer.find("gen_").unwrap_or_else(|| panic!("no generation in {answer}"));
    answer[start..start + 36].to_owned()
}

/// Puts what documents speak of into the reader's folder, and gives the `PATH`.
fn furnish(home: &Home) -> String {
    let bin = home.file("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_doitong"), bin.join("doitong")).unwrap();
    fs::write(bin.join("cargo"), CARGO).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(home.file("data")).unwrap();
    symlink("data", home.file(".doitong")).unwrap();
    fs::create_dir_all(home.file(".local/share/bash-completion/completions")).unwrap();
    fs::copy(Path::new(ROOT).join("tests/fixtures/media/a.png"), home.file("portrait.png")).unwrap();
    format!("{}:{}", bin.display(), std::env::var_os("PATH").unwrap().to_str().unwrap())
}
