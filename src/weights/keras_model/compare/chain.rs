//! The chain of layers without parameters between layers with parameters: functions, pools, borders. Two chains are equal if
//! they compute the same function, however it is written: `same` padding or a border and `valid`, ReLU before or after a max
//! pool.

use super::function::Function;
use crate::kernels::movement::resample::Interpolation;
use crate::ops::convolution::window::{Padding, Sliding, pair_text};
use crate::plan::steps::pool::Reduction;
use std::fmt;

/// Larger than any image: sizes in a file must not overflow.
const MAX_SIDE: usize = 1 << 40;

/// A layer without parameters, as written.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Function(Function),
    /// Zeros before and after each axis of an image.
    Border([[usize; 2]; 2]),
    /// What is cut off before and after each axis of an image.
    Crop([[usize; 2]; 2]),
    Pool(bool, Sliding),
    Global(Reduction),
    Upscale([usize; 2], Interpolation),
    /// A convolution's window, the last of its chain.
    Convolution(Sliding),
}

/// The position of a window along both axes of an image of known size: padding before the image, and number of windows.
type Placement = [(usize, usize); 2];

/// A layer without parameters, as computed.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Function(Function),
    Border([[usize; 2]; 2]),
    Crop([[usize; 2]; 2]),
    /// Average or maximum, size and stride; `zeros` if zeros of a border affect the result.
    Pool {
        average: bool,
        size: [usize; 2],
        stride: [usize; 2],
        placement: Option<Placement>,
        zeros: bool,
    },
    Global(Reduction),
    Upscale([usize; 2], Interpolation),
    Convolution(Option<Placement>),
}

/// The first steps that differ in two chains, as text.
pub(super) struct Mismatch {
    pub file: String,
    pub net: String,
    /// Whether the difference is the padding of the convolution that both end with.
    pub of_window: bool,
}

/// Compares two chains that start at an image of this size; for unknown sizes, several values are tried.
pub(super) fn difference(file: &[Written], net: &[Written], size: [Option<usize>; 2]) -> Option<Mismatch> {
    const TRIED: [[usize; 2]; 3] = [[64, 64], [65, 71], [224, 227]];
    TRIED.iter().find_map(|tried| {
        let size = [size[0].unwrap_or(tried[0]), size[1].unwrap_or(tried[1])];
        let (of_file, of_net) = (steps(file, size), steps(net, size));
        let at = (0..of_file.len().max(of_net.len())).find(|&at| of_file.get(at) != of_net.get(at))?;
        let is_window = |steps: &[Step]| matches!(steps.get(at), Some(Step::Convolution(_)));
        let of_window = is_window(&of_file) && is_window(&of_net);
        let text = |steps: &[Step], written: &[Written]| match steps.get(at) {
            Some(Step::Convolution(_)) if of_window => window_text(written),
            Some(Step::Convolution(_)) | None => "nothing".into(),
            Some(step) => step.to_string(),
        };
        Some(Mismatch { file: text(&of_file, file), net: text(&of_net, net), of_window })
    })
}

/// Whether the chain of the net starts with that of the file.
pub(super) fn continues(file: &[Written], net: &[Written], size: [Option<usize>; 2]) -> bool {
    let size = size.map(|side| side.unwrap_or(64));
    let (file, net) = (steps(file, size), steps(net, size));
    net.starts_with(&file)
}

fn steps(written: &[Written], mut size: [usize; 2]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut border = [[0; 2]; 2];
    for layer in written {
        let absorbs_border = match layer {
            Written::Function(function) => function.keeps_zero(),
            Written::Global(_) | Written::Upscale(..) | Written::Crop(_) => false,
            _ => true,
        };
        if !absorbs_border && border != [[0; 2]; 2] {
            steps.push(Step::Border(border));
            size = padded(size, border);
            border = [[0; 2]; 2];
        }
        match layer {
            Written::Function(function) => push_function(&mut steps, function),
            Written::Border(more) => {
                for (side, more) in border.as_flattened_mut().iter_mut().zip(more.as_flattened()) {
                    *side = side.saturating_add(*more);
                }
            }
            Written::Crop(cut) => {
                steps.push(Step::Crop(*cut));
                size = [0, 1].map(|axis| size[axis].saturating_sub(cut[axis][0].saturating_add(cut[axis][1])).max(1));
            }
            Written::Global(reduction) => steps.push(Step::Global(*reduction)),
            Written::Upscale(scale, interpolation) => {
                steps.push(Step::Upscale(*scale, *interpolation));
                size = [0, 1].map(|axis| size[axis].saturating_mul(scale[axis]).min(MAX_SIDE));
            }
            Written::Pool(average, window) => {
                let placement = placement(window, size, border);
                let whole = placement == Some([(0, 1); 2]) && window.size == size && border == [[0; 2]; 2];
                // Zeros do not affect the maximum of non-negative values.
                let not_negative = matches!(steps.last(), Some(Step::Function(f)) if f.is_nowhere_negative());
                let zeros = border != [[0; 2]; 2] && (*average || !not_negative);
                steps.push(match whole {
                    true => Step::Global(if *average { Reduction::Average } else { Reduction::Maximum }),
                    false => {
                        Step::Pool { average: *average, size: window.size, stride: window.stride, placement, zeros }
                    }
                });
                size = placement.map_or([1, 1], |placement| [placement[0].1, placement[1].1]);
                border = [[0; 2]; 2];
            }
            Written::Convolution(window) => {
                steps.push(Step::Convolution(placement(window, size, border)));
                border = [[0; 2]; 2];
            }
        }
    }
    if border != [[0; 2]; 2] {
        steps.push(Step::Border(border));
    }
    steps
}

/// Adds a function; a monotone one is moved before preceding maxima.
fn push_function(steps: &mut Vec<Step>, function: &Function) {
    if function.is_linear() {
        return;
    }
    let is_maximum = |step: &Step| {
        matches!(step, Step::Pool { average: false, zeros: false, .. } | Step::Global(Reduction::Maximum))
    };
    let mut at = steps.len();
    while function.is_monotone() && at > 0 && is_maximum(&steps[at - 1]) {
        at -= 1;
    }
    steps.insert(at, Step::Function(function.clone()));
}

fn padded(size: [usize; 2], border: [[usize; 2]; 2]) -> [usize; 2] {
    [0, 1].map(|axis| size[axis].saturating_add(border[axis][0]).saturating_add(border[axis][1]).min(MAX_SIDE))
}

fn placement(window: &Sliding, size: [usize; 2], border: [[usize; 2]; 2]) -> Option<Placement> {
    let [height, width] = padded(size, border);
    let found = window.resolve(height, width)?;
    Some([(border[0][0] + found.pad_top, found.out_h), (border[1][0] + found.pad_left, found.out_w)])
}

/// The padding of a convolution, with the border before it.
fn window_text(written: &[Written]) -> String {
    let Some((Written::Convolution(window), before)) = written.split_last() else { return "nothing".into() };
    let own = match window.padding {
        Padding::Valid => "valid".to_string(),
        Padding::Same => "same".to_string(),
        Padding::Pixels([a, b]) if a == b => a.to_string(),
        Padding::Pixels([a, b]) => format!("{a}x{b}"),
        Padding::Sides([[top, bottom], [left, right]]) => format!("[{top}, {bottom}, {left}, {right}]"),
    };
    match before.last() {
        Some(border @ Written::Border(_)) => {
            format!("{}, then {own}", steps(std::slice::from_ref(border), [1, 1])[0])
        }
        _ => own,
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Function(function) => function.fmt(f),
            Step::Border([[top, bottom], [left, right]]) => {
                write!(f, "a border of zeros [{top}, {bottom}, {left}, {right}]")
            }
            Step::Crop([[top, bottom], [left, right]]) => write!(f, "a crop of [{top}, {bottom}, {left}, {right}]"),
            Step::Pool { average, size, stride, placement, zeros } => {
                let (kind, size, stride) =
                    (if *average { "average" } else { "maximum" }, pair_text(*size), pair_text(*stride));
                write!(f, "{kind} over {size}, stride {stride}")?;
                if let Some([(top, rows), (left, columns)]) = placement {
                    write!(f, ", {rows}x{columns} windows from -{top}, -{left}")?;
                }
                if *zeros { f.write_str(", zeros around") } else { Ok(()) }
            }
            Step::Global(reduction) => write!(
                f,
                "the {} of all pixels",
                match reduction {
                    Reduction::Average => "average",
                    Reduction::Maximum => "maximum",
                    Reduction::Sum => "sum",
                }
            ),
            Step::Upscale(scale, Interpolation::Nearest) => write!(f, "each pixel repeated {}", pair_text(*scale)),
            Step::Upscale(scale, _) => write!(f, "enlarged {}, bilinear", pair_text(*scale)),
            Step::Convolution(_) => f.write_str("a convolution"),
        }
    }
}
