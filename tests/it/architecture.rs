//! The rules of `ARCHITECTURE.md`, read off the sources. Each has a list of exceptions that may only shrink: one that is
//! not needed any more fails the test as a new breach does.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What a module may use besides itself.
const MAY_USE: &[(&str, &str)] = &[
    ("domain", ""),
    ("egress", ""),
    ("lifecycle", ""),
    ("config", "domain"),
    ("telemetry", "config trace"),
    ("trace", "config egress"),
    ("catalog", "domain"),
    ("limits", "domain"),
    ("db", "domain"),
    ("media", "domain egress"),
    ("ledger", "domain db"),
    ("webhooks", "domain db"),
    ("accounts", "domain db config"),
    ("providers", "domain catalog media egress trace"),
    ("health", "domain db catalog"),
    ("jobs", "domain db ledger webhooks catalog limits providers trace"),
    ("feed", "domain db accounts jobs"),
    (
        "app",
        "domain db config lifecycle accounts catalog egress feed health jobs ledger limits media providers webhooks",
    ),
    ("client", "domain"),
    ("mcp", "client domain"),
    ("graphql", "app domain config accounts catalog feed jobs ledger limits media webhooks"),
    ("http", "app domain config graphql client mcp accounts catalog feed jobs ledger limits media webhooks trace"),
    ("worker", "app domain lifecycle accounts catalog egress health jobs ledger limits media providers webhooks trace"),
    (
        "cli",
        "app domain db config lifecycle telemetry trace http graphql client mcp worker accounts catalog egress health jobs ledger \
         limits media providers webhooks",
    ),
    ("main", "cli"),
    ("lib", ""),
];

/// A file or a module, and what it does against a rule.
type Breach = (String, String);

#[test]
fn modules_use_only_what_lies_below_them() {
    let exceptions = [
        // A new account gets its credits and its webhook secret in the transaction that opens it.
        ("accounts", "ledger"),
        ("accounts", "webhooks"),
        // What is left of a limit is told in the terms of admission.
        ("accounts", "limits"),
        // The caller is handed down whole.
        ("jobs", "accounts"),
        // Whether the database is away, or behind.
        ("graphql", "db"),
        ("http", "db"),
        ("worker", "db"),
    ];
    let breaches = sources().flat_map(|source| {
        let allowed = source.may_use();
        let used = source.uses().into_iter().filter(move |used| !allowed.contains(&used.as_str()));
        used.map(move |used| (source.module.clone(), used))
    });
    check(breaches, &exceptions);
}

#[test]
fn only_the_edges_know_their_frameworks() {
    let outside = sources().filter(|source| !["http", "graphql"].contains(&source.module.as_str()));
    check(outside.flat_map(|source| source.words(&["axum", "async_graphql", "async_graphql_axum"])), &[]);
}

#[test]
fn the_edges_never_call_an_upstream() {
    let edges = sources().filter(|source| ["http", "graphql"].contains(&source.module.as_str()));
    check(edges.flat_map(|source| source.words(&["registry", "adapters"])), &[]);
}

#[test]
fn sql_lies_in_stores() {
    let is_store = |path: &str| path.ends_with("/store.rs") || path.contains("/store/");
    let elsewhere = sources().filter(|source| source.module != "db" && !is_store(&source.path));
    let sql = ["query!", "query_as!", "query_scalar!", "sqlx::query", "raw_sql", "QueryBuilder"];
    check(elsewhere.flat_map(|source| source.texts(&sql)), &[]);
}

#[test]
fn only_app_picks_implementations() {
    let others = sources().filter(|source| !["app", "providers"].contains(&source.module.as_str()));
    // The table shows which upstreams have an adapter, without a database to make an app on.
    check(others.flat_map(|source| source.words(&["adapters", "Sandbox"])), &[("cli/providers.rs", "adapters")]);
}

#[test]
fn adapters_do_not_know_each_other() {
    let folder = "providers/adapters/";
    let name = |path: &str| Some(path.strip_prefix(folder)?.split(['/', '.']).next()?.to_owned());
    let names: BTreeSet<_> = sources().filter_map(|source| name(&source.path)).filter(|name| name != "mod").collect();
    let breaches = sources().filter_map(|source| Some((name(&source.path)?, source))).flat_map(|(own, source)| {
        let others = names.iter().filter(move |other| *other != &own && own != "mod");
        let met = others.filter(|other| source.code.contains(&format!("adapters::{other}")) || source.imports(other));
        met.map(|other| (source.path.clone(), other.clone())).collect::<Vec<_>>()
    });
    check(breaches, &[]);
}

#[test]
fn upstreams_are_spoken_to_without_a_database() {
    let providers = sources().filter(|source| source.module == "providers");
    check(providers.flat_map(|source| source.words(&["sqlx", "PgPool"])), &[]);
}

#[test]
fn outgoing_connections_have_three_doors() {
    let doors = |source: &Source| source.path == "providers/http.rs" || ["egress", "client"].contains(&&*source.module);
    let elsewhere = sources().filter(|source| !doors(source));
    let clients = ["Client::new", "Client::builder", "ClientBuilder", "TcpStream::connect"];
    check(elsewhere.flat_map(|source| source.texts(&clients)), &[]);
}

#[test]
fn the_environment_is_read_in_config() {
    let elsewhere = sources().filter(|source| source.module != "config");
    // Where PostgreSQL's programs are: the machine's business, not a setting.
    check(elsewhere.flat_map(|source| source.texts(&["env::var"])), &[("db/embedded/binaries.rs", "env::var")]);
}

/// Compares the breaches of a rule with those that are known.
fn check(breaches: impl Iterator<Item = Breach>, exceptions: &[(&str, &str)]) {
    let found: BTreeSet<Breach> = breaches.collect();
    let known: BTreeSet<Breach> = exceptions.iter().map(|(file, what)| ((*file).into(), (*what).into())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "against the rules of ARCHITECTURE.md: {new:#?}");
    let unused: Vec<_> = known.difference(&found).collect();
    assert!(unused.is_empty(), "take these off the exceptions, so that they do not come back: {unused:#?}");
}

/// A file of `src`, without its comments and unit tests.
struct Source {
    path: String,
    /// The folder below `src`, or the file in it.
    module: String,
    code: String,
}

fn sources() -> impl Iterator<Item = Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    gather(&root, &mut files);
    assert!(files.len() > 50, "the sources are not where they were");
    files.into_iter().filter_map(move |file| Source::read(&root, &file))
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

impl Source {
    /// `None` for a file that holds only tests.
    fn read(root: &Path, file: &Path) -> Option<Self> {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let is_test = ["tests.rs", "fixture.rs"].iter().any(|name| path.ends_with(&format!("/{name}")));
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        let text = fs::read_to_string(file).unwrap();
        (!is_test).then(|| Self { path, module, code: code(&text) })
    }

    fn may_use(&self) -> Vec<&'static str> {
        let row = MAY_USE.iter().find(|(module, _)| *module == self.module);
        let (module, below) = row.unwrap_or_else(|| panic!("{} has no row in the table", self.module));
        below.split(' ').chain([*module]).collect()
    }

    /// The modules that paths from the crate's root lead to.
    fn uses(&self) -> BTreeSet<String> {
        let ours = ["crate::", "doitong::"];
        let paths = ours.iter().flat_map(|root| self.code.split(root).skip(1));
        paths.flat_map(|path| path.strip_prefix('{').map_or_else(|| vec![first_word(path)], group)).collect()
    }

    /// Those of these words that are in the code.
    fn words(&self, wanted: &[&str]) -> Vec<Breach> {
        let words: BTreeSet<_> = self.code.split(|c: char| !is_word(c)).collect();
        let found = wanted.iter().filter(|word| words.contains(**word));
        found.map(|word| (self.path.clone(), (*word).to_owned())).collect()
    }

    /// Those of these texts that are in the code.
    fn texts(&self, wanted: &[&str]) -> Vec<Breach> {
        let found = wanted.iter().filter(|text| self.code.contains(**text));
        found.map(|text| (self.path.clone(), (*text).to_owned())).collect()
    }

    /// Whether `super` is asked for this module.
    fn imports(&self, module: &str) -> bool {
        let paths = self.code.split("super::").skip(1);
        let mut named = paths.flat_map(|path| path.strip_prefix('{').map_or_else(|| vec![first_word(path)], group));
        named.any(|name| name == module)
    }
}

/// What is neither comment nor unit test; those come last in a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split_once(" // ").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// The first words of the members of `{a::b, c::{d, e}}`, given from its opening brace on.
fn group(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(first_word(&text[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| is_word(*c)).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn imports_are_read_in_every_form() {
    let source = |code: &str| Source { path: String::new(), module: "jobs".to_owned(), code: self::code(code) };
    let used = |code: &str| source(code).uses().into_iter().collect::<Vec<_>>();
    assert_eq!(
        used("use crate::{\n    accounts::{self, Caller},\n    db::Bus, domain,\n};"),
        ["accounts", "db", "domain"]
    );
    assert_eq!(used("fn a() -> crate::jobs::A { crate::http::b() } // crate::cli"), ["http", "jobs"]);
    assert_eq!(used("mod a;\n#[cfg(test)]\nmod tests {\n use crate::cli; }"), [""; 0]);
}
