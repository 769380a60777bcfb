//! Windows along sequences (?, time, features). The kernels take a sequence for an image of one row.

use super::window::Sliding;
use crate::diagnostics::Code;
use crate::graph::{Arguments, ShapeError, ValueKind};
use crate::kernels::tensor_view::Window;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, IxDyn};

/// The arguments that give a window.
const OF_WINDOW: [&str; 4] = ["size", "stride", "padding", "dilation"];

/// Whether a call gives its window by single numbers and words, as it is along a sequence. Over an image each stands for both
/// axes.
pub fn is_single(arguments: &Arguments) -> bool {
    OF_WINDOW
        .into_iter()
        .filter_map(|name| arguments.given(name))
        .all(|value| matches!(value.kind, ValueKind::Int(_) | ValueKind::Word(_) | ValueKind::Text(_)))
}

/// Time and features, if it is a sequence.
pub fn sequence_sizes(tensor: &TensorType) -> Option<(Size, Size)> {
    match tensor.sizes[..] {
        [time, features] if tensor.batched => Some((time, features)),
        _ => None,
    }
}

/// The sizes of a window over such a tensor, as weights have them: height and width, or one number along a sequence.
pub fn window_sizes(window: &Sliding, tensor: &TensorType) -> Vec<usize> {
    match sequence_sizes(tensor) {
        Some(_) => vec![window.size[1]],
        None => window.size.to_vec(),
    }
}

/// The output's height and width, or its time, for an image or a sequence. `single` says whether [`is_single`] was true.
///
/// # Errors
/// If it is neither, or smaller than the window, or a sequence under a window of two numbers.
pub fn slide(window: &Sliding, single: bool, layer: &str, tensor: &TensorType) -> Result<Vec<Size>, ShapeError> {
    let Some((time, _)) = sequence_sizes(tensor) else {
        return window.infer(layer, tensor).map(Vec::from);
    };
    if !single {
        return Err(ShapeError::new(
            Code::WrongRank,
            format!("`{layer}` slides along a sequence by single numbers, and has pairs here"),
            format!("size, stride, padding and dilation are one number each over {tensor}"),
        )
        .help(format!("`{layer}(3, …)` slides along the time; an image has (?, height, width, channels)")));
    }
    let Some(size) = time.known() else { return Ok(vec![Size::Open]) };
    match window.along(1, size) {
        Some((along, _)) => Ok(vec![Size::Known(along)]),
        None => Err(window.too_small(layer, "sequence", &window.extent(1).to_string(), tensor)),
    }
}

/// The window over an image or a sequence of these sizes without the batch, and the channels; `None` if none fits.
pub fn resolve(window: &Sliding, sizes: &[usize]) -> Option<(Window, usize)> {
    match *sizes {
        [height, width, channels] => Some((window.resolve(height, width)?, channels)),
        [time, features] => {
            let (out_w, pad_left) = window.along(1, time)?;
            Some((
                Window {
                    in_h: 1,
                    in_w: time,
                    out_h: 1,
                    out_w,
                    kernel_h: 1,
                    kernel_w: window.size[1],
                    stride_h: 1,
                    stride_w: window.stride[1],
                    dilation_h: 1,
                    dilation_w: window.dilation[1],
                    pad_top: 0,
                    pad_left,
                },
                features,
            ))
        }
        _ => None,
    }
}

/// A batch of sequences as images of one row; images as they are.
pub fn as_images(x: &ArrayD<f64>) -> ArrayD<f64> {
    let mut shape = x.shape().to_vec();
    if let [_, _, _] = shape[..] {
        shape.insert(1, 1);
    }
    reshaped(x, &shape)
}

/// The same values in another shape, row-major.
pub fn reshaped(x: &ArrayD<f64>, shape: &[usize]) -> ArrayD<f64> {
    let values = x.as_standard_layout().into_owned();
    values.into_shape_with_order(IxDyn(shape)).unwrap_or_else(|_| x.clone())
}
