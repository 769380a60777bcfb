//! From the orders of an operation's inputs to that of its output.

use super::{AxisRule, Order, Segment};
use crate::tensor::TensorType;

/// The types and orders around an operation.
#[derive(Debug)]
pub(super) struct Edges<'g> {
    pub inputs: &'g [&'g TensorType],
    pub orders: &'g [Order],
    pub output: &'g TensorType,
    /// The order that the consumers of the output need; of a sequence, the order that all layers around it give it.
    pub wanted: Option<&'g Order>,
    /// Whether layers that act on the steps of a sequence read the output.
    pub steps: bool,
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
const AS_SEQUENCE: &str = "`Reshape(FxT) >> Transpose([0, 2, 1])` makes a sequence of values that come feature by feature; values that come step by \
    step begin as a sequence, `Input(TxF)`, or are transposed twice after `Reshape(TxF)`";
const TRANSPOSED: &str = "`Transpose([0, 2, 1])` before it: the file has the values feature by feature, as PyTorch flattens (batch, features, steps); \
    the same twice: step by step, as of (batch, steps, features)";
const BEFORE_FLATTEN: &str = "let it act on the image, before `Flatten`";
const MIRROR: &str = "write what the file's framework computes on its own axes: `Transpose([0, 3, 1, 2])` first makes (channels, height, width) of an image";

impl AxisRule {
    /// The order of the output. The caller propagates an unknown order of an input, except for features, whose output is known.
    pub(super) fn forward(&self, edges: &Edges<'_>) -> Result<Order, Mixed> {
        let Edges { inputs, orders, output, wanted, steps } = *edges;
        let other = |reason: String, help| Err(Mixed::Other(reason, help));
        match self {
            AxisRule::Unknown => other("changes the order of its values in an unknown way".into(), MIRROR),
            AxisRule::Pointwise | AxisRule::Mixture { .. } => merged(self, edges),
            AxisRule::Channels => match (&orders[0], inputs[0].sizes.len()) {
                (order, 1) => Ok(order.clone()),
                (order, _) if order.agrees(&Order::Same, inputs[0]) => Ok(order.clone()),
                (order @ (Order::ChannelsFirst | Order::Turned(_)), 2 | 3) => Ok(order.clone()),
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
                (Order::Turned(_), _) if output.sizes.len() < 2 => Ok(Order::Same),
                (order, of) if of.sizes.len() > 1 && order.agrees(&Order::ChannelsFirst, of) => {
                    Ok(if output.sizes.len() > 1 { Order::ChannelsFirst } else { Order::Same })
                }
                (_, of) if of.sizes.len() == 1 => Ok(Order::Same),
                (_, of) => other(
                    format!("reduces an axis of {of}, whose values are in another order in the file's framework"),
                    AS_IMAGE,
                ),
            },
            AxisRule::AlongTime | AxisRule::AlongTimeInPlace if !orders[0].is_of_axes(inputs[0]) => {
                other(format!("takes {} for a sequence, in an order that it does not have", inputs[0]), MIRROR)
            }
            AxisRule::AlongTime if output.sizes.len() > 1 => Ok(wanted.cloned().unwrap_or(Order::ChannelsFirst)),
            AxisRule::AlongTime => Ok(Order::Same),
            AxisRule::AlongTimeInPlace => match (&orders[0], wanted) {
                (turned @ Order::Turned(_), _) | (_, Some(turned @ Order::Turned(_))) => Ok(turned.clone()),
                (order, _) if order.agrees(&Order::ChannelsFirst, inputs[0]) => Ok(Order::ChannelsFirst),
                _ => Ok(Order::Turned("(features, steps) for a normalisation and (steps, features) before it".into())),
            },
            AxisRule::Features => Ok(wanted.cloned().unwrap_or(Order::Same)),
            AxisRule::Sequence | AxisRule::Steps | AxisRule::StepsInPlace => {
                let takes = |(order, of): (&Order, &&TensorType)| {
                    matches!(order, Order::Turned(_)) || order.agrees(&Order::Same, of)
                };
                match orders.iter().zip(inputs).all(takes) {
                    true => Ok(match (self, &orders[0], wanted) {
                        (AxisRule::StepsInPlace, turned @ Order::Turned(_), _) => turned.clone(),
                        (_, _, Some(turned @ Order::Turned(_))) if output.sizes.len() == 2 => turned.clone(),
                        _ => Order::Same,
                    }),
                    false => other(
                        format!("takes {} in an order that the file's framework does not have", inputs[0]),
                        MIRROR,
                    ),
                }
            }
            AxisRule::Reshape => {
                let Some(segments) = orders[0].segments(inputs[0]) else {
                    if let Order::Turned(orders) = &orders[0] {
                        return other(
                            format!(
                                "flattens {}, which the file's framework has as {orders}: the file does not show which it flattens",
                                inputs[0]
                            ),
                            TRANSPOSED,
                        );
                    }
                    return other(
                        format!("reshapes {}, of which a size is open", inputs[0]),
                        "give the size a number in `Input`",
                    );
                };
                let order = Order::of_segments(segments, output);
                // Pixels that become steps.
                if steps && are_steps(inputs[0], output) && orders[0] == Order::ChannelsFirst {
                    return Ok(wanted
                        .filter(|wanted| matches!(wanted, Order::Turned(_)))
                        .unwrap_or(&Order::Same)
                        .clone());
                }
                match (output.sizes.len(), wanted) {
                    (2, Some(turned @ Order::Turned(orders))) if !order.agrees(turned, output) => other(
                        format!(
                            "makes {output}, which the file's framework has as {orders}: the file does not show which it makes"
                        ),
                        AS_SEQUENCE,
                    ),
                    // The file's framework would make another sequence, or image, of them.
                    (2, Some(Order::ChannelsFirst)) if !order.agrees(&Order::ChannelsFirst, output) => other(
                        format!("makes {output} of values that are in another order in the file's framework"),
                        AS_SEQUENCE,
                    ),
                    (3, Some(wanted)) if !order.agrees(wanted, output) => other(
                        format!("makes {output} of values that are in another order in the file's framework"),
                        AS_IMAGE,
                    ),
                    _ => Ok(order),
                }
            }
            AxisRule::Transpose(order) => transposed(order, edges),
            AxisRule::Slice { from, to } => sliced(*from, *to, edges),
            AxisRule::Concatenate { axis } => concatenated(*axis, edges),
        }
    }
}

/// Whether a tensor is a sequence whose steps are the pixels of an image.
fn are_steps(image: &TensorType, sequence: &TensorType) -> bool {
    image.image().is_some() && sequence.sizes.len() == 2 && image.channels() == sequence.channels()
}

fn merged(rule: &AxisRule, edges: &Edges<'_>) -> Result<Order, Mixed> {
    let Edges { inputs, orders, output, .. } = *edges;
    let gate = match rule {
        AxisRule::Mixture { gate } => Some(*gate),
        _ => None,
    };
    let mut whole: Option<(usize, &Order)> = None;
    let mut spread = false;
    let mut turned: Option<&Order> = None;
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
            _ if matches!(order, Order::Turned(_)) => turned = Some(order),
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
    if let Some(turned) = turned {
        return match whole {
            Some((input, order)) if !order.is_of_axes(output) => Err(Mixed::Orders { input, order: Order::Same }),
            _ => Ok(turned.clone()),
        };
    }
    match whole {
        // A value per channel is broadcast over an image, whose channels the file's framework has first.
        Some((input, order)) if spread && output.sizes.len() > 2 && !order.agrees(&Order::ChannelsFirst, output) => {
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
        // Around what the net transposes itself, the file's framework may transpose it once more.
        (Order::Same | Order::ChannelsFirst | Order::Turned(_), [1, 0])
            if matches!(edges.wanted, Some(Order::Turned(_))) =>
        {
            Ok(edges.wanted.cloned().unwrap_or(Order::Same))
        }
        // The net says itself which axis comes first.
        (Order::Turned(_), [1, 0]) => Ok(if to_image { Order::ChannelsFirst } else { Order::Same }),
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
        order @ (Order::ChannelsFirst | Order::Turned(_)) if of.sizes.len() > 1 => Ok(order.clone()),
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
    if let Some(turned) = orders.iter().find(|order| matches!(order, Order::Turned(_)))
        && orders.iter().zip(inputs).all(|(order, of)| order.is_of_axes(of))
    {
        return Ok(turned.clone());
    }
    Err(Mixed::Other(
        format!("joins branches along axis {}, which the file's framework has in different orders", axis + 1),
        MIRROR,
    ))
}
