//! Windows of convolutions and pools: kernel, strides, dilation and padding.

use crate::import::convert::known::Known;
use crate::import::tree::{Val, pair};
use crate::onnx::Node;

/// A window over the height and width of an image, or along a sequence as over an image of one row.
#[derive(Clone, Copy, Debug)]
pub(in crate::import::convert) struct Window {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Before and after, along height and width.
    pub pads: [[usize; 2]; 2],
    pub ceil: bool,
    /// Whether it is along a sequence.
    pub line: bool,
}

fn two(list: Option<&[i64]>, what: &str, line: bool) -> Result<[usize; 2], String> {
    let fits = |side: &i64| (1..1 << 30).contains(side);
    match list {
        None => Ok([1, 1]),
        Some(&[a, b]) if !line && fits(&a) && fits(&b) => Ok([a as usize, b as usize]),
        Some(&[a]) if line && fits(&a) => Ok([1, a as usize]),
        Some(list) if list.len() != 2 - usize::from(line) => Err(format!("along {} axes", list.len())),
        Some(list) => Err(format!("its {what} is {list:?}")),
    }
}

/// Height and width of an image, or those of a sequence as one row.
fn extents(known: &Known) -> [usize; 2] {
    if known.shape.len() == 3 { [1, known.size(2)] } else { [known.size(2), known.size(3)] }
}

fn side(side: i64) -> Result<usize, String> {
    usize::try_from(side).ok().filter(|&side| side < 1 << 30).ok_or_else(|| format!("its padding is {side}"))
}

impl Window {
    /// The window of a node over an image; `size` where its weights say it.
    pub fn of(node: &Node, image: &Known, size: Option<[usize; 2]>) -> Result<Window, String> {
        let line = image.shape.len() == 3;
        let size = match (node.ints("kernel_shape"), size) {
            (None, Some(size)) => size,
            (list, _) => two(list, "kernel", line)?,
        };
        let stride = two(node.ints("strides"), "stride", line)?;
        let dilation = two(node.ints("dilations"), "dilation", line)?;
        let ceil = node.int("ceil_mode", 0) != 0;
        let mut window = Window { size, stride, dilation, pads: [[0; 2]; 2], ceil, line };
        window.pads = match node.text("auto_pad").unwrap_or("NOTSET") {
            "SAME_UPPER" => window.same(image),
            "SAME_LOWER" => window.same(image).map(|[before, after]| [after, before]),
            "VALID" => [[0; 2]; 2],
            _ => match node.ints("pads") {
                None => [[0; 2]; 2],
                Some(&[top, left, bottom, right]) if !line => {
                    [[side(top)?, side(bottom)?], [side(left)?, side(right)?]]
                }
                Some(&[left, right]) if line => [[0, 0], [side(left)?, side(right)?]],
                Some(list) => return Err(format!("its padding is {list:?}")),
            },
        };
        Ok(window)
    }

    /// The windows of a pool of (channels, depth, height, width): over its images, and along the depth as over an image of one
    /// column.
    pub fn of_volume(node: &Node) -> Result<(Window, Window), String> {
        let three = |name: &str, default: Option<[usize; 3]>| match (node.ints(name), default) {
            (Some(&[a, b, c]), _) if [a, b, c].iter().all(|side| (1..1 << 30).contains(side)) => {
                Ok([a as usize, b as usize, c as usize])
            }
            (None, Some(default)) => Ok(default),
            (list, _) => Err(format!("its {name} is {:?}", list.unwrap_or_default())),
        };
        let size = three("kernel_shape", None)?;
        let (stride, dilation) = (three("strides", Some([1; 3]))?, three("dilations", Some([1; 3]))?);
        let pads = match (node.text("auto_pad").unwrap_or("NOTSET"), node.ints("pads")) {
            ("NOTSET", None) | ("VALID", _) => [[0; 2]; 3],
            ("NOTSET", Some(&[a, b, c, d, e, f])) => [[side(a)?, side(d)?], [side(b)?, side(e)?], [side(c)?, side(f)?]],
            (auto, list) => return Err(format!("its padding is {auto}, {:?}", list.unwrap_or_default())),
        };
        let ceil = node.int("ceil_mode", 0) != 0;
        let window = |axes: [usize; 2]| Window {
            size: axes.map(|axis| size[axis]),
            stride: axes.map(|axis| stride[axis]),
            dilation: axes.map(|axis| dilation[axis]),
            pads: axes.map(|axis| pads[axis]),
            ceil,
            line: false,
        };
        let along = Window {
            size: [size[0], 1],
            stride: [stride[0], 1],
            dilation: [dilation[0], 1],
            pads: [pads[0], [0; 2]],
            ..window([0, 0])
        };
        Ok((window([1, 2]), along))
    }

    fn extent(&self, axis: usize) -> usize {
        (self.size[axis] - 1) * self.dilation[axis] + 1
    }

    /// The padding that gives ceil(size / stride), with one more at the end where it is odd: TensorFlow's `same`.
    fn same(&self, image: &Known) -> [[usize; 2]; 2] {
        [0, 1].map(|axis| {
            let (size, stride) = (extents(image)[axis], self.stride[axis]);
            let total = ((size.div_ceil(stride).max(1) - 1) * stride + self.extent(axis)).saturating_sub(size);
            [total / 2, total - total / 2]
        })
    }

    pub fn is_padded(&self) -> bool {
        self.pads != [[0; 2]; 2]
    }

    /// A pair as an argument: along a sequence its second number.
    pub fn argument(&self, of: [usize; 2]) -> Val {
        if self.line { Val::Int(of[1] as i64) } else { pair(of) }
    }

    /// The size of the window as an argument.
    pub fn size(&self) -> Val {
        if self.line { Val::Int(self.size[1] as i64) } else { Val::Sizes(self.size.to_vec()) }
    }

    /// The shape of what it gives, with so many channels.
    pub fn shape(&self, image: &Known, channels: usize) -> Result<Vec<usize>, String> {
        let [rows, columns] = self.output(image)?;
        let batch = image.shape[0];
        Ok(if self.line { vec![batch, channels, columns] } else { vec![batch, channels, rows, columns] })
    }

    /// The argument `padding`.
    pub fn padding(&self, image: &Known) -> Val {
        match self.pads {
            [[0, 0], [0, 0]] => Val::Word("valid".into()),
            [_, [left, right]] if self.line && left == right => Val::Int(left as i64),
            [[top, bottom], [left, right]] if top == bottom && left == right => pair([top, left]),
            pads if pads == self.same(image) => Val::Word("same".into()),
            [[top, bottom], [left, right]] => Val::List([top, bottom, left, right].map(|side| side as i64).to_vec()),
        }
    }

    /// Pads at the end so far that as many windows fit.
    pub fn reach(&mut self, image: &Known, windows: [usize; 2]) {
        for (axis, windows) in windows.into_iter().enumerate() {
            let [before, after] = self.pads[axis];
            let needed = windows.saturating_sub(1) * self.stride[axis] + self.extent(axis);
            self.pads[axis][1] = after.max(needed.saturating_sub(extents(image)[axis] + before));
        }
    }

    /// Height and width of the output.
    pub fn output(&self, image: &Known) -> Result<[usize; 2], String> {
        let mut out = [0; 2];
        for (axis, out) in out.iter_mut().enumerate() {
            let [before, after] = self.pads[axis];
            let (size, stride) = (extents(image)[axis], self.stride[axis]);
            let over =
                (size + before + after).checked_sub(self.extent(axis)).ok_or("its window is larger than its input")?;
            let whole = over / stride + 1;
            // PyTorch leaves a last window out that begins in the padding after.
            let more = self.ceil && over % stride > 0 && whole * stride < size + before;
            *out = whole + usize::from(more);
        }
        Ok(out)
    }
}
