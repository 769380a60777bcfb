//! Converting photos to tensors.

pub mod augment;
mod decode;
mod exif;
mod jpeg;
pub mod photo;
pub(crate) mod photo_error;
mod picture;
pub mod prefetch;
mod resample;
pub mod thumbnail;
