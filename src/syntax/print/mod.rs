//! Trees to text: the formatter, quotes in diagnostics, `--emit ast`.

pub(crate) mod format;
mod format_list;
pub(crate) mod inline;
mod line_breaks;
mod lines;
pub(crate) mod tree;
