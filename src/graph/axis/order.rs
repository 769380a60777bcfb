//! The order of one tensor.

use crate::source::Span;
use crate::tensor::TensorType;
use std::sync::Arc;

/// The order of a tensor's values in the framework of a file, relative to netc's (channels last).
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// The same as in netc.
    Same,
    /// The last axis first: an image as (channels, height, width).
    ChannelsFirst,
    /// A list of segments, each of which is plain or an image flattened with its channels first.
    Segments(Vec<Segment>),
    /// A sequence that layers around it have as (features, steps) and others as (steps, features), where it says: the file's framework
    /// transposes it, but not where. Each layer takes it as it needs it; once flattened, its order is unknown.
    Turned(Arc<str>),
    /// Unknown.
    Unknown(Arc<Unknown>),
}

/// A segment of values: plain if it has one pixel or one channel, otherwise an image that netc has pixel by pixel and the file's
/// framework channel by channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub pixels: usize,
    pub channels: usize,
}

/// Why an order is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// The layer whose output has an unknown order, and its span.
    pub layer: String,
    pub span: Span,
    /// The nets that contain the layer.
    pub nets: Vec<String>,
    /// What the layer does: a sentence that begins with its name.
    pub reason: String,
    /// The likely fix.
    pub help: &'static str,
}

impl Segment {
    /// Values in the same order on both sides.
    pub fn plain(values: usize) -> Segment {
        Segment { pixels: 1, channels: values }
    }

    /// The number of values.
    pub fn len(self) -> usize {
        self.pixels * self.channels
    }

    /// Whether it has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether netc and the file's framework have its values in the same order.
    pub fn is_plain(self) -> bool {
        self.pixels <= 1 || self.channels <= 1
    }
}

/// The shortest equivalent list of segments.
fn joined(segments: impl IntoIterator<Item = Segment>) -> Vec<Segment> {
    let mut list: Vec<Segment> = Vec::new();
    for segment in segments.into_iter().filter(|segment| !segment.is_empty()) {
        match list.last_mut() {
            Some(last) if last.is_plain() && segment.is_plain() => *last = Segment::plain(last.len() + segment.len()),
            _ if segment.is_plain() => list.push(Segment::plain(segment.len())),
            _ => list.push(segment),
        }
    }
    list
}

impl Order {
    /// The segments of a tensor's values, row-major; `None` if its order or its sizes are unknown.
    pub fn segments(&self, of: &TensorType) -> Option<Vec<Segment>> {
        let len = of.len()?;
        match self {
            Order::Same => Some(joined([Segment::plain(len)])),
            Order::Turned(_) => {
                Order::ChannelsFirst.segments(of).filter(|list| list.iter().all(|segment| segment.is_plain()))
            }
            Order::ChannelsFirst => {
                let channels = of.channels().known()?;
                Some(joined([Segment { pixels: len / channels.max(1), channels }]))
            }
            Order::Segments(list) => Some(joined(list.iter().copied())),
            Order::Unknown(_) => None,
        }
    }

    /// The order of a tensor with these segments.
    pub fn of_segments(segments: impl IntoIterator<Item = Segment>, of: &TensorType) -> Order {
        let list = joined(segments);
        if list.iter().all(|segment| segment.is_plain()) {
            return Order::Same;
        }
        match of.sizes.len() > 1 && Order::ChannelsFirst.segments(of).as_ref() == Some(&list) {
            true => Order::ChannelsFirst,
            false => Order::Segments(list),
        }
    }

    /// Whether a tensor is a sequence, or an image, with its last axis first or last.
    pub(super) fn is_of_axes(&self, of: &TensorType) -> bool {
        matches!(self, Order::Turned(_)) || self.agrees(&Order::Same, of) || self.agrees(&Order::ChannelsFirst, of)
    }

    /// Whether both are the same order of a tensor.
    pub fn agrees(&self, other: &Order, of: &TensorType) -> bool {
        match (self, other) {
            (Order::Unknown(_), _) | (_, Order::Unknown(_)) => false,
            _ if self == other => true,
            (Order::Turned(_), Order::Turned(_)) => true,
            _ => self.segments(of).is_some_and(|own| other.segments(of) == Some(own)),
        }
    }
}

/// For each value in netc's order, its index in the file's.
pub fn places(segments: &[Segment]) -> impl Iterator<Item = usize> + '_ {
    let starts = segments.iter().scan(0, |next, segment| {
        let start = *next;
        *next += segment.len();
        Some((start, *segment))
    });
    starts.flat_map(|(start, segment)| {
        let Segment { pixels, channels } = segment;
        (0..segment.len()).map(move |at| match segment.is_plain() {
            true => start + at,
            false => start + at % channels * pixels + at / channels,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_say_where_each_value_stands_in_the_file() {
        let list = [Segment::plain(2), Segment { pixels: 3, channels: 2 }, Segment::plain(1)];
        // Pixels a, b, c of two channels: netc has a0 a1 b0 b1 c0 c1, the file a0 b0 c0 a1 b1 c1.
        assert_eq!(places(&list).collect::<Vec<_>>(), [0, 1, 2, 5, 3, 6, 4, 7, 8]);
    }

    #[test]
    fn one_order_has_one_form() {
        let image = TensorType::of(&[3, 4, 5]);
        let segment = Segment { pixels: 12, channels: 5 };
        assert_eq!(Order::ChannelsFirst.segments(&image), Some(vec![segment]));
        assert_eq!(Order::of_segments([segment], &image), Order::ChannelsFirst);
        assert_eq!(Order::of_segments([segment], &TensorType::of(&[60])), Order::Segments(vec![segment]));
        assert_eq!(Order::of_segments([segment], &TensorType::of(&[4, 3, 5])), Order::ChannelsFirst);
        assert_eq!(Order::of_segments([segment], &TensorType::of(&[3, 5, 4])), Order::Segments(vec![segment]));
        // One pixel, or one channel, is in the same order on both sides.
        for sizes in [[1, 1, 7], [7, 1, 1]] {
            let image = TensorType::of(&sizes);
            assert!(Order::ChannelsFirst.agrees(&Order::Same, &image));
            let segments = Order::ChannelsFirst.segments(&image).expect("known sizes");
            assert_eq!(Order::of_segments(segments, &TensorType::of(&[7])), Order::Same);
        }
    }
}
