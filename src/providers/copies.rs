//! Several pictures from services that make one a call.

use futures_util::future::join_all;

use crate::domain::{Fault, Verdict, output::Outputs};

/// Makes the calls side by side and puts their pictures together. One failure fails them all, since the price was for
/// all; when another call succeeded, the work was begun, and the verdict says so.
pub async fn gather<C>(calls: impl IntoIterator<Item = C>) -> Result<Outputs, Fault>
where
    C: Future<Output = Result<Outputs, Fault>>,
{
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for result in join_all(calls).await {
        match result {
            Ok(outputs) => done.push(outputs),
            Err(fault) => failed.push(fault),
        }
    }
    let begun = !done.is_empty() || failed.iter().any(|fault| fault.verdict == Verdict::Unknown);
    if let Some(mut fault) = failed.into_iter().next() {
        if begun {
            fault.verdict = Verdict::Unknown;
        }
        return Err(fault);
    }
    let mut all = Outputs::default();
    for outputs in done {
        all.files.extend(outputs.files);
        all.seed = all.seed.or(outputs.seed);
        all.notes.extend(outputs.notes);
    }
    Ok(all)
}
