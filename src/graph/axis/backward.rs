//! Backward propagation: the order that an operation needs of an input for a given order of its output.

use super::{AxisRule, Order};
use crate::tensor::TensorType;

impl AxisRule {
    /// The order that an input should have so that the output can have the needed one.
    pub(super) fn backward(&self, input: &TensorType, output: &TensorType, wanted: Option<&Order>) -> Option<Order> {
        let rank = input.sizes.len();
        match self {
            AxisRule::Image => Some(Order::ChannelsFirst),
            AxisRule::Reduce => (rank == 3).then_some(Order::ChannelsFirst),
            // The last axis of an image is its channels, which the file's framework has first.
            AxisRule::Channels => wanted.cloned().or((rank == 3).then_some(Order::ChannelsFirst)),
            AxisRule::Slice { .. } | AxisRule::Concatenate { .. } => {
                (rank == 3).then(|| wanted.cloned().unwrap_or(Order::ChannelsFirst))
            }
            AxisRule::Pointwise | AxisRule::Mixture { .. } => wanted.filter(|_| input.agrees(output)).cloned(),
            // A flattened image keeps the order of the image.
            AxisRule::Reshape => {
                let order = Order::of_segments(wanted?.segments(output)?, input);
                (rank != 3 || order == Order::ChannelsFirst).then_some(order)
            }
            AxisRule::Transpose(order) => match (&order[..], wanted) {
                ([1, 2, 0] | [1, 0], Some(Order::ChannelsFirst)) => Some(Order::Same),
                ([2, 0, 1], None | Some(Order::Same)) | ([1, 0, 2], None | Some(Order::ChannelsFirst)) => {
                    Some(Order::ChannelsFirst)
                }
                _ => None,
            },
            // Sequences have the order of the layers around them.
            AxisRule::Steps | AxisRule::StepsInPlace => Some(Order::Same),
            AxisRule::Unknown
            | AxisRule::AlongTime
            | AxisRule::AlongTimeInPlace
            | AxisRule::Sequence
            | AxisRule::Features => None,
        }
    }
}
