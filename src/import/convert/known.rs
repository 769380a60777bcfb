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

/// A value of the model by the one with its batch in front.
#[derive(Clone, Debug)]
pub(in crate::import::convert) struct Displaced {
    pub known: Known,
    /// The axis of the batch.
    pub place: usize,
}

impl Displaced {
    /// Its sizes in the model.
    pub fn shape(&self) -> Vec<usize> {
        let mut shape = self.known.shape[1..].to_vec();
        shape.insert(self.place, self.known.shape[0]);
        shape
    }

    /// With its axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Option<Displaced> {
        let rank = self.known.shape.len();
        let mut axes: Vec<usize> = (1..rank).collect();
        axes.insert(self.place, 0);
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        let moved: Vec<usize> = order.iter().map(|&axis| axes.get(axis).copied()).collect::<Option<_>>()?;
        let place = moved.iter().position(|&axis| axis == 0)?;
        let others = moved.iter().copied().filter(|&axis| axis != 0);
        let order: Vec<usize> = std::iter::once(0).chain(others).collect();
        sorted.into_iter().eq(0..rank).then(|| Displaced { known: self.known.clone().permuted(&order), place })
    }
}

/// The pixels of an image whose rows and columns are `start`, `start + step`, `start + 2 * step`, …
#[derive(Clone, Debug)]
pub(in crate::import::convert) struct Strided {
    pub of: Known,
    /// Along the first and the second axis of the image in netc.
    pub start: [usize; 2],
    pub step: [usize; 2],
}

impl Strided {
    pub fn all(of: Known) -> Strided {
        Strided { of, start: [0; 2], step: [1; 2] }
    }

    /// Every `step`-th row or column from `start` on; none if an image has not as many of each kind, or some were taken before.
    pub fn along(mut self, axis: usize, start: usize, step: usize) -> Option<Strided> {
        let place = self.of.axes.get(..2)?.iter().position(|&known| known == axis)?;
        let fits =
            self.of.axes.len() == 3 && self.step[place] == 1 && start < step && self.of.size(axis).is_multiple_of(step);
        (self.start[place], self.step[place]) = (start, step);
        fits.then_some(self)
    }
}
