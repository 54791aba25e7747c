//! The fenced blocks of the documents.

use std::{fmt, fs, path::Path};

use super::{ROOT, read};

/// What a comment before a block says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It goes on until it is stopped.
    Serves,
    /// It is what a receiver gets for the generation before it.
    Webhook,
    /// It is not run.
    NotRun,
    /// None of these.
    Unknown(String),
}

pub struct Block {
    pub document: String,
    line: usize,
    pub language: String,
    pub mark: Option<Mark>,
    pub text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.document, self.line)
    }
}

impl Block {
    pub fn is_known(&self) -> bool {
        match &self.mark {
            Some(Mark::NotRun) => true,
            Some(Mark::Serves) => self.language == "sh",
            Some(Mark::Webhook) => self.language == "json",
            Some(Mark::Unknown(_)) => false,
            None => {
                let run = ["sh", "graphql", "json", "text", "js", "python", "sql", "yaml", "mermaid"];
                run.contains(&self.language.as_str()) || (self.language == "rust" && self.is_verification())
            }
        }
    }

    pub fn needs_gateway(&self) -> bool {
        self.mark != Some(Mark::NotRun) && !["json", "text", "mermaid"].contains(&self.language.as_str())
    }

    /// Whether it is the function that a receiver calls.
    pub fn is_verification(&self) -> bool {
        ["function verify(", "def verify(", "fn verify("].iter().any(|start| self.text.contains(start))
    }
}

/// All documents, by their paths below the root.
pub fn documents() -> Vec<String> {
    let mut found: Vec<String> =
        ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "migrations/README.md"].map(Into::into).into();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&folder)).unwrap().map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if Path::new(&path).extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

pub fn blocks(document: &str) -> Vec<Block> {
    let text = read(document);
    let (mut blocks, mut open, mut mark) = (Vec::new(), None::<Block>, None);
    for (at, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, Some(language)) => {
                let (document, language) = (document.to_owned(), language.to_owned());
                open = Some(Block { document, line: at + 1, language, mark: mark.take(), text: String::new() });
            }
            (None, None) => mark = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")).map(read_mark),
        }
    }
    assert!(open.is_none(), "{document}: a block does not end");
    blocks
}

fn read_mark(text: &str) -> Mark {
    match text {
        "serves" => Mark::Serves,
        "the webhook" => Mark::Webhook,
        _ if text.strip_prefix("not run: ").is_some_and(|reason| reason.len() > 10) => Mark::NotRun,
        _ => Mark::Unknown(text.to_owned()),
    }
}
