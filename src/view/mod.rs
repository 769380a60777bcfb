//! Graphs and training runs for people: tables, the same as JSON, drawings, pages.

mod axis;
mod boxes;
mod columns;
pub mod curves;
pub mod difference;
mod family;
mod layout;
mod metrics;
mod order;
mod paint;
pub mod report;
mod report_tables;
mod scopes;
pub mod svg;
pub mod table;
mod text;

pub use curves::curves;
pub use report::{Mistake, Occasion, report};
pub use svg::svg;
pub use table::{json, table};
