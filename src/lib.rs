//! Doitong: one GraphQL endpoint in front of AI video, image, speech and avatar models.

pub mod catalog;
pub mod db;
pub mod domain;
pub mod egress;
pub mod http;
pub mod media;
pub mod providers;
pub mod webhooks;
