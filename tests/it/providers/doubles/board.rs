//! The tasks a double has taken, and the refusals that words in a request ask for.

use std::sync::{Arc, Mutex};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// The tasks of a double.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Vec<Entry>>>);

/// A task: what was sent, where to, how often it was looked at.
#[derive(Clone, Default)]
pub struct Entry {
    pub path: String,
    pub words: String,
    pub body: Value,
    pub looks: u32,
    pub gone: bool,
}

impl Entry {
    /// Whether the request holds this word.
    pub fn says(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

/// The id of the n-th task.
pub fn id(number: usize) -> String {
    format!("5f0c2b8e-0000-4000-8000-{number:012}")
}

impl Board {
    /// Takes a task and gives its id.
    pub fn take(&self, path: &str, body: &Value) -> String {
        let mut entries = self.0.lock().unwrap();
        entries.push(Entry { path: path.into(), words: body.to_string(), body: body.clone(), ..Entry::default() });
        id(entries.len())
    }

    /// The task with this id after one more look.
    pub fn look(&self, asked: &str) -> Option<Entry> {
        self.change(asked, |entry| entry.looks += 1)
    }

    /// Forgets a task; whether it was there.
    pub fn forget(&self, asked: &str) -> bool {
        self.change(asked, |entry| entry.gone = true).is_some()
    }

    /// Changes a task and gives it.
    pub fn change(&self, asked: &str, change: impl FnOnce(&mut Entry)) -> Option<Entry> {
        let mut entries = self.0.lock().unwrap();
        let (_, entry) = (1..).zip(entries.iter_mut()).find(|(number, entry)| id(*number) == asked && !entry.gone)?;
        change(entry);
        Some(entry.clone())
    }

    /// All tasks with their ids.
    pub fn all(&self) -> Vec<(String, Entry)> {
        (1..).map(id).zip(self.0.lock().unwrap().iter().cloned()).collect()
    }
}

/// An answer.
pub fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// An answer that breaks off.
pub fn broken_off(status: u16) -> Response {
    (StatusCode::from_u16(status).unwrap(), "{\"id\":\"5f0c").into_response()
}

/// A documented example with another id.
pub fn fixture(status: u16, text: &str, id: &str) -> Response {
    answer(status, serde_json::from_str(&text.replace("00000000-0000-4000-8000-000000000000", id)).unwrap())
}
