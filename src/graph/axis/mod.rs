//! Axis order: how the framework that wrote a file of weights sees each tensor of a net. PyTorch and ONNX have an image as
//! (channels, height, width), so that features behind a flatten come channel by channel, where netc has them pixel by pixel.
//!
//! Each operation says by its [`AxisRule`] how the order of its inputs goes over to its output; [`AxisOrders`] carries the
//! orders through a graph. What follows for a parameter is in `weights`.

mod backward;
mod forward;
mod order;
mod rule;
mod walk;

pub use order::{Order, Segment, Unknown, places};
pub use rule::{AxisRule, ParameterKind};
pub use walk::{AxisOrders, Cut};
