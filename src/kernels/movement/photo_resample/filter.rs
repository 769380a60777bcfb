//! The source pixels of each pixel of a result, and their weights.

/// The fraction bits of a weight: 32, less 8 for the pixel and 2 of headroom for the sum (as in Pillow).
pub const PRECISION: u32 = 32 - 8 - 2;
/// Rows of the photo that are resampled along their length before the columns are summed: they stay in the L1 cache.
pub(super) const BLOCK: usize = 8;

/// The source pixels of a pixel of the result, and the index of their weights.
pub(super) struct Window {
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) weights: usize,
}

impl Window {
    pub(super) fn end(&self) -> usize {
        self.start + self.count
    }
}

/// For each pixel of the result along a dimension, the source pixels that it is the weighted mean of.
#[derive(Default)]
pub struct Filter {
    pub(super) windows: Vec<Window>,
    pub(super) weights: Vec<i32>,
}

impl Filter {
    /// Appends a pixel of the result: the sum of the source pixels from `start`, with these weights (in units of
    /// 2^-[`PRECISION`]: with a sum of about one, and less than two without their signs). Windows start and end in ascending order.
    pub fn push(&mut self, start: usize, weights: impl IntoIterator<Item = i32>) {
        let first = self.weights.len();
        self.weights.extend(weights);
        self.windows.push(Window { start, count: self.weights.len() - first, weights: first });
    }

    pub(super) fn of_window(&self, window: &Window) -> &[i32] {
        &self.weights[window.weights..window.weights + window.count]
    }

    pub(super) fn end(&self) -> usize {
        self.windows.iter().map(Window::end).max().unwrap_or(0)
    }

    /// The maximum number of windows that contain both the last row of a block and the first of the next one.
    pub(super) fn max_unfinished(&self, first: usize) -> usize {
        let (mut done, mut most) = (0, 0);
        for (started, window) in self.windows.iter().enumerate() {
            // The last boundary of blocks within this window.
            let boundary = first + window.end().saturating_sub(first + 1) / BLOCK * BLOCK;
            if boundary > window.start {
                while self.windows[done].end() <= boundary {
                    done += 1;
                }
                let more = self.windows[started..].iter().take_while(|window| window.start < boundary).count();
                most = most.max(started + more - done);
            }
        }
        most
    }
}
