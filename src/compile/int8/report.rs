//! What an int8 build reports.

use std::fmt;

/// A convolution or dense layer that kernels can compute on bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    pub name: String,
    /// The signal-to-noise ratio in dB of its output where only the layer itself is computed on bytes.
    pub own: f64,
    /// The same in the int8 net, with the noise of all layers before it.
    pub so_far: f64,
    /// Whether it stays in f32.
    pub kept: bool,
}

/// How the classes of the int8 net agree with those of the net in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    pub samples: usize,
    /// Samples with the same most likely class.
    pub same: usize,
    /// Samples whose class is known, and those that each net is right about.
    pub labelled: usize,
    pub right_f32: usize,
    pub right_int8: usize,
}

impl Agreement {
    /// Counts a sample by both outputs.
    pub fn add(&mut self, wanted: &[f32], found: &[f32], class: Option<usize>) {
        let (wanted, found) = (top(wanted), top(found));
        self.samples += 1;
        self.same += usize::from(wanted == found);
        if let Some(class) = class {
            self.labelled += 1;
            self.right_f32 += usize::from(wanted == Some(class));
            self.right_int8 += usize::from(found == Some(class));
        }
    }
}

/// The index of the largest value.
fn top(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]).then(b.cmp(&a)))
}

/// The report of an int8 build.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Int8Report {
    /// In topological order.
    pub layers: Vec<Layer>,
    /// Layers with parameters that no kernel computes on bytes.
    pub unsupported: Vec<String>,
    /// Calibration samples.
    pub samples: usize,
    /// `None` if the net gives no classes.
    pub agreement: Option<Agreement>,
}

impl Int8Report {
    /// Layers that stay in f32 as they would lose too much.
    pub fn kept(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.kept)
    }
}

impl fmt::Display for Int8Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.layers.iter().map(|layer| layer.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(f, "  {:width$}  {:>9}  {:>9}", "layer", "own dB", "so far dB")?;
        for layer in &self.layers {
            let kept = if layer.kept { "  stays f32" } else { "" };
            writeln!(f, "  {:width$}  {:>9.1}  {:>9.1}{kept}", layer.name, layer.own, layer.so_far)?;
        }
        Ok(())
    }
}
