//! Batch, group and local response normalisation, and their gradients.

pub mod batch_norm;
pub mod group_norm;
pub mod group_norm_gradient;
pub mod layer_norm;
pub mod local_response_gradient;
pub mod local_response_norm;
pub mod scale_shift;
