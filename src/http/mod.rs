//! The HTTP edge.

pub mod media;

use std::sync::Arc;

use crate::app::App;

/// All routes.
pub fn router(_app: Arc<App>) -> axum::Router {
    axum::Router::new()
}
