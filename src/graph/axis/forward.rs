//! From the orders of an operation's inputs to that of its output.

use super::{AxisRule, Order, Segment};
use crate::tensor::TensorType;

/// The types and orders around an operation.
#[derive(Debug)]
pub(super) struct Edges<'g> {
    pub inputs: &'g [&'g TensorType],
    pub orders: &'g [Order],
    pub output: &'g TensorType,
    /// The order that the consumers of the output need.
    pub wanted: Option<&'g Order>,
}

/// Why the order of an output is unknown.
#[derive(Debug)]
pub(super) enum Mixed {
    /// Inputs have different orders: this one could have that order, if its producer can choose.
    Orders { input: usize, order: Order },
    /// What the layer does, to follow its name in a sentence, and the likely fix.
    Other(String, &'static str),
}

const AS_IMAGE: &str = "`Reshape(CxHxW) >> Transpose([0, 2, 3, 1])` makes an image of values that come channel by channel; values that come \
    pixel by pixel begin as an image, `Input(HxWxC)`";
const BEFORE_FLATTEN: &str = "let it act on the image, before `Flatten`";
const MIRROR: &str = "write what the file's framework computes on its own axes: `Transpose([0, 3, 1, 2])` first makes (channels, height, width) of an image";

impl AxisRule {
    /// The order of the output. The caller propagates an unknown order of an input, except for features, whose output is known.
    pub(super) fn forward(&self, edges: &Edges<'_>) -> Result<Order, Mixed> {
        let Edges { inputs, orders, output, wanted } = *edges;
        let other = |reason: String, help| Err(Mixed::Other(reason, help));
        match self {
            AxisRule::Unknown => other("changes the order of its values in an unknown way".into(), MIRROR),
            AxisRule::Pointwise | AxisRule::Mixture { .. } => merged(self, edges),
            AxisRule::Channels => match (&orders[0], inputs[0].sizes.len()) {
                (order, 1) => Ok(order.clone()),
                (order, _) if order.agrees(&Order::Same, inputs[0]) => Ok(order.clone()),
                (Order::ChannelsFirst, 2 | 3) => Ok(Order::ChannelsFirst),
                _ => other(
                    format!(
                        "looks along the last axis of {}, which the file's framework does not have last",
                        inputs[0]
                    ),
                    MIRROR,
                ),
            },
            AxisRule::Image => match orders[0].agrees(&Order::ChannelsFirst, inputs[0]) {
                true if output.sizes.len() > 1 => Ok(Order::ChannelsFirst),
                true => Ok(Order::Same),
                false => other(
                    format!(
                        "takes {} for an image, but its values are in another order in the file's framework",
                        inputs[0]
                    ),
                    AS_IMAGE,
                ),
            },
            AxisRule::Reduce => match (&orders[0], inputs[0]) {
                (order, of) if order.agrees(&Order::Same, of) => Ok(Order::Same),
                (order, of) if of.sizes.len() > 1 && order.agrees(&Order::ChannelsFirst, of) => {
                    Ok(if output.sizes.len() > 1 { Order::ChannelsFirst } else { Order::Same })
                }
                (_, of) if of.sizes.len() == 1 => Ok(Order::Same),
                (_, of) => other(
                    format!("reduces an axis of {of}, whose values are in another order in the file's framework"),
                    AS_IMAGE,
                ),
            },
            AxisRule::AlongTime => match is_sequence(&orders[0], inputs[0]) {
                true if output.sizes.len() > 1 => Ok(wanted.cloned().unwrap_or(Order::ChannelsFirst)),
                true => Ok(Order::Same),
                false => {
                    other(format!("takes {} for a sequence, in an order that it does not have", inputs[0]), MIRROR)
                }
            },
            AxisRule::Features => Ok(wanted.cloned().unwrap_or(Order::Same)),
            AxisRule::Sequence => match orders.iter().zip(inputs).all(|(order, of)| is_sequence(order, of)) {
                true => Ok(Order::Same),
                false => {
                    other(format!("takes {} in an order that the file's framework does not have", inputs[0]), MIRROR)
                }
            },
            AxisRule::Reshape => {
                let Some(segments) = orders[0].segments(inputs[0]) else {
                    return other(
                        format!("reshapes {}, of which a size is open", inputs[0]),
                        "give the size a number in `Input`",
                    );
                };
                let order = Order::of_segments(segments, output);
                // The file's framework would make another image of them.
                match output.image().is_some() && wanted.is_some_and(|wanted| !order.agrees(wanted, output)) {
                    true => other(
                        format!("makes {output} of values that are in another order in the file's framework"),
                        AS_IMAGE,
                    ),
                    false => Ok(order),
                }
            }
            AxisRule::Transpose(order) => transposed(order, edges),
            AxisRule::Slice { from, to } => sliced(*from, *to, edges),
            AxisRule::Concatenate { axis } => concatenated(*axis, edges),
        }
    }
}

/// Whether values are in an order of a sequence, its features first or last: what has another transposes it.
fn is_sequence(order: &Order, of: &TensorType) -> bool {
    order.agrees(&Order::Same, of) || of.sizes.len() == 2 && order.agrees(&Order::ChannelsFirst, of)
}

fn merged(rule: &AxisRule, edges: &Edges<'_>) -> Result<Order, Mixed> {
    let Edges { inputs, orders, output, .. } = *edges;
    let gate = match rule {
        AxisRule::Mixture { gate } => Some(*gate),
        _ => None,
    };
    let mut whole: Option<(usize, &Order)> = None;
    let mut spread = false;
    for (index, (order, of)) in orders.iter().zip(inputs).enumerate() {
        let narrow = Some(index) == gate || !of.agrees(output);
        if narrow {
            // A value per channel, or a share per branch, in both frameworks.
            if !order.agrees(&Order::Same, of) {
                return Err(Mixed::Orders { input: index, order: Order::Same });
            }
            spread |= gate.is_none();
            continue;
        }
        match whole {
            None => whole = Some((index, order)),
            Some((_, first)) if first.agrees(order, of) => {}
            // The plain one may still be free to choose.
            Some((place, first)) => {
                return Err(match first.agrees(&Order::Same, of) {
                    true => Mixed::Orders { input: place, order: order.clone() },
                    false => Mixed::Orders { input: index, order: first.clone() },
                });
            }
        }
    }
    match whole {
        // A value per channel is broadcast over an image, whose channels the file's framework has first.
        Some((input, order)) if spread && !order.agrees(&Order::ChannelsFirst, output) => {
            Err(Mixed::Orders { input, order: Order::ChannelsFirst })
        }
        Some((_, order)) => Ok(order.clone()),
        None => Ok(Order::Same),
    }
}

fn transposed(order: &[usize], edges: &Edges<'_>) -> Result<Order, Mixed> {
    let from = &edges.orders[0];
    let stays = order.iter().enumerate().all(|(place, axis)| place == *axis);
    let to_image = matches!(edges.wanted, Some(Order::ChannelsFirst));
    match (from, order) {
        _ if stays => Ok(from.clone()),
        // An explicit transpose to the axes of the file's framework, or back.
        (Order::ChannelsFirst, [2, 0, 1] | [1, 0]) => Ok(Order::Same),
        (Order::Same, [1, 2, 0] | [1, 0]) if to_image => Ok(Order::ChannelsFirst),
        // Height and width are swapped in both frameworks.
        (Order::ChannelsFirst, [1, 0, 2]) => Ok(Order::ChannelsFirst),
        // The file's framework has the same axes of a sequence, and transposes them too.
        (Order::Same, [1, 0]) => Ok(Order::Same),
        // It is unknown whether the file's framework transposes these, or has them so already.
        (Order::Same, _) => Err(Mixed::Other(
            format!(
                "makes {} of {}, and no layer after it shows whether the file's framework does so too",
                edges.output, edges.inputs[0]
            ),
            "remove transposes that exist only for netc's order",
        )),
        _ => Err(Mixed::Other(
            format!("moves the axes of {}, which the file's framework has in another order", edges.inputs[0]),
            MIRROR,
        )),
    }
}

fn sliced(from: usize, to: usize, edges: &Edges<'_>) -> Result<Order, Mixed> {
    let Edges { inputs, orders, output, .. } = *edges;
    let of = inputs[0];
    match &orders[0] {
        Order::Same => Ok(Order::Same),
        Order::ChannelsFirst if of.sizes.len() == 3 => Ok(Order::ChannelsFirst),
        Order::Segments(list) if of.sizes.len() == 1 => {
            let mut part = Vec::new();
            let mut start = 0;
            for segment in list {
                let end = start + segment.len();
                let (first, last) = (from.max(start), to.min(end));
                if first < last {
                    if !segment.is_plain() && last - first != segment.len() {
                        let Segment { pixels, channels } = segment;
                        return Err(Mixed::Other(
                            format!(
                                "takes values {from} to {to} of features in which {pixels} pixels of {channels} channels are flattened: \
                                 with channels first those are other values"
                            ),
                            BEFORE_FLATTEN,
                        ));
                    }
                    part.push(if segment.is_plain() { Segment::plain(last - first) } else { *segment });
                }
                start = end;
            }
            Ok(Order::of_segments(part, output))
        }
        _ => Err(Mixed::Other(
            format!("takes part of the last axis of {of}, which the file's framework does not have last"),
            MIRROR,
        )),
    }
}

fn concatenated(axis: usize, edges: &Edges<'_>) -> Result<Order, Mixed> {
    let Edges { inputs, orders, output, .. } = *edges;
    if output.sizes.len() == 1 {
        let mut all = Vec::new();
        for (order, of) in orders.iter().zip(inputs) {
            let Some(list) = order.segments(of) else {
                let open = "give the size a number in `Input`";
                return Err(Mixed::Other(format!("joins {of}, of which a size is open"), open));
            };
            all.extend(list);
        }
        return Ok(Order::of_segments(all, output));
    }
    let all = |wanted: &Order| orders.iter().zip(inputs).all(|(order, of)| order.agrees(wanted, of));
    if all(&Order::ChannelsFirst) && (output.sizes.len() == 3 || !all(&Order::Same)) {
        return Ok(Order::ChannelsFirst);
    }
    if all(&Order::Same) {
        return Ok(Order::Same);
    }
    Err(Mixed::Other(
        format!("joins branches along axis {}, which the file's framework has in different orders", axis + 1),
        MIRROR,
    ))
}
