//! The layout of a drawing: the positions of boxes and frames, and the routes of the links between them.

pub(crate) mod boxes;
mod columns;
mod layered;
mod rank_order;
pub(crate) mod scopes;
mod types;

pub(crate) use types::Point;
