//! A value of the model, and how its axes stand in netc.

/// A value of the model that a layer gives.
#[derive(Clone, Debug)]
pub(in crate::import) struct Known {
    pub item: usize,
    /// Its sizes in ONNX's order, the batch first.
    pub shape: Vec<usize>,
    /// The axes of ONNX in netc's order, without the batch; those that are missing have the size 1.
    pub axes: Vec<usize>,
    /// Of features in which images were flattened: height, width and channels of each, one after another. ONNX has their values
    /// channel by channel, netc pixel by pixel. Empty where both have the same order.
    pub images: Vec<[usize; 3]>,
}

impl Known {
    /// The size of an axis.
    pub fn size(&self, axis: usize) -> usize {
        self.shape.get(axis).copied().unwrap_or(1)
    }

    /// Its sizes in netc, without the batch.
    pub fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|&axis| self.size(axis)).collect()
    }

    /// Whether it is an image in netc whose channels are axis 1 in ONNX.
    pub fn is_image(&self) -> bool {
        self.shape.len() == 4 && self.axes == [2, 3, 1]
    }

    /// The same values with the axes of the model in another order.
    pub fn permuted(self, order: &[usize]) -> Known {
        let place = |axis: &usize| order.iter().position(|from| from == axis).unwrap_or(0);
        let axes = self.axes.iter().map(place).collect();
        let shape = order.iter().map(|&axis| self.size(axis)).collect();
        Known { axes, shape, ..self }
    }

    /// Its axes with more than one value, in the order of these.
    pub fn large<'a>(&'a self, axes: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        axes.iter().copied().filter(|&axis| self.size(axis) != 1)
    }
}
