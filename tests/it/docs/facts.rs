//! Lists in the documents, beside those of the code and the settings.

use std::{collections::BTreeSet, fs, path::Path};

use super::{ROOT, read};

/// Words in capitals between two marks.
fn capitals(text: &str, mark: char) -> BTreeSet<String> {
    let is_word = |part: &&str| part.len() > 2 && part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    text.split(mark).skip(1).step_by(2).filter(is_word).map(str::to_owned).collect()
}

fn sources(folder: &str) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap().map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        text += &if entry.file_type().unwrap().is_dir() { sources(&path) } else { read(&path) };
    }
    text
}

/// The rows of a document's tables.
fn rows(document: &str) -> Vec<String> {
    read(document).lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn every_code_and_reason_of_the_api_is_explained_and_every_one_that_is_explained_exists() {
    // Capitals that are something else: types, states, outcomes of attempts, methods, variables of the build.
    let others = "ACCEPTED CANCELLED COMPLETED FAILED GET NOT_REACHED OUT_DIR POST REFUSED UNKNOWN VIDEO";
    let lines = ["src/graphql", "src/http", "src/jobs"].map(sources).concat();
    let used: BTreeSet<_> = lines.lines().flat_map(|line| capitals(line, '"')).collect();
    let codes = used.into_iter().filter(|word| !others.split(' ').any(|other| other == word));
    let codes: BTreeSet<_> =
        codes.filter(|word| !word.starts_with("CARGO_") && !word.starts_with("SCREAMING_")).collect();
    let explained: BTreeSet<_> = rows("docs/errors.md").iter().flat_map(|row| capitals(row, '`')).collect();
    assert_eq!(codes, explained);
}

#[test]
fn every_setting_that_is_named_exists() {
    let (settings, mut seen) = (read("config/doitong.toml"), 0);
    for row in rows("docs/operations.md") {
        let cell = row.split('|').nth(1).unwrap();
        for name in cell.split('`').skip(1).step_by(2) {
            let Some((section, key)) = name.split_once('.') else { continue };
            if section == "plans" || section == "upstreams" {
                continue;
            }
            let from = settings.find(&format!("\n[{section}]\n")).unwrap_or_else(|| panic!("{name}"));
            let its = settings[from + 1..].split("\n[").next().unwrap();
            let is_there = its.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(is_there, "{name} is no setting");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn every_credential_of_the_catalogue_is_named() {
    let (operations, mut seen) = (read("docs/operations.md"), 0);
    let upstreams = read("config/catalog/upstreams.toml");
    let sets = upstreams.lines().filter(|line| line.starts_with("credentials = "));
    for name in sets.flat_map(|line| capitals(line, '"')) {
        assert!(operations.contains(&format!("`{name}`")), "{name}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
