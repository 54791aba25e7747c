//! The image and the services made of it, as far as they can be tried without an engine.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::{read, verify::PACKAGES};
use crate::{cli::Home, support::python};

/// The services, as JSON.
fn services() -> Value {
    let python = Runtime::new().unwrap().block_on(python("docs-python", PACKAGES));
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yaml");
    let output = Command::new(python).args(["-c", script, file]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// What the image sets.
fn image_variables() -> Vec<(String, String)> {
    let file = read("Dockerfile").replace("\\\n", " ");
    let lines = file.lines().filter_map(|line| line.strip_prefix("ENV "));
    let pairs = lines.flat_map(str::split_whitespace).map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_health_check_of_the_image_tells_who_is_ready() {
    let file = read("Dockerfile").replace("\\\n", " ");
    let check = file.lines().find(|line| line.starts_with("HEALTHCHECK")).unwrap();
    let words: Vec<String> = serde_json::from_str(check.split_once("CMD ").unwrap().1).unwrap();
    let home = Home::new();
    let worker = Home::new().with("DOITONG__WORKER__LISTEN", "127.0.0.1:0");
    for served in [home.serve(&["--listen", "127.0.0.1:0"]), worker.serve(&["--role", "worker"])] {
        let port = served.address().rsplit(':').next().unwrap().to_owned();
        let is_healthy = || {
            let words: Vec<_> = words.iter().map(|word| word.replace("8080", &port)).collect();
            assert!(words.iter().any(|word| word.contains(&port)), "{words:?}");
            Command::new(&words[0]).args(&words[1..]).output().unwrap().status.success()
        };
        assert!(is_healthy());
        served.stop();
        assert!(!is_healthy());
    }
}

#[test]
fn the_image_is_built_offline_and_runs_as_nobody_special() {
    let file = read("Dockerfile");
    let run = file.rsplit("\nFROM ").next().unwrap();
    assert!(file.contains("SQLX_OFFLINE=true") && file.contains("--release --locked"), "{file}");
    assert!(run.contains("\nUSER doitong\n") && run.find("USER").unwrap() > run.find("useradd").unwrap(), "{run}");
    // The parts of the checkout that the build is given are there, and so are the ones it needs.
    let given: Vec<_> =
        read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect();
    for name in [".sqlx", "Cargo.lock", "Cargo.toml", "assets", "build.rs", "config", "migrations", "src"] {
        assert!(given.iter().any(|one| one == name), "{name} is not given to the build");
    }
}

#[test]
fn the_services_fit_the_image_and_each_other() {
    let all = services();
    let (services, volumes) = (&all["services"], names(&all["volumes"]));
    assert_eq!(names(services), ["api", "database", "proxy", "worker"].map(str::to_owned).into());
    for role in ["api", "worker"] {
        let service = &services[role];
        assert_eq!(service["deploy"]["replicas"], 2);
        assert_eq!(service["command"], format!("serve --role {role}"));
        assert_eq!(service["depends_on"]["database"]["condition"], "service_healthy");
        // Longer than a drain may take, else it is cut off.
        assert_eq!(service["stop_grace_period"], "30s");
        for volume in service["volumes"].as_array().unwrap() {
            assert!(volumes.contains(volume.as_str().unwrap().split(':').next().unwrap()), "{volume}");
        }
        // Settings that are not known are refused.
        let mut home = Home::new();
        for (name, value) in image_variables().into_iter().filter(|(name, _)| name.starts_with("DOITONG")) {
            home = home.with(name, value);
        }
        for (name, value) in service["environment"].as_object().unwrap() {
            home = home.with(
                name,
                value.as_str().unwrap().replace("${PUBLIC_URL:-http://localhost:8080}", "http://localhost:8080"),
            );
        }
        let ran = home.run(&["schema"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert!(services["database"]["healthcheck"]["test"].as_str().unwrap().contains("pg_isready"));
    // The proxy finds the processes by the name of their service, at the port of the image.
    let caddyfile = all["configs"]["caddyfile"]["content"].as_str().unwrap();
    assert!(caddyfile.contains("name api") && caddyfile.contains("port 8080"), "{caddyfile}");
    assert_eq!(services["proxy"]["configs"][0]["source"], "caddyfile");
    assert!(image_variables().contains(&("DOITONG_LISTEN".to_owned(), "0.0.0.0:8080".to_owned())));
}
