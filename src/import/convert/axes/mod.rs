//! The axes of values: their order and sizes, parts and repetitions.

pub(super) mod displaced;
pub(super) mod gather;
pub(super) mod order;
pub(super) mod shape;
pub(super) mod slice;
pub(super) mod strided;
