//! Windows over images, their borders and sizes.

pub(super) mod border;
pub(super) mod convolution;
pub(super) mod pool;
pub(super) mod resize;
pub(super) mod window;
