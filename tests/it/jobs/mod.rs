//! Generations from admission to their end.

mod cancel;
mod fairness;
mod idempotency;
mod life;
mod limits;
mod many;
mod model;
mod paid_once;
mod restart;
mod upkeep;
