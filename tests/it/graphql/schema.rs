//! `schema.graphql` in the repository, what the server gives out and what clients introspect are one schema.

use std::{fs, path::Path};

use crate::support::TestApp;

/// With `UPDATE_SCHEMA=1` the file is written instead of compared.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the test")]
fn the_file_in_the_repository_is_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let sdl = doitong::graphql::sdl();
    let sdl = format!("{}\n", sdl.trim_end());
    if std::env::var("UPDATE_SCHEMA").is_ok_and(|update| update == "1") {
        fs::write(&path, &sdl).unwrap();
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(file == sdl, "the schema changed; review it with: UPDATE_SCHEMA=1 cargo test --test it schema; git diff");
}

#[tokio::test]
async fn the_server_gives_out_the_schema_without_a_key() {
    let app = TestApp::start().await;
    let response = app.http.get(format!("{}/schema.graphql", app.url)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.text().await.unwrap().trim_end(), doitong::graphql::sdl().trim_end());
}

#[test]
fn every_type_field_and_argument_is_described() {
    let sdl = doitong::graphql::sdl();
    let mut described = false;
    for line in sdl.lines().map(str::trim).take_while(|line| !line.starts_with("schema")) {
        let needs_none = line.is_empty() || line.starts_with(['"', '}', ')']);
        assert!(needs_none || described, "not described: {line}");
        described = line.starts_with('"');
    }
}
