//! Graphs and training runs for people: tables, the same as JSON, drawings, pages.

mod category;
pub mod charts;
pub mod diff;
pub mod drawing;
mod graph_layout;
pub mod html;
pub mod layer_table;
mod number_format;

pub use charts::curves::curves;
pub use drawing::svg;
pub use html::{MisclassifiedPhoto, Occasion, report};
pub use layer_table::{json, table};
