//! Arguments that several commands take.

pub(super) mod build_args;
pub(super) mod number;
pub(super) mod spec_files;
pub(super) mod threads_arg;
