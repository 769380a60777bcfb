//! Models of other programs: in and out.

pub mod export;
pub mod import;
