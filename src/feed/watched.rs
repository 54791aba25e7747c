//! What is watched, what is to be looked at next, and whom to tell: plain data, changed under the feed's lock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{Ended, LOOK_EVERY, News};
use crate::{
    db::Changes,
    domain::{AccountId, GenerationId, Mode, Status, Timestamp},
    jobs::Generation,
};

/// A generation, as those of an account in a mode may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub id: GenerationId,
    pub account: AccountId,
    pub mode: Mode,
}

/// The state to begin with and the news after it; nothing when there is no such generation.
type Joined = Result<Option<(Arc<Generation>, watch::Receiver<Option<News>>)>, Arc<anyhow::Error>>;
/// Somebody who wants to watch.
type Joining = oneshot::Sender<Joined>;

/// What is to be looked at, and who waits for that: a state is current for those who came before the look began.
pub(super) struct Asked {
    pub subject: Subject,
    joining: Vec<Joining>,
}

/// What a look found.
pub(super) enum Look {
    Found(Arc<Generation>),
    Gone,
    /// No answer now.
    Unanswered(Arc<anyhow::Error>),
    Broken(Arc<anyhow::Error>),
}

/// What was told last: status, progress, place in the queue, attempts, and by whom it is served.
type Told = (Status, u8, Option<i64>, usize, String);

fn telling(generation: &Generation, now: Timestamp) -> Told {
    let served_by = format!("{}/{}", generation.provider, generation.model);
    let progress = generation.progress(now);
    (generation.status, progress, generation.queue_position, generation.attempts.len(), served_by)
}

struct Entry {
    told: Option<Told>,
    news: watch::Sender<Option<News>>,
    joining: Vec<Joining>,
    /// It is among those to be looked at.
    is_due: bool,
    /// When it is looked at without a hint: its place in the rota, where one that was let go may have left another.
    turn: Instant,
}

impl Entry {
    fn new(turn: Instant) -> Self {
        Self { told: None, news: watch::Sender::default(), joining: Vec::new(), is_due: false, turn }
    }

    fn is_left(&self) -> bool {
        self.joining.is_empty() && self.news.is_closed()
    }
}

/// Everything that is watched.
#[derive(Default)]
pub(super) struct Watched {
    entries: BTreeMap<Subject, Entry>,
    /// To be looked at now.
    due: VecDeque<Subject>,
    /// To be looked at without a hint, each entry once, in the order of time.
    rota: VecDeque<(Instant, Subject)>,
}

impl Watched {
    /// Lets somebody watch.
    pub fn join(&mut self, subject: Subject, joining: Joining) {
        let entry = self.entries.entry(subject).or_insert_with(|| {
            let turn = Instant::now() + LOOK_EVERY;
            self.rota.push_back((turn, subject));
            Entry::new(turn)
        });
        entry.joining.push(joining);
        self.make_due(subject);
    }

    /// Notes what is to be looked at; whether there is anything.
    pub fn note(&mut self, changes: &Changes) -> bool {
        let changed: Vec<Subject> = if changes.missed {
            self.entries.keys().copied().collect()
        } else {
            changes.ids.iter().flat_map(|id| self.subjects(*id)).collect()
        };
        changed.iter().for_each(|subject| self.make_due(*subject));
        !changed.is_empty()
    }

    fn subjects(&self, id: GenerationId) -> impl Iterator<Item = Subject> {
        let first = Subject { id, account: AccountId::new(i64::MIN), mode: Mode::Test };
        self.entries.range(first..).map(|(subject, _)| *subject).take_while(move |subject| subject.id == id)
    }

    fn make_due(&mut self, subject: Subject) {
        let Some(entry) = self.entries.get_mut(&subject) else { return };
        if !std::mem::replace(&mut entry.is_due, true) {
            self.due.push_back(subject);
        }
    }

    /// When something is to be looked at without a hint.
    pub fn next_look(&self) -> Option<Instant> {
        self.rota.front().map(|(at, _)| *at)
    }

    /// Takes what is to be looked at, at most so many.
    pub fn take(&mut self, at_most: usize, now: Instant) -> Vec<Asked> {
        self.turn_rota(at_most, now);
        let mut asked = Vec::new();
        while asked.len() < at_most
            && let Some(subject) = self.due.pop_front()
        {
            let Some(entry) = self.entries.get_mut(&subject) else { continue };
            if entry.is_left() {
                self.entries.remove(&subject);
                continue;
            }
            entry.is_due = false;
            asked.push(Asked { subject, joining: std::mem::take(&mut entry.joining) });
        }
        asked
    }

    /// Makes due whose time has come. Once that is so for one, it is for those that follow soon: many are then looked at
    /// together, and again together the next time.
    fn turn_rota(&mut self, at_most: usize, now: Instant) {
        if self.next_look().is_none_or(|at| at > now) {
            return;
        }
        let soon = now + LOOK_EVERY / 10;
        for _ in self.due.len()..at_most {
            let Some((turn, subject)) = self.rota.pop_front_if(|(turn, _)| *turn <= soon) else { return };
            if let Some(entry) = self.entries.get_mut(&subject).filter(|entry| entry.turn == turn) {
                entry.turn = now + LOOK_EVERY;
                self.rota.push_back((entry.turn, subject));
                self.make_due(subject);
            }
        }
    }

    /// Tells what was found to those who wait for it, and to the others what is news.
    pub fn tell(&mut self, asked: Vec<Asked>, looks: Vec<Look>, now: Timestamp) {
        for (Asked { subject, joining }, look) in asked.into_iter().zip(looks) {
            match look {
                Look::Found(generation) => self.tell_found(subject, joining, &generation, now),
                Look::Gone => {
                    answer(joining, || Ok(None));
                    self.end(subject, Ended::Gone);
                }
                Look::Broken(error) => {
                    answer(joining, || Err(error.clone()));
                    self.end(subject, Ended::Broken(error));
                }
                Look::Unanswered(error) => {
                    answer(joining, || Err(error.clone()));
                    self.make_due(subject);
                }
            }
        }
    }

    fn tell_found(&mut self, subject: Subject, joining: Vec<Joining>, generation: &Arc<Generation>, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&subject) else { return };
        let telling = telling(generation, now);
        if entry.told.as_ref() != Some(&telling) {
            entry.told = Some(telling);
            entry.news.send_replace(Some(Ok(generation.clone())));
        }
        answer(joining, || Ok(Some((generation.clone(), entry.news.subscribe()))));
        if generation.status.is_terminal() {
            self.let_go(subject);
        }
    }

    fn end(&mut self, subject: Subject, ended: Ended) {
        if let Some(entry) = self.entries.get(&subject) {
            entry.news.send_replace(Some(Err(ended)));
        }
        self.let_go(subject);
    }

    /// Forgets it, unless somebody came while it was looked at.
    fn let_go(&mut self, subject: Subject) {
        if self.entries.get(&subject).is_some_and(|entry| entry.joining.is_empty()) {
            self.entries.remove(&subject);
        }
    }
}

fn answer(joining: Vec<Joining>, joined: impl Fn() -> Joined) {
    for one in joining {
        // Who is gone needs no answer.
        let _ = one.send(joined());
    }
}
