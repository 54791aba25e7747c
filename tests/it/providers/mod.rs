//! Every adapter against a double that speaks its upstream's documented protocol, strictly.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the code of tests, also outside of test functions")]

mod bfl;
mod creatify;
mod dashscope;
mod doubles;
mod kling;
mod luma;
mod minimax;
mod pixverse;
mod runway;
mod support_u1;
mod support_u3;
mod vidu;
