//! Convolutions. Their weights become (out, in / groups, height, width).

use super::context::{Arrangement, Attributes, Context, Exported, Value};
use crate::graph::{Node, ParameterId};
use crate::kernels::tensor_view::Window;
use crate::onnx::model::Value as Attribute;
use crate::ops::convolution::Convolution;
use crate::ops::convolution::separable::SeparableConvolution;
use crate::ops::convolution::sequence::resolve;
use crate::ops::convolution::transposed_convolution::TransposedConvolution;
use crate::ops::convolution::window::{Padding, Sliding};

/// A window over an image or a sequence whose sizes are known.
pub(super) struct Placed {
    /// Along height and width, or along time.
    axes: Vec<Along>,
    pub channels: usize,
}

/// A window along one axis.
struct Along {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

impl Along {
    fn extent(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Whether the windows that end inside the padded input are all.
    fn fits(&self) -> bool {
        let over = (self.input + self.before + self.after).checked_sub(self.extent());
        over.is_some_and(|over| over / self.stride + 1 == self.output)
    }

    /// Whether rounding the number of windows up gives it, with a last one that begins in the input: then all programs agree.
    fn fits_rounded_up(&self) -> bool {
        let over = (self.input + self.before + self.after).checked_sub(self.extent());
        over.is_some_and(|over| over.div_ceil(self.stride) + 1 == self.output)
            && (self.output - 1) * self.stride < self.input + self.before
    }

    /// What the last window needs after the input.
    fn needed(&self) -> usize {
        ((self.output - 1) * self.stride + self.extent()).saturating_sub(self.input + self.before)
    }
}

impl Placed {
    /// The window over an input of these sizes.
    pub fn of(window: &Sliding, sizes: &[usize]) -> Result<Placed, String> {
        let (known, channels) = resolve(window, sizes).ok_or("its window is larger than its input")?;
        let is_image = sizes.len() == 3;
        let axes = along(&known)
            .into_iter()
            .enumerate()
            .filter(|(axis, _)| is_image || *axis == 1)
            .map(|(axis, mut along)| {
                along.after = match window.padding {
                    Padding::Valid => 0,
                    Padding::Same => along.needed(),
                    Padding::Pixels(pixels) => pixels[axis],
                    Padding::Sides(sides) => sides[axis][1],
                };
                along
            })
            .collect();
        Ok(Placed { axes, channels })
    }

    /// The attributes of a window, and whether it rounds sizes up. Where that would not be the same in all programs, it is padded
    /// for its last windows.
    pub fn attributes(&mut self) -> Attributes {
        let rounds_up = !self.axes.iter().all(Along::fits);
        let by_attribute = rounds_up && self.axes.iter().all(Along::fits_rounded_up);
        if rounds_up && !by_attribute {
            self.axes.iter_mut().for_each(|along| along.after = along.after.max(along.needed()));
        }
        let list = |of: fn(&Along) -> usize| Attribute::Ints(self.axes.iter().map(|along| of(along) as i64).collect());
        let pads = self.axes.iter().map(|along| along.before).chain(self.axes.iter().map(|along| along.after));
        let mut attributes =
            vec![("kernel_shape", list(|along| along.kernel)), ("strides", list(|along| along.stride))];
        attributes.push(("pads", Attribute::Ints(pads.map(|side| side as i64).collect())));
        if self.axes.iter().any(|along| along.dilation > 1) {
            attributes.push(("dilations", list(|along| along.dilation)));
        }
        if by_attribute {
            attributes.push(("ceil_mode", Attribute::Int(1)));
        }
        attributes
    }

    /// The sizes of an output with so many channels.
    pub fn output(&self, channels: usize) -> Vec<usize> {
        self.axes.iter().map(|along| along.output).chain([channels]).collect()
    }
}

fn along(window: &Window) -> [Along; 2] {
    let Window { in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, .. } = *window;
    let Window { dilation_h, dilation_w, pad_top, pad_left, .. } = *window;
    let axis = |input, output, kernel, stride, dilation, before| Along {
        input,
        output,
        kernel,
        stride,
        dilation,
        before,
        after: 0,
    };
    [
        axis(in_h, out_h, kernel_h, stride_h, dilation_h, pad_top),
        axis(in_w, out_w, kernel_w, stride_w, dilation_w, pad_left),
    ]
}

/// The tensor of a kernel (window..., a, b) as (b, a, window...).
fn kernel(cx: &mut Context<'_>, id: ParameterId, part: &str) -> String {
    let shape = &cx.graph.parameters[id.0].shape;
    let rank = shape.len();
    let order: Vec<usize> = [rank - 1, rank - 2].into_iter().chain(0..rank - 2).collect();
    let arrangement = Arrangement::permuted(shape, &order);
    cx.parameter(id, part, arrangement)
}

/// `Conv`, also where each channel has filters of its own.
pub(super) fn convolution(cx: &mut Context<'_>, node: &Node, layer: &Convolution) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    add(cx, &x, layer, &node.parameters, ["weight", "bias"])
}

fn add(
    cx: &mut Context<'_>,
    x: &Value,
    layer: &Convolution,
    parameters: &[ParameterId],
    [of_weight, of_bias]: [&str; 2],
) -> Exported {
    let mut window = Placed::of(&layer.window, &x.sizes)?;
    let (groups, filters) = match layer.depthwise {
        true => (window.channels, window.channels * layer.filters),
        false => (layer.groups, layer.filters),
    };
    let weight = *parameters.first().ok_or("it has no weight")?;
    let mut inputs = vec![x.name.clone(), kernel(cx, weight, of_weight)];
    if let Some(&bias) = parameters.get(1) {
        inputs.push(cx.parameter(bias, of_bias, Arrangement::plain(&[filters])));
    }
    let mut attributes = window.attributes();
    if groups > 1 {
        attributes.push(("group", Attribute::Int(groups as i64)));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let name = cx.emit("Conv", &inputs, attributes);
    Ok(Value::new(name, window.output(filters), x.order.clone()))
}

/// Two convolutions.
pub(super) fn separable(cx: &mut Context<'_>, node: &Node, layer: &SeparableConvolution) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let [first, second @ ..] = &node.parameters[..] else { return Err("it has no weights".into()) };
    let middle = add(cx, &x, &layer.depthwise(), &[*first], ["depthwise.weight", ""])?;
    add(cx, &middle, &layer.pointwise(), second, ["pointwise.weight", "pointwise.bias"])
}

/// `ConvTranspose`; where the output is larger than what the windows cover, by `output_padding`.
pub(super) fn transposed(cx: &mut Context<'_>, node: &Node, layer: &TransposedConvolution) -> Exported {
    let x = cx.input_channels_first(node, 0)?;
    let [height, width, _] = x.sizes[..] else { return Err("its input is not an image".into()) };
    let window = layer.spreading.resolve(height, width).ok_or("its padding crops more than its output")?;
    let (mut pads, mut extra) = ([[0; 2]; 2], [0; 2]);
    // Here the input is the output of the convolution that is transposed.
    let axes = along(&window);
    for (axis, along) in axes.iter().enumerate() {
        let covered = (along.output - 1) * along.stride + along.extent();
        let wanted = along.input + along.before;
        // ONNX Runtime has it below the stride: what is more is padding that is less.
        let asked = Some(layer.spreading.output_padding[axis]).filter(|&asked| asked < along.stride);
        extra[axis] = wanted.saturating_sub(covered).max(asked.unwrap_or(0));
        pads[axis] = [along.before, (covered + extra[axis]) - wanted];
    }
    let list = |of: fn(&Along) -> usize| Attribute::Ints(axes.iter().map(|along| of(along) as i64).collect());
    let [[top, bottom], [left, right]] = pads;
    let mut attributes: Attributes = vec![
        ("kernel_shape", list(|along| along.kernel)),
        ("strides", list(|along| along.stride)),
        ("pads", Attribute::Ints([top, left, bottom, right].map(|side| side as i64).to_vec())),
    ];
    if axes.iter().any(|along| along.dilation > 1) {
        attributes.push(("dilations", list(|along| along.dilation)));
    }
    if extra != [0, 0] {
        attributes.push(("output_padding", Attribute::Ints(extra.map(|side| side as i64).to_vec())));
    }
    if layer.groups > 1 {
        attributes.push(("group", Attribute::Int(layer.groups as i64)));
    }
    let weight = *node.parameters.first().ok_or("it has no weight")?;
    let mut inputs = vec![x.name.clone(), kernel(cx, weight, "weight")];
    if let Some(&bias) = node.parameters.get(1) {
        inputs.push(cx.parameter(bias, "bias", Arrangement::plain(&[layer.filters])));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let name = cx.emit("ConvTranspose", &inputs, attributes);
    Ok(Value::new(name, vec![window.in_h, window.in_w, layer.filters], x.order))
}
