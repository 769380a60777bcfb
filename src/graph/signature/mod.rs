//! What a layer takes: its arguments, their values, its documentation; and a call, read by them.

pub(crate) mod argument;
pub(crate) mod call;
pub mod definition;
pub(crate) mod value;
