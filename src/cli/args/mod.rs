//! Arguments that several commands take.

pub(super) mod build_args;
#[cfg(feature = "serve")]
pub(super) mod duration;
pub(super) mod number;
pub(super) mod spec_files;
pub(super) mod threads_arg;
