//! Views of nets and training runs: tables, predictions, JSON, drawings, HTML reports.

mod category;
pub mod charts;
pub mod diff;
mod dot;
pub mod drawing;
mod graph_layout;
mod histogram;
pub mod html;
pub mod layer_table;
mod number_format;
#[cfg(feature = "png")]
mod png;
pub mod predictions;
mod scopes;
#[cfg(feature = "png")]
mod svg_outlines;
mod svg_text;

pub use charts::curves::curves;
pub use dot::dot;
pub use drawing::{DrawingOptions, TooManyLayers, drawn, svg, svg_with};
pub use histogram::Histogram;
pub use html::network::{LayerDetails, network};
pub use html::{MisclassifiedPhoto, ReportKind, report};
pub use layer_table::{TableOptions, json, table};
#[cfg(feature = "png")]
pub use png::{Png, PngError, png};
#[cfg(feature = "png")]
pub use svg_outlines::OutlineError;
