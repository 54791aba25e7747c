//! What documents refer to: files, headings, commands.

use std::{collections::BTreeSet, path::Path};

use super::{ROOT, documents, read};
use crate::cli::Home;

/// The lines of a document that are no code.
fn prose(document: &str) -> Vec<String> {
    let mut is_code = false;
    let text = read(document);
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.map(str::to_owned).collect()
}

/// The anchors of a document's headings, as `GitHub` makes them.
fn anchors(document: &str) -> BTreeSet<String> {
    let heading = |line: &str| {
        let title = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        Some(kept.collect::<String>().replace(' ', "-"))
    };
    prose(document).iter().filter_map(|line| heading(line)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for document in documents() {
        let text = prose(&document).join("\n");
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            seen += 1;
            let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            let folder = Path::new(&document).parent().unwrap();
            let target = if path.is_empty() { document.clone().into() } else { folder.join(path) };
            assert!(Path::new(ROOT).join(&target).exists(), "{document}: {link}");
            if let Some(anchor) = anchor {
                assert!(anchors(target.to_str().unwrap()).contains(anchor), "{document}: {link}");
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn every_command_that_is_named_exists_with_its_options() {
    let (home, mut seen) = (Home::new(), 0);
    for document in documents() {
        let text = prose(&document).join(" ");
        for span in text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("doitong ")) {
            seen += 1;
            let words: Vec<_> = span.split_whitespace().skip(1).collect();
            let is_name =
                |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            // Subcommands, up to the first word that is none.
            let (mut path, mut help) = (Vec::new(), home.run(&["--help"]).stdout);
            for word in words.iter().take_while(is_name) {
                if !help.lines().any(|line| line.split_whitespace().next() == Some(word)) {
                    break;
                }
                path.push(*word);
                help = home.run(&[&path[..], &["--help"]].concat()).stdout;
            }
            assert!(!path.is_empty() || words[0].starts_with('-'), "{document}: {span}");
            let options =
                span.split(|c: char| c.is_whitespace() || "[]|=".contains(c)).filter(|word| word.starts_with("--"));
            for option in options {
                assert!(help.contains(option), "{document}: {span}: {option}");
            }
        }
    }
    assert!(seen > 20, "{seen}");
}
