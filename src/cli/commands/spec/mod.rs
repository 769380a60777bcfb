//! Commands on specs.

pub mod check;
pub mod diff;
pub mod fmt;
pub mod lsp;
pub mod new;
pub mod show;
pub mod test;
