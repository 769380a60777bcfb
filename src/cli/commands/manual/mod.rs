//! What the program says about itself: help, codes, manual pages, completions.

pub mod completions;
pub mod explain;
pub mod help;
pub mod man;
