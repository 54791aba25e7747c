//! One or two generations, two workers and their upstreams, and everything that can happen to them.

use doitong::{
    domain::{Fault, output::Source},
    jobs::{
        Stage,
        state::{self, Act, Detour, Next, Recopy, Time, Trouble, Uncopied},
    },
    providers::{Handle, Progress, Reconciled, Submitted},
};

use super::{
    explore::Model,
    record::{Change, Record},
    upstream::{self, Protocol, Task},
};

/// The most of each.
const WORKERS: usize = 2;
const ROUTES: usize = 2;

/// The decisions that are checked: the real ones, or wrong ones that must be found out.
pub struct Rules {
    pub after_submit: fn(Result<Submitted, Fault>) -> Next,
    pub after_reconcile: fn(Result<Reconciled, Fault>, Trouble, Time) -> Next,
    pub after_poll: fn(Result<Progress, Fault>, Time) -> Next,
    /// Whether a worker looks at its lease before it sends.
    pub looks_before_it_sends: bool,
    /// Whether a worker's changes name its lease.
    pub is_fenced: bool,
}

pub const REAL: Rules = Rules {
    after_submit: state::after_submit,
    after_reconcile: state::after_reconcile,
    after_poll: state::after_poll,
    looks_before_it_sends: true,
    is_fenced: true,
};

/// What is explored.
pub struct Setup {
    /// Requests; the plan runs one at a time.
    pub requests: usize,
    pub workers: usize,
    /// Routes that can serve each.
    pub routes: usize,
    pub protocol: Protocol,
    pub luck: Luck,
    pub rules: Rules,
}

/// What happens besides what upstreams do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// Everything: processes die, leases lapse under workers that stand still, clients cancel, time passes.
    Bad,
    /// Processes live and do not stand still.
    Good,
    /// That, and all patience is spent, every deadline has passed, and no client cancels: what is left must end.
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub works: [Work; 2],
    pub hands: [Option<Hand>; WORKERS],
}

/// A request and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// Absent until it was accepted.
    pub record: Option<Record>,
    pub route: usize,
    pub tasks: [Task; ROUTES],
    /// How much work upstreams took, and are paid for.
    pub paid: u8,
    deadline: Time,
    patience: Time,
    tries: Time,
}

/// What a worker is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hand {
    work: usize,
    /// The job as it was when it was claimed.
    stage: Stage,
    route: usize,
    has_handle: bool,
    is_troubled: bool,
    /// Its lease has run out: others may claim the job, and it may not know.
    is_lapsed: bool,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Begin,
    /// The intent is durable, nothing is sent.
    Intended,
    /// To write this down.
    Write(Change),
    /// To copy results: from the upstream, or those in hand.
    Fetch,
    Keep,
    /// It has a handle and lost its lease.
    LateHandle,
}

#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A client asks; again, as an idempotency key is for, it changes nothing.
    Ask(#[expect(dead_code, reason = "for people")] usize),
    Cancel(#[expect(dead_code, reason = "for people")] usize),
    Claims(#[expect(dead_code, reason = "for people")] usize),
    Goes(#[expect(dead_code, reason = "for people")] usize),
    Dies(#[expect(dead_code, reason = "for people")] usize),
    LeaseLapses(#[expect(dead_code, reason = "for people")] usize),
    TimePasses(#[expect(dead_code, reason = "for people")] usize),
}

impl Model for Setup {
    type World = World;
    type Event = Event;

    fn first(&self) -> World {
        let time = self.time_left();
        let work = Work {
            record: None,
            route: 0,
            tasks: [Task::None; ROUTES],
            paid: 0,
            deadline: time,
            patience: time,
            tries: time,
        };
        World { works: [work; 2], hands: [None; WORKERS] }
    }

    fn next(&self, world: &World) -> Vec<(Event, World)> {
        let mut next = Vec::new();
        for work in 0..self.requests {
            self.client(world, work, &mut next);
            self.time(world, work, &mut next);
        }
        self.workers(world, &mut next);
        for (_, world) in &mut next {
            self.forget(world);
        }
        next
    }
    fn check(&self, before: &World, after: &World) -> Result<(), &'static str> {
        for (before, after) in before.works.iter().zip(&after.works) {
            check_work(before, after)?;
        }
        let running = |work: &&Work| work.record.is_some_and(|record| record.has_place());
        let waits = |work: &Work| work.record.and_then(|record| record.stage()) == Some(Stage::Waiting);
        match after.works.iter().filter(running).count() {
            0 if after.works.iter().any(waits) => Err("a job waits while there is a place"),
            0 | 1 => Ok(()),
            _ => Err("there are more jobs than places"),
        }
    }

    fn is_over(&self, world: &World) -> bool {
        let is_over = |work: &Work| work.record.is_some_and(|it| it.status.is_terminal() && it.job.is_none());
        world.works[..self.requests].iter().all(is_over) && world.hands.iter().all(Option::is_none)
    }
}

fn check_work(before: &Work, after: &Work) -> Result<(), &'static str> {
    let Some(record) = after.record else { return Ok(()) };
    let ends = record.captured + record.released;
    let was_made = before.tasks.contains(&Task::Made);
    let is_under_way = record.stage().is_some_and(|stage| stage != Stage::Stopping);
    let is = |status: fn(&Record) -> bool| before.record.as_ref().is_some_and(status);
    let checks = [
        (after.paid <= 1, "an upstream is paid twice"),
        (record.captured <= 1, "it is charged twice"),
        (record.status.is_terminal() == (ends == 1), "the hold does not end with the job"),
        ((record.status.as_str() == "COMPLETED") == (record.captured == 1), "it is charged without being completed"),
        (record.captured == before.record.map_or(0, |it| it.captured) || was_made, "it is completed without a result"),
        (record.status.is_terminal() != is_under_way, "an accepted job is lost, or one that has ended goes on"),
        (record.stage() != Some(Stage::Running) || record.job.is_some_and(|job| job.has_handle), "it runs unknown"),
        (
            !is(|it| it.status.is_terminal()) || before.record.map(|it| it.status) == Some(record.status),
            "an end is not the end",
        ),
    ];
    checks.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, violated)| Err(*violated))
}

impl World {
    fn with_hand(&self, worker: usize, hand: Option<Hand>) -> Self {
        let mut world = self.clone();
        world.hands[worker] = hand;
        world
    }

    /// The worker goes on to this.
    fn goes_to(&self, worker: usize, at: At) -> Self {
        self.with_hand(worker, self.hands[worker].map(|hand| Hand { at, ..hand }))
    }

    /// The job that waits gets a place that became free.
    fn promote(&mut self) {
        let has_place = |work: &Work| work.record.is_some_and(|record| record.has_place());
        if self.works.iter().any(has_place) {
            return;
        }
        let jobs = self.works.iter_mut().filter_map(|work| work.record.as_mut()?.job.as_mut());
        if let Some(job) = jobs.into_iter().find(|job| job.stage == Stage::Waiting) {
            job.stage = Stage::Ready;
        }
    }

    /// Nobody has the job, or who has it is dead or late.
    fn is_free(&self, work: usize) -> bool {
        let lease = self.works[work].record.and_then(|record| record.job?.lease);
        lease.is_none_or(|lease| self.hands[lease].is_none_or(|hand| hand.work != work || hand.is_lapsed))
    }

    /// A submit whose answer may still come; what it leaves behind is only looked for after the longest call.
    fn is_being_submitted(&self, work: usize) -> bool {
        self.hands.iter().flatten().any(|hand| hand.work == work && hand.stage == Stage::Ready)
    }
}

impl Setup {
    /// What there is of a time that begins.
    fn time_left(&self) -> Time {
        if self.luck == Luck::Late { Time::Up } else { Time::Left }
    }

    fn workers(&self, world: &World, next: &mut Vec<(Event, World)>) {
        for worker in 0..self.workers {
            let Some(hand) = world.hands[worker] else {
                self.claims(world, worker, next);
                continue;
            };
            next.extend(self.steps(world, worker, hand).into_iter().map(|world| (Event::Goes(worker), world)));
            if self.luck != Luck::Bad {
                continue;
            }
            next.push((Event::Dies(worker), world.with_hand(worker, None)));
            if !hand.is_lapsed {
                let lapsed = Hand { is_lapsed: true, ..hand };
                next.push((Event::LeaseLapses(worker), world.with_hand(worker, Some(lapsed))));
            }
        }
    }

    /// Forgets what can have no effect any more, so that worlds are told apart by what matters only.
    fn forget(&self, world: &mut World) {
        let left = self.time_left();
        for (at, work) in world.works.iter_mut().enumerate() {
            let job = work.record.and_then(|record| record.job);
            let stage = job.map(|job| job.stage);
            if !matches!(stage, Some(Stage::Submitting | Stage::Running | Stage::Storing)) {
                work.deadline = left;
            }
            if !job.is_some_and(|job| job.is_troubled) {
                work.patience = left;
            }
            if !matches!(stage, Some(Stage::Storing | Stage::Stopping)) {
                work.tries = left;
            }
            let is_over = work.record.is_some() && job.is_none();
            if is_over && world.hands.iter().flatten().all(|hand| hand.work != at) {
                (work.route, work.tasks, work.paid) = (0, [Task::None; ROUTES], 0);
            }
        }
    }

    fn client(&self, world: &World, work: usize, next: &mut Vec<(Event, World)>) {
        let mut after = world.clone();
        match &mut after.works[work].record {
            record @ None => {
                let has_place = |work: &Work| work.record.is_some_and(|record| record.has_place());
                let stage = if world.works.iter().any(has_place) { Stage::Waiting } else { Stage::Ready };
                *record = Some(Record::new(stage));
                next.push((Event::Ask(work), after));
            }
            Some(record) if self.luck != Luck::Late && !record.status.is_terminal() => {
                record.apply(Change::Cancel, 0);
                after.promote();
                next.push((Event::Cancel(work), after));
            }
            Some(_) => {}
        }
    }

    #[expect(clippy::unused_self, reason = "reads as one with the others")]
    fn time(&self, world: &World, work: usize, next: &mut Vec<(Event, World)>) {
        let Some(job) = world.works[work].record.and_then(|record| record.job) else { return };
        let times: [fn(&mut Work) -> &mut Time; 3] =
            [|work| &mut work.deadline, |work| &mut work.patience, |work| &mut work.tries];
        let is_running = [
            matches!(job.stage, Stage::Submitting | Stage::Running | Stage::Storing),
            job.is_troubled,
            matches!(job.stage, Stage::Storing | Stage::Stopping),
        ];
        for time in times.into_iter().zip(is_running).filter_map(|(time, is_running)| is_running.then_some(time)) {
            let mut after = world.clone();
            *time(&mut after.works[work]) = Time::Up;
            if after != *world {
                next.push((Event::TimePasses(work), after));
            }
        }
    }

    fn claims(&self, world: &World, worker: usize, next: &mut Vec<(Event, World)>) {
        for work in 0..self.requests {
            let Some(job) = world.works[work].record.and_then(|record| record.job) else { continue };
            let is_late_answer_due = job.stage == Stage::Stopping && !job.has_handle && world.is_being_submitted(work);
            if state::act(job.stage) == Act::Rest || is_late_answer_due || !world.is_free(work) {
                continue;
            }
            let (stage, has_handle, is_troubled) = (job.stage, job.has_handle, job.is_troubled);
            let hand = Hand {
                work,
                stage,
                route: world.works[work].route,
                has_handle,
                is_troubled,
                is_lapsed: false,
                at: At::Begin,
            };
            let mut after = world.with_hand(worker, Some(hand));
            if let Some(job) = after.works[work].record.as_mut().and_then(|record| record.job.as_mut()) {
                job.lease = Some(worker);
            }
            next.push((Event::Claims(worker), after));
        }
    }

    /// What a worker's next move can lead to.
    fn steps(&self, world: &World, worker: usize, hand: Hand) -> Vec<World> {
        match hand.at {
            At::Begin => self.begin(world, worker, hand),
            At::Intended if self.rules.looks_before_it_sends && hand.is_lapsed => {
                vec![world.goes_to(worker, At::Write(Change::Resubmit))]
            }
            At::Intended => {
                self.ask(world, worker, hand, upstream::submit(self.task(world, hand)), self.rules.after_submit)
            }
            At::Write(change) => vec![self.write(world, worker, hand, change)],
            At::Fetch => self.copy(world, worker, hand, &[Uncopied::Stale, self.failed(world, hand)]),
            At::Keep => self.copy(world, worker, hand, &[Uncopied::Stale]),
            At::LateHandle => vec![self.write(world, worker, hand, Change::NoteHandle)],
        }
    }

    fn begin(&self, world: &World, worker: usize, hand: Hand) -> Vec<World> {
        let work = &world.works[hand.work];
        match state::act(hand.stage) {
            Act::Submit => {
                let fault = Fault::new(doitong::domain::fault::Kind::Down, doitong::domain::Verdict::NotReached, "");
                let circuit_is_open = self.conclude(world, worker, hand, Next::Elsewhere(fault));
                vec![circuit_is_open, self.write(world, worker, hand, Change::Intend)]
            }
            Act::Reconcile if self.rules.looks_before_it_sends && hand.is_lapsed => vec![world.with_hand(worker, None)],
            Act::Reconcile => {
                let trouble = if hand.is_troubled { Trouble::Some } else { Trouble::None };
                let said = upstream::reconcile(self.protocol, self.task(world, hand));
                self.ask(world, worker, hand, said, |answer| {
                    (self.rules.after_reconcile)(answer, trouble, work.deadline)
                })
            }
            Act::Poll => {
                let said = upstream::poll(self.task(world, hand));
                self.ask(world, worker, hand, said, |answer| (self.rules.after_poll)(answer, work.deadline))
            }
            Act::Copy => vec![world.goes_to(worker, At::Fetch)],
            Act::Stop => self.stop(world, worker, hand),
            Act::Rest => Vec::new(),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as one with the others")]
    fn task(&self, world: &World, hand: Hand) -> Task {
        world.works[hand.work].tasks[hand.route]
    }

    /// The upstream says whatever it may say, and the worker concludes from it.
    fn ask<T>(
        &self,
        world: &World,
        worker: usize,
        hand: Hand,
        said: Vec<upstream::Said<T>>,
        after: impl Fn(Result<T, Fault>) -> Next,
    ) -> Vec<World> {
        let said = said.into_iter().map(|(task, is_paid, answer)| {
            let mut world = world.clone();
            let work = &mut world.works[hand.work];
            work.tasks[hand.route] = task;
            work.paid += u8::from(is_paid);
            self.conclude(&world, worker, hand, after(answer))
        });
        said.collect()
    }

    /// What `Work::conclude` does.
    fn conclude(&self, world: &World, worker: usize, hand: Hand, next: Next) -> World {
        let work = &world.works[hand.work];
        let write = |change| world.goes_to(worker, At::Write(change));
        match next {
            Next::Accepted(..) => write(Change::Accept),
            Next::AskAgain(_) if hand.stage == Stage::Submitting => write(Change::PutBack),
            Next::Wait(_) | Next::AskAgain(_) => write(Change::Look),
            Next::Store(outputs) if matches!(outputs.files[0].source, Source::Url { .. }) => write(Change::Store),
            Next::Store(_) => world.goes_to(worker, At::Keep),
            Next::Elsewhere(fault) => {
                let other = (hand.route + 1 < self.routes).then_some(());
                write(match state::detour(fault.kind, other, work.patience) {
                    Detour::Over(()) => Change::FailOver,
                    Detour::Later => Change::Resubmit,
                    Detour::Fail(_) => Change::Fail,
                })
            }
            Next::Reconcile => write(Change::PutBack),
            Next::Submit => write(Change::Resubmit),
            Next::Fail(_) => write(Change::Fail),
            Next::GiveUp(_) => write(Change::GiveUp),
        }
    }

    fn write(&self, world: &World, worker: usize, hand: Hand, change: Change) -> World {
        let mut after = world.with_hand(worker, None);
        let work = &mut after.works[hand.work];
        let Some(record) = &mut work.record else { return after };
        let is_written =
            if self.rules.is_fenced { record.apply(change, worker) } else { record.apply_unfenced(change) };
        if !is_written {
            return if change == Change::Accept { world.goes_to(worker, At::LateHandle) } else { after };
        }
        let left = self.time_left();
        match change {
            Change::Intend => work.deadline = left,
            Change::Accept => (work.deadline, work.patience) = (left, left),
            Change::Look | Change::Store => work.tries = left,
            Change::FailOver => work.route = hand.route + 1,
            _ => {}
        }
        after.promote();
        match change {
            Change::Intend => Self::on(after, worker, hand, At::Intended),
            Change::Store => Self::on(after, worker, hand, At::Fetch),
            _ => after,
        }
    }

    fn on(mut after: World, worker: usize, hand: Hand, at: At) -> World {
        after.hands[worker] = Some(Hand { at, ..hand });
        after
    }

    #[expect(clippy::unused_self, reason = "reads as one with the others")]
    fn failed(&self, world: &World, hand: Hand) -> Uncopied {
        Uncopied::Failed(if world.works[hand.work].tries == Time::Up { u32::MAX } else { 1 })
    }

    /// The copy succeeds, or fails in one of these ways.
    #[expect(clippy::unused_self, reason = "reads as one with the others")]
    fn copy(&self, world: &World, worker: usize, hand: Hand, ways: &[Uncopied]) -> Vec<World> {
        let handle = Handle(String::new());
        let (known, deadline) = (hand.has_handle.then_some(&handle), world.works[hand.work].deadline);
        let failed = ways.iter().map(|way| match state::after_copy(*way, known, deadline) {
            Recopy::Ask => Change::Look,
            Recopy::Later => Change::PutBack,
            Recopy::Fail(_) => Change::Fail,
        });
        failed.chain([Change::Complete]).map(|change| world.goes_to(worker, At::Write(change))).collect()
    }

    /// The upstream is told, or again later while there are tries left.
    #[expect(clippy::unused_self, reason = "reads as one with the others")]
    fn stop(&self, world: &World, worker: usize, hand: Hand) -> Vec<World> {
        let again = (world.works[hand.work].tries == Time::Left).then_some(Change::PutBack);
        let changes = [Change::Forget].into_iter().chain(again);
        changes.map(|change| world.goes_to(worker, At::Write(change))).collect()
    }
}
