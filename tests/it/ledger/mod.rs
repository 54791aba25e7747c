//! Credits: nothing is lost, nothing is charged twice, whatever happens.

mod books;
mod model;
