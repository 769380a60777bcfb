//! Graphs for people: a table of the layers, the same as JSON, and a drawing.

mod boxes;
mod columns;
pub mod difference;
mod family;
mod layout;
mod metrics;
mod order;
mod paint;
mod scopes;
pub mod svg;
pub mod table;
mod text;

pub use svg::svg;
pub use table::{json, table};
