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
        let subjects: Vec<Subject> = if changes.missed {
            self.entries.keys().copied().collect()
        } else {
            changes.ids.iter().flat_map(|id| self.subjects(*id)).collect()
        };
        for subject in &subjects {
            self.make_due(*subject);
        }
        !subjects.is_empty()
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
            // Without those who watched before, nobody would ever look at it, and it would be kept for long.
            let _ = entry.news.send(Some(Ok(generation.clone())));
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::{Credits, GenerationType, ModelId, ProviderId};

    fn subject() -> Subject {
        Subject { id: GenerationId::generate(), account: AccountId::new(1), mode: Mode::Test }
    }

    fn generation(subject: Subject, status: Status, reported_progress: u8) -> Arc<Generation> {
        Arc::new(Generation {
            id: subject.id,
            account: subject.account,
            mode: subject.mode,
            r#type: GenerationType::Image,
            status,
            provider: ProviderId::from("p".to_owned()),
            model: ModelId::from("m".to_owned()),
            reported_progress,
            options: serde_json::Value::Null,
            adjustments: Vec::new(),
            attempts: Vec::new(),
            labels: None,
            credit_cost: Credits::ZERO,
            estimated_seconds: 10,
            queue_position: None,
            assets: Vec::new(),
            metadata: None,
            failure: None,
            webhook: None,
            created_at: Timestamp::default(),
            started_at: None,
            completed_at: None,
        })
    }

    type Answer = oneshot::Receiver<Joined>;

    fn join(watched: &mut Watched, subject: Subject) -> Answer {
        let (joining, answer) = oneshot::channel();
        watched.join(subject, joining);
        answer
    }

    fn pending(subject: Subject, progress: u8) -> Look {
        Look::Found(generation(subject, Status::Pending, progress))
    }

    fn look(watched: &mut Watched, found: impl Fn(Subject) -> Look) -> usize {
        let asked = watched.take(100, Instant::now());
        let looks: Vec<Look> = asked.iter().map(|asked| found(asked.subject)).collect();
        let count = looks.len();
        watched.tell(asked, looks, Timestamp::default());
        count
    }

    fn news(answer: &mut Answer) -> watch::Receiver<Option<News>> {
        answer.try_recv().unwrap().unwrap().unwrap().1
    }

    fn changed(id: GenerationId) -> Changes {
        Changes { ids: HashSet::from([id]), missed: false }
    }

    #[test]
    fn those_who_watch_the_same_share_a_look_and_only_news_wakes_them() {
        let (mut watched, one) = (Watched::default(), subject());
        let mut answers = [join(&mut watched, one), join(&mut watched, one)];
        assert_eq!(look(&mut watched, |one| pending(one, 0)), 1);
        let mut both = answers.each_mut().map(news);
        assert!(both.iter().all(|news| !news.has_changed().unwrap()));
        assert!(watched.note(&changed(one.id)));
        assert_eq!(look(&mut watched, |one| pending(one, 0)), 1);
        assert!(both.iter().all(|news| !news.has_changed().unwrap()));
        watched.note(&changed(one.id));
        look(&mut watched, |one| pending(one, 7));
        assert!(both.iter_mut().all(|news| news.borrow_and_update().as_ref().unwrap().is_ok()));
    }

    #[test]
    fn others_with_the_same_id_are_told_nothing() {
        let (mut watched, ours) = (Watched::default(), subject());
        let foreign = Subject { account: AccountId::new(2), ..ours };
        let (mut answer, mut foreign_answer) = (join(&mut watched, ours), join(&mut watched, foreign));
        let found = |one: Subject| if one == ours { pending(one, 0) } else { Look::Gone };
        assert_eq!(look(&mut watched, found), 2);
        assert!(foreign_answer.try_recv().unwrap().unwrap().is_none());
        let _news = news(&mut answer);
        watched.note(&changed(ours.id));
        assert_eq!(look(&mut watched, found), 1);
    }

    #[test]
    fn who_comes_while_a_look_is_under_way_waits_for_the_next() {
        let (mut watched, one) = (Watched::default(), subject());
        let _first = join(&mut watched, one);
        let asked = watched.take(100, Instant::now());
        let mut late = join(&mut watched, one);
        watched.tell(asked, vec![Look::Found(generation(one, Status::Cancelled, 0))], Timestamp::default());
        assert!(late.try_recv().is_err());
        look(&mut watched, |one| Look::Found(generation(one, Status::Cancelled, 0)));
        assert!(late.try_recv().unwrap().unwrap().is_some());
        assert!(watched.entries.is_empty());
    }

    #[test]
    fn what_changes_while_it_is_looked_at_is_looked_at_again() {
        let (mut watched, one) = (Watched::default(), subject());
        let mut answer = join(&mut watched, one);
        let asked = watched.take(100, Instant::now());
        watched.note(&changed(one.id));
        watched.tell(asked, vec![pending(one, 0)], Timestamp::default());
        let mut news = news(&mut answer);
        look(&mut watched, |one| Look::Found(generation(one, Status::Failed, 0)));
        assert_eq!(news.borrow_and_update().clone().unwrap().unwrap().status, Status::Failed);
        assert!(watched.entries.is_empty());
    }

    #[test]
    fn without_an_answer_those_who_watch_keep_watching() {
        let (mut watched, one) = (Watched::default(), subject());
        let mut news = news_of(&mut watched, one);
        watched.note(&Changes { missed: true, ..Changes::default() });
        let away = |_| Look::Unanswered(Arc::new(anyhow::Error::msg("away")));
        assert_eq!(look(&mut watched, away), 1);
        assert!(!news.has_changed().unwrap());
        let mut late = join(&mut watched, one);
        look(&mut watched, away);
        assert!(late.try_recv().unwrap().is_err());
        look(&mut watched, |one| Look::Found(generation(one, Status::Completed, 100)));
        assert!(news.borrow_and_update().clone().unwrap().is_ok());
    }

    fn news_of(watched: &mut Watched, subject: Subject) -> watch::Receiver<Option<News>> {
        let mut answer = join(watched, subject);
        look(watched, |one| pending(one, 0));
        news(&mut answer)
    }

    #[test]
    fn each_is_looked_at_once_an_interval_in_portions_until_nobody_watches() {
        let (mut watched, begun) = (Watched::default(), Instant::now());
        let kept: Vec<_> = (0..150).map(|_| news_of(&mut watched, subject())).collect();
        let left = subject();
        for _ in 0..3 {
            drop(news_of(&mut watched, left));
            look(&mut watched, |one| Look::Found(generation(one, Status::Completed, 100)));
        }
        drop(news_of(&mut watched, left));
        for interval in 1..=3 {
            let now = begun + LOOK_EVERY * interval + LOOK_EVERY / 20 * interval;
            let mut portions = Vec::new();
            loop {
                let asked = watched.take(100, now);
                if asked.is_empty() {
                    break;
                }
                portions.push(asked.len());
                let looks = asked.iter().map(|asked| pending(asked.subject, 0)).collect();
                watched.tell(asked, looks, Timestamp::default());
            }
            assert_eq!(portions, [100, 50], "{interval}");
        }
        drop(kept);
        assert!(watched.take(1000, begun + LOOK_EVERY * 10).is_empty());
        assert!(watched.entries.is_empty());
    }
}
