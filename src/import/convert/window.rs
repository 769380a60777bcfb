//! Windows of convolutions and pools: kernel, strides, dilation and padding.

use super::Known;
use crate::import::tree::{Val, pair};
use crate::onnx::Node;

/// A window over the height and width of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Before and after, along height and width.
    pub pads: [[usize; 2]; 2],
    pub ceil: bool,
}

fn two(list: Option<&[i64]>, what: &str) -> Result<[usize; 2], String> {
    match list {
        None => Ok([1, 1]),
        Some(&[a, b]) if (1..1 << 30).contains(&a) && (1..1 << 30).contains(&b) => Ok([a as usize, b as usize]),
        Some(list) if list.len() != 2 => Err(format!("along {} axes: only two are taken", list.len())),
        Some(list) => Err(format!("its {what} is {list:?}")),
    }
}

impl Window {
    /// The window of a node over an image; `size` where its weights say it.
    pub fn of(node: &Node, image: &Known, size: Option<[usize; 2]>) -> Result<Window, String> {
        let size = match (node.ints("kernel_shape"), size) {
            (None, Some(size)) => size,
            (list, _) => two(list, "kernel")?,
        };
        let stride = two(node.ints("strides"), "stride")?;
        let dilation = two(node.ints("dilations"), "dilation")?;
        let mut window = Window { size, stride, dilation, pads: [[0; 2]; 2], ceil: node.int("ceil_mode", 0) != 0 };
        window.pads = match node.text("auto_pad").unwrap_or("NOTSET") {
            "SAME_UPPER" => window.same(image),
            "SAME_LOWER" => window.same(image).map(|[before, after]| [after, before]),
            "VALID" => [[0; 2]; 2],
            _ => match node.ints("pads") {
                None => [[0; 2]; 2],
                Some(&[top, left, bottom, right]) => {
                    let side = |side: i64| {
                        usize::try_from(side)
                            .ok()
                            .filter(|&side| side < 1 << 30)
                            .ok_or_else(|| format!("its padding is {side}"))
                    };
                    [[side(top)?, side(bottom)?], [side(left)?, side(right)?]]
                }
                Some(list) => return Err(format!("its padding is {list:?}")),
            },
        };
        Ok(window)
    }

    fn extent(&self, axis: usize) -> usize {
        (self.size[axis] - 1) * self.dilation[axis] + 1
    }

    /// The padding that gives ceil(size / stride), with one more at the end where it is odd: TensorFlow's `same`.
    fn same(&self, image: &Known) -> [[usize; 2]; 2] {
        [0, 1].map(|axis| {
            let (size, stride) = (image.size(axis + 2), self.stride[axis]);
            let total = ((size.div_ceil(stride).max(1) - 1) * stride + self.extent(axis)).saturating_sub(size);
            [total / 2, total - total / 2]
        })
    }

    pub fn is_padded(&self) -> bool {
        self.pads != [[0; 2]; 2]
    }

    /// The argument `padding`.
    pub fn padding(&self, image: &Known) -> Val {
        match self.pads {
            [[0, 0], [0, 0]] => Val::Word("valid".into()),
            [[top, bottom], [left, right]] if top == bottom && left == right => pair([top, left]),
            pads if pads == self.same(image) => Val::Word("same".into()),
            [[top, bottom], [left, right]] => Val::List([top, bottom, left, right].map(|side| side as i64).to_vec()),
        }
    }

    /// Height and width of the output.
    pub fn output(&self, image: &Known) -> Result<[usize; 2], String> {
        let mut out = [0; 2];
        for (axis, out) in out.iter_mut().enumerate() {
            let [before, after] = self.pads[axis];
            let (size, stride) = (image.size(axis + 2), self.stride[axis]);
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
