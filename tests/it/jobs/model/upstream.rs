//! An upstream that does its worst: it may take work and lose the answer, refuse, not be reached, tell wrong things from
//! right ones by no more than its protocol promises.

use std::time::Duration;

use doitong::{
    domain::{
        Fault, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{Handle, Progress, Reconciled, Submitted},
};

const KINDS: [Kind; 9] = [
    Kind::InvalidInput,
    Kind::Moderated,
    Kind::Failed,
    Kind::Busy,
    Kind::Down,
    Kind::Internal,
    Kind::Account,
    Kind::Garbled,
    Kind::Gone,
];

/// How an upstream can tell what became of a submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// It cannot.
    Mute,
    /// By a client id or a list.
    Tells,
    /// It knows a repeated submit by its key.
    Resends,
}

/// What an upstream has of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    None,
    Working,
    Made,
    Failed,
}

/// What it has afterwards, whether it took (and is paid for) work, and what it says.
pub type Said<T> = (Task, bool, Result<T, Fault>);

fn faults(verdict: Verdict) -> impl Iterator<Item = Fault> {
    KINDS.into_iter().map(move |kind| Fault::new(kind, verdict, ""))
}

fn handle() -> Handle {
    Handle("a".to_owned())
}

/// Results to be fetched, and results that came with the answer.
fn outputs() -> [Outputs; 2] {
    let sources =
        [Source::Url { url: "https://a.test/".parse().unwrap(), authorized: false }, Source::Bytes("a".into())];
    sources.map(|source| Outputs { files: vec![Output { source, content_type: None }], ..Outputs::default() })
}

/// Everything that can come of sending the work.
pub fn submit(task: Task) -> Vec<Said<Submitted>> {
    let accepted = Submitted::Accepted { handle: handle(), poll_after: Some(Duration::ZERO) };
    let mut said = vec![(Task::Working, true, Ok(accepted))];
    said.extend(outputs().map(|outputs| (Task::Made, true, Ok(Submitted::Done(outputs)))));
    said.extend(faults(Verdict::Unknown).map(|fault| (Task::Working, true, Err(fault))));
    for verdict in [Verdict::Unknown, Verdict::Refused, Verdict::NotReached] {
        said.extend(faults(verdict).map(|fault| (task, false, Err(fault))));
    }
    said
}

/// Everything that can come of asking what became of a submit.
pub fn reconcile(protocol: Protocol, task: Task) -> Vec<Said<Reconciled>> {
    let mut said: Vec<Said<Reconciled>> = faults(Verdict::Unknown).map(|fault| (task, false, Err(fault))).collect();
    match (protocol, task) {
        (Protocol::Mute, _) => said.push((task, false, Ok(Reconciled::Unsupported))),
        (Protocol::Tells, Task::None) => said.push((task, false, Ok(Reconciled::Absent))),
        (Protocol::Resends, Task::None) => {
            said.push((task, false, Ok(Reconciled::Absent)));
            said.push((Task::Working, true, Ok(Reconciled::Found(handle()))));
            said.extend(faults(Verdict::Unknown).map(|fault| (Task::Working, true, Err(fault))));
        }
        // Where the repeated answer is the result itself, the protocol cannot tell.
        (Protocol::Resends, Task::Made) => {
            said.push((task, false, Ok(Reconciled::Found(handle()))));
            said.push((task, false, Ok(Reconciled::Unsupported)));
        }
        _ => said.push((task, false, Ok(Reconciled::Found(handle())))),
    }
    said
}

/// Everything that can come of asking how the work is going.
pub fn poll(task: Task) -> Vec<Said<Progress>> {
    let mut said: Vec<Said<Progress>> = faults(Verdict::Unknown).map(|fault| (task, false, Err(fault))).collect();
    if matches!(task, Task::Working) {
        said.push((task, false, Ok(Progress::Queued)));
        said.push((task, false, Ok(Progress::Running(Some(50)))));
    }
    if matches!(task, Task::Working | Task::Made) {
        said.extend(outputs().map(|outputs| (Task::Made, false, Ok(Progress::Done(outputs)))));
    }
    if matches!(task, Task::Working | Task::Failed) {
        said.extend(faults(Verdict::Refused).map(|fault| (Task::Failed, false, Ok(Progress::Failed(fault)))));
    }
    said
}
