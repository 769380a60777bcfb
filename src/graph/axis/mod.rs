//! Axis order: the order in which the framework that wrote a weights file has the values of each tensor of a net. PyTorch and
//! ONNX have images as (channels, height, width), so that flattened features come channel by channel, where netc has them pixel
//! by pixel. PyTorch has sequences as (features, steps) around convolutions, pools and normalisations, and as (steps, features), as
//! netc has them, around recurrent layers, attention and embeddings: a sequence has the order of the layers around it.
//!
//! The [`AxisRule`] of each operation gives the order of its output from those of its inputs; [`AxisOrders`] propagates the
//! orders through a graph. The permutation of a parameter follows from them in `weights`.

mod backward;
mod cut;
mod forward;
mod order;
mod rule;
mod sequence;
mod walk;

pub use cut::Cut;
pub use order::{Order, Segment, Unknown, places};
pub use rule::{AxisRule, ParameterKind};
pub use walk::AxisOrders;
