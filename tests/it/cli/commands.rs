//! The commands that do one thing and end.

use serde_json::json;

use super::{Home, write};
use crate::media::bucket::Bucket;

#[test]
fn keys_are_made_listed_and_revoked() {
    let home = Home::new();
    let create = |more: &[&str]| home.json(&[&["keys", "create", "--json", "--account", "ada"], more].concat());
    let first = create(&[]);
    let members: Vec<_> = first.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["account", "credits", "key", "mode", "plan", "webhookSecret"]);
    assert_eq!((&first["account"], &first["plan"], &first["mode"]), (&json!("ada"), &json!("free"), &json!("test")));
    assert_eq!(first["credits"], 100_000);
    assert!(first["key"].as_str().unwrap().starts_with("dt_test_"));
    assert!(first["webhookSecret"].as_str().unwrap().starts_with("whsec_"));

    let live = create(&["--mode", "live", "--credits", "250", "--plan", "free"]);
    assert_eq!((&live["mode"], &live["credits"]), (&json!("live"), &json!(250)));
    assert!(live["key"].as_str().unwrap().starts_with("dt_live_"));
    assert_eq!(live["webhookSecret"], first["webhookSecret"]);
    assert_eq!(create(&["--credits", "5"])["credits"], 100_005);
    let other = home.error(&["keys", "create", "--account", "ada", "--plan", "pro"]);
    assert!(other.contains("set-plan ada pro"), "{other}");

    let keys = home.json(&["keys", "list", "--json"]);
    let keys = keys.as_array().unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(
        (&keys[1]["account"], &keys[1]["mode"], &keys[1]["revokedAt"]),
        (&json!("ada"), &json!("live"), &json!(null))
    );
    let prefix = keys[1]["prefix"].as_str().unwrap();
    assert!(live["key"].as_str().unwrap().starts_with(prefix));

    assert_eq!(home.json(&["keys", "revoke", prefix, "--json"]), json!({ "key": prefix, "revoked": true }));
    let key = first["key"].as_str().unwrap();
    assert_eq!(home.run(&["keys", "revoke", key]).stdout, format!("revoked {}…\n", &key[..16]));
    let twice = home.error(&["keys", "revoke", key]);
    assert!(twice.contains("keys list") && !twice.contains(key), "{twice}");
    let table = home.run(&["keys", "list"]).stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(!table.contains(key) && table.contains(&key[..16]), "{table}");
}

#[test]
fn accounts_are_listed_topped_up_and_moved_between_plans() {
    let home = Home::new();
    let none = home.error(&["accounts", "credit", "ada", "5"]);
    assert!(none.contains("no account ada"), "{none}");
    assert_eq!(home.json(&["accounts", "list", "--json"]), json!([]));
    home.json(&["keys", "create", "--account", "ada", "--plan", "starter", "--json"]);

    let credited = home.json(&["accounts", "credit", "ada", "50", "--mode", "live", "--json"]);
    assert_eq!(credited, json!({ "account": "ada", "mode": "live", "credits": 50 }));
    assert_eq!(home.run(&["accounts", "credit", "ada", "1"]).stdout, "ada has 100001 test credits\n");
    let set = home.json(&["accounts", "set-plan", "ada", "pro", "--concurrent", "2", "--json"]);
    let expected =
        json!({ "account": "ada", "plan": "pro", "perMinute": 60, "concurrent": 2, "daily": 10_000, "queued": 1000 });
    assert_eq!(set, expected);
    let unlimited = home.json(&["accounts", "set-plan", "ada", "enterprise", "--json"]);
    assert_eq!(unlimited["daily"], json!(null));

    let mut list = home.json(&["accounts", "list", "--json"]);
    let ada = list[0].as_object_mut().unwrap();
    ada.remove("createdAt").unwrap();
    assert_eq!((&ada["account"], &ada["plan"], &ada["daily"]), (&json!("ada"), &json!("enterprise"), &json!(null)));
    assert_eq!((&ada["testCredits"], &ada["liveCredits"]), (&json!(100_001), &json!(50)));
    let table = home.run(&["accounts", "list"]).stdout;
    assert!(table.starts_with("ACCOUNT  PLAN ") && table.contains("unlimited"), "{table}");
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let home = Home::new();
    for args in [
        &["keys", "create"][..],
        &["keys", "create", "--account", ""],
        &["keys", "create", "--account", "two\nlines"],
        &["keys", "create", "--account", &"x".repeat(201)],
        &["keys", "create", "--account", "ada", "--plan", "gold"],
        &["keys", "create", "--account", "ada", "--mode", "prod"],
        &["keys", "create", "--account", "ada", "--credits", "-1"],
        &["accounts", "credit", "ada", "0"],
        &["accounts", "set-plan", "ada", "pro", "--per-minute", "0"],
        &["providers", "text"],
        &["--role", "api", "keys", "list"],
        &["serve", "--listen", "here"],
    ] {
        let ran = home.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ran.stderr.starts_with("error: "), "{args:?}: {}", ran.stderr);
    }
    assert!(!home.file("data").exists());
}

#[test]
fn unknown_settings_are_refused_with_file_and_key() {
    let home = Home::new();
    let file = write(&home.file("mine.toml"), "[server]\nlisten_on = \"127.0.0.1:1\"\n");
    for args in [&["--config", &file, "keys", "list"][..], &["serve", "--config", &file]] {
        let error = home.error(args);
        assert!(error.contains("mine.toml") && error.contains("listen_on"), "{error}");
    }
    let missing = home.error(&["--config", "/nowhere.toml", "migrate"]);
    assert!(missing.contains("/nowhere.toml"), "{missing}");
    let variable = Home::new().with("DOITONG__SERVER__LISTEN_ON", "x").error(&["serve"]);
    assert!(variable.contains("listen_on"), "{variable}");
}

#[test]
fn the_doctor_has_one_line_for_everything() {
    let home = Home::new().with("KLING_ACCESS_KEY", "half of two");
    let ran = home.run(&["doctor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    for line in
        ["database     ok", "migrations   ok", "media store  ok", "catalogue    ok", "kling        not configured"]
    {
        assert_eq!(ran.stdout.lines().filter(|found| found.starts_with(line)).count(), 1, "{line}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("half of two"));
    assert!(!home.has_server());

    let home = home
        .with("OPENAI_API_KEY", "sk-wrong")
        .with("DOITONG__UPSTREAMS__OPENAI__BASE_URL", "http://127.0.0.1:9")
        .with("DATABASE_URL", "postgres://ada:hush@127.0.0.1:9/doitong");
    let ran = home.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    for line in ["database     failed: ", "openai       failed: ", "media store  ok"] {
        assert_eq!(ran.stdout.lines().filter(|found| found.starts_with(line)).count(), 1, "{line}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("hush") && !ran.stdout.contains("sk-wrong"), "{}", ran.stdout);
}

#[tokio::test]
async fn the_doctor_looks_into_the_bucket() {
    let bucket = Bucket::make().await;
    let home = Home::new().with("DATABASE_URL", "postgres://ada:hush@127.0.0.1:9/doitong");
    let home = bucket.variables.iter().cloned().fold(home, |home, (name, value)| home.with(name, value));
    let media = |home: &Home| {
        let told = home.run(&["doctor"]).stdout;
        told.lines().find(|line| line.starts_with("media store")).unwrap().to_owned()
    };
    let home = home.with("DOITONG__MEDIA__STORE", &bucket.location);
    assert_eq!(media(&home), "media store  ok");
    let home = home.with("DOITONG__MEDIA__STORE", "s3://nowhere/kept");
    assert!(media(&home).starts_with("media store  failed: "), "{}", media(&home));
}

#[test]
fn a_database_that_cannot_be_had_is_one_clear_error() {
    let away = Home::new().with("DATABASE_URL", "postgres://ada:hush@127.0.0.1:9/doitong");
    let error = away.error(&["migrate"]);
    assert!(error.contains("DATABASE_URL") && !error.contains("hush"), "{error}");
    let nonsense = Home::new().with("DATABASE_URL", "hush").error(&["migrate"]);
    assert!(nonsense.contains("DATABASE_URL") && !nonsense.contains("hush"), "{nonsense}");

    let home = Home::new();
    std::fs::create_dir_all(home.file("data/postgres")).unwrap();
    write(&home.file("data/postgres/PG_VERSION"), "99\n");
    let error = home.error(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(error.contains("apt-get install postgresql"), "{error}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = home.error(&["serve", "--listen", &address]);
    assert!(error.contains(&address) && error.contains("--listen"), "{error}");
    let variable = Home::new().with("DOITONG_LISTEN", &*address).error(&[]);
    assert!(variable.contains(&address), "{variable}");
}

#[test]
fn the_catalogue_and_the_schema_need_no_database() {
    let home = Home::new().with("OPENAI_API_KEY", "x");
    let all = home.run(&["providers"]).stdout;
    assert!(all.starts_with("PROVIDER ") && all.contains("MINIMAX_API_KEY"), "{all}");
    let images = home.run(&["providers", "image"]).stdout;
    assert!(images.lines().skip(1).all(|line| line.contains(" IMAGE ")), "{images}");
    let of_openai = images.lines().find(|line| line.starts_with("gpt-image ")).unwrap();
    assert!(of_openai.contains(" available "), "{of_openai}");
    assert!(home.run(&["schema"]).stdout.contains("type Mutation {"));
    assert!(!home.file("data").exists());
}
