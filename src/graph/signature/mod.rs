//! A layer's signature: arguments, values, documentation, category; and calls bound to it.

pub(crate) mod argument;
pub(crate) mod call;
pub(crate) mod category;
pub mod definition;
pub(crate) mod value;
