//! Doubles of the upstreams: they check everything and take nothing that is not documented.

pub mod bfl;
pub mod board;
pub mod check;
pub mod creatify;
pub mod dashscope;
pub mod kling;
pub mod luma;
pub mod minimax;
pub mod pixverse;
pub mod runway;
pub mod vidu;
