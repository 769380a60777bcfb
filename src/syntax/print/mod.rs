//! Prints trees: the formatter, code in diagnostics, `--emit ast`.

mod bracketed_list;
pub(crate) mod format;
mod format_list;
pub(crate) mod inline;
mod line_breaks;
mod lines;
pub(crate) mod tree;
