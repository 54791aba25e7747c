//! What the tables say of a job, as far as decisions go, and what each statement makes of it. `statements.rs` holds this
//! to the real statements, one by one.

use doitong::{domain::Status, jobs::Stage};

/// A worker's claim, by the worker's number.
pub type Lease = usize;

/// A generation with its job and its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub status: Status,
    pub job: Option<Job>,
    /// How often its hold was captured, and released.
    pub captured: u8,
    pub released: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    pub stage: Stage,
    pub lease: Option<Lease>,
    pub has_handle: bool,
    /// Patience is running out.
    pub is_troubled: bool,
}

/// A statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    Intend,
    PutBack,
    Accept,
    Look,
    Store,
    Resubmit,
    FailOver,
    Complete,
    Fail,
    GiveUp,
    Cancel,
    Forget,
    NoteHandle,
}

impl Change {
    pub const ALL: [Self; 13] = [
        Self::Intend,
        Self::PutBack,
        Self::Accept,
        Self::Look,
        Self::Store,
        Self::Resubmit,
        Self::FailOver,
        Self::Complete,
        Self::Fail,
        Self::GiveUp,
        Self::Cancel,
        Self::Forget,
        Self::NoteHandle,
    ];

    /// The stages in which it has an effect.
    fn takes(self, stage: Stage) -> bool {
        use Stage::{Ready, Running, Stopping, Storing, Submitting};
        match self {
            Self::PutBack => true,
            Self::Intend => stage == Ready,
            Self::Accept => stage == Submitting,
            Self::Look => matches!(stage, Running | Storing),
            Self::Store => matches!(stage, Submitting | Running),
            Self::Resubmit | Self::FailOver => matches!(stage, Ready | Submitting),
            Self::Complete | Self::Fail | Self::GiveUp | Self::Cancel => stage != Stopping,
            Self::Forget | Self::NoteHandle => stage == Stopping,
        }
    }

    /// Whether it is a worker's, and names its lease.
    fn names_lease(self) -> bool {
        !matches!(self, Self::Cancel | Self::NoteHandle)
    }
}

impl Record {
    /// A generation as it was accepted.
    pub fn new(stage: Stage) -> Self {
        let job = Job { stage, lease: None, has_handle: false, is_troubled: false };
        Self { status: Status::Pending, job: Some(job), captured: 0, released: 0 }
    }

    pub fn stage(&self) -> Option<Stage> {
        self.job.map(|job| job.stage)
    }

    /// It holds one of the plan's places.
    pub fn has_place(&self) -> bool {
        self.stage().is_some_and(|stage| !matches!(stage, Stage::Waiting | Stage::Stopping))
    }

    /// Runs a statement under a lease; whether it had an effect.
    pub fn apply(&mut self, change: Change, lease: Lease) -> bool {
        self.apply_if(change, |job| !change.names_lease() || job.lease == Some(lease))
    }

    /// The same by a worker that does not look at leases.
    pub fn apply_unfenced(&mut self, change: Change) -> bool {
        self.apply_if(change, |_| true)
    }

    fn apply_if(&mut self, change: Change, is_held: impl Fn(&Job) -> bool) -> bool {
        let Some(job) = self.job.filter(|job| change.takes(job.stage) && is_held(job)) else { return false };
        if change == Change::NoteHandle && job.has_handle {
            return false;
        }
        let free = Job { lease: None, ..job };
        let (stage, troubled) = (|stage| Job { stage, ..free }, |stage| Job { stage, is_troubled: true, ..free });
        self.job = match change {
            Change::Intend => Some(Job { stage: Stage::Submitting, ..job }),
            Change::PutBack => Some(free),
            Change::Accept => Some(Job { has_handle: true, is_troubled: false, ..stage(Stage::Running) }),
            Change::Look => Some(stage(Stage::Running)),
            Change::Store => Some(Job { stage: Stage::Storing, is_troubled: false, ..job }),
            Change::Resubmit | Change::FailOver => Some(troubled(Stage::Ready)),
            Change::GiveUp | Change::Cancel if !matches!(job.stage, Stage::Waiting | Stage::Ready) => {
                Some(stage(Stage::Stopping))
            }
            Change::GiveUp | Change::Cancel | Change::Complete | Change::Fail | Change::Forget => None,
            Change::NoteHandle => Some(Job { has_handle: true, ..free }),
        };
        match change {
            Change::Accept | Change::Store => self.status = Status::Processing,
            Change::Complete => self.end(Status::Completed),
            Change::Fail | Change::GiveUp => self.end(Status::Failed),
            Change::Cancel => self.end(Status::Cancelled),
            _ => {}
        }
        true
    }

    fn end(&mut self, status: Status) {
        self.status = status;
        if status == Status::Completed {
            self.captured += 1;
        } else {
            self.released += 1;
        }
    }
}
