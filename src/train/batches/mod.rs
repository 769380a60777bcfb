//! The inputs of training and evaluation, batch by batch: rows of arrays, cached features, or photos.

pub mod batch_source;
pub mod net_inputs;
pub mod unreadable_photos;
