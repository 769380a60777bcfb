//! A reference for PyTorch: plain loops over one sample in its axis order, (channels, height, width) for an image, and a writer of its
//! weights files. It follows the definitions in PyTorch's documentation of each layer.

use std::path::Path;

/// A tensor without its batch, row-major.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Tensor {
    pub fn new(shape: &[usize], values: Vec<f64>) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Tensor { shape: shape.to_vec(), values }
    }

    /// The same values in another shape: `view`, `flatten`.
    pub fn view(&self, shape: &[usize]) -> Tensor {
        Tensor::new(shape, self.values.clone())
    }

    pub fn flatten(&self) -> Tensor {
        self.view(&[self.values.len()])
    }

    pub fn map(&self, function: impl Fn(f64) -> f64) -> Tensor {
        Tensor::new(&self.shape, self.values.iter().map(|value| function(*value)).collect())
    }

    pub fn zip(&self, other: &Tensor, function: impl Fn(f64, f64) -> f64) -> Tensor {
        assert_eq!(self.shape, other.shape);
        let values = self.values.iter().zip(&other.values).map(|(a, b)| function(*a, *b)).collect();
        Tensor::new(&self.shape, values)
    }

    /// The number of channels, and of values in each.
    fn channels(&self) -> (usize, usize) {
        (self.shape[0], self.values.len() / self.shape[0])
    }

    /// Each value with its channel: `x[c]` of features, `x[c, :, :]` of an image.
    pub fn by_channel(&self, function: impl Fn(usize, f64) -> f64) -> Tensor {
        let (_, each) = self.channels();
        let values = self.values.iter().enumerate().map(|(at, value)| function(at / each, *value)).collect();
        Tensor::new(&self.shape, values)
    }

    /// `permute` of the axes.
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let strides: Vec<usize> =
            (0..self.shape.len()).map(|axis| self.shape[axis + 1..].iter().product::<usize>()).collect();
        let values = (0..self.values.len()).map(|at| {
            let (mut rest, mut from) = (at, 0);
            for (place, &axis) in order.iter().enumerate().rev() {
                from += rest % shape[place] * strides[axis];
                rest /= shape[place];
            }
            self.values[from]
        });
        Tensor::new(&shape, values.collect())
    }

    /// `conv2d(x, weight, bias, padding=padding, groups=groups)` with a weight of (out, in / groups, height, width).
    pub fn conv2d(&self, weight: &Tensor, bias: &Tensor, padding: usize, groups: usize) -> Tensor {
        let (&[channels, height, width], &[filters, depth, kh, kw]) = (&self.shape[..], &weight.shape[..]) else {
            panic!("an image and a kernel")
        };
        assert_eq!(depth * groups, channels);
        let (out_h, out_w) = (height + 2 * padding + 1 - kh, width + 2 * padding + 1 - kw);
        let mut out = Vec::new();
        for filter in 0..filters {
            let first = filter / (filters / groups) * depth;
            for (row, column) in (0..out_h).flat_map(|row| (0..out_w).map(move |column| (row, column))) {
                let mut sum = bias.values[filter];
                for (channel, y, x) in places(depth, kh, kw) {
                    let (at_y, at_x) = ((row + y).wrapping_sub(padding), (column + x).wrapping_sub(padding));
                    if at_y < height && at_x < width {
                        sum += self.values[((first + channel) * height + at_y) * width + at_x]
                            * weight.values[((filter * depth + channel) * kh + y) * kw + x];
                    }
                }
                out.push(sum);
            }
        }
        Tensor::new(&[filters, out_h, out_w], out)
    }

    /// `conv1d(x, weight, bias)` with a weight of (out, in, size), on (features, steps).
    pub fn conv1d(&self, weight: &Tensor, bias: &Tensor) -> Tensor {
        let (&[channels, steps], &[filters, depth, size]) = (&self.shape[..], &weight.shape[..]) else {
            panic!("a sequence and a kernel")
        };
        let out = self.view(&[channels, 1, steps]).conv2d(&weight.view(&[filters, depth, 1, size]), bias, 0, 1);
        out.view(&[filters, steps + 1 - size])
    }

    /// Each row of (steps, features) by itself: `linear`, `layer_norm`.
    pub fn by_step(&self, function: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let &[steps, features] = &self.shape[..] else { panic!("a sequence") };
        let rows = self.values.chunks(features).map(|row| function(&Tensor::new(&[features], row.to_vec())));
        let rows: Vec<Tensor> = rows.collect();
        Tensor::new(&[steps, rows[0].values.len()], rows.into_iter().flat_map(|row| row.values).collect())
    }

    /// `transpose(-2, -1)` of a sequence.
    pub fn transposed(&self) -> Tensor {
        self.permute(&[1, 0])
    }

    /// `conv_transpose2d(x, weight, bias, stride=2)` with a weight of (in, out, height, width).
    pub fn conv_transpose2d(&self, weight: &Tensor, bias: &Tensor) -> Tensor {
        let (&[channels, height, width], &[_, filters, kh, kw]) = (&self.shape[..], &weight.shape[..]) else {
            panic!("an image and a kernel")
        };
        let (out_h, out_w) = ((height - 1) * 2 + kh, (width - 1) * 2 + kw);
        let mut out: Vec<f64> = (0..filters * out_h * out_w).map(|at| bias.values[at / (out_h * out_w)]).collect();
        for (channel, row, column) in places(channels, height, width) {
            for (filter, y, x) in places(filters, kh, kw) {
                out[(filter * out_h + row * 2 + y) * out_w + column * 2 + x] += self.values
                    [(channel * height + row) * width + column]
                    * weight.values[((channel * filters + filter) * kh + y) * kw + x];
            }
        }
        Tensor::new(&[filters, out_h, out_w], out)
    }

    /// `max_pool2d(x, 2)`.
    pub fn max_pool(&self) -> Tensor {
        let &[channels, height, width] = &self.shape[..] else { panic!("an image") };
        let at = |c: usize, y: usize, x: usize| self.values[(c * height + y) * width + x];
        let largest = |(c, y, x)| {
            let two = |y| f64::max(at(c, y, 2 * x), at(c, y, 2 * x + 1));
            f64::max(two(2 * y), two(2 * y + 1))
        };
        let out = places(channels, height / 2, width / 2).map(largest).collect();
        Tensor::new(&[channels, height / 2, width / 2], out)
    }

    /// The mean of each channel.
    pub fn global_mean(&self) -> Tensor {
        let (channels, each) = self.channels();
        let means = self.values.chunks(each).map(|channel| channel.iter().sum::<f64>() / each as f64).collect();
        Tensor::new(&[channels], means)
    }

    /// `linear(x, weight, bias)` with a weight of (out, in).
    pub fn linear(&self, weight: &Tensor, bias: &Tensor) -> Tensor {
        let &[units, features] = &weight.shape[..] else { panic!("a matrix") };
        assert_eq!(self.shape, [features]);
        let row =
            |unit: usize| self.values.iter().zip(&weight.values[unit * features..]).map(|(x, w)| x * w).sum::<f64>();
        Tensor::new(&[units], (0..units).map(|unit| row(unit) + bias.values[unit]).collect())
    }

    /// `group_norm(x, groups)` without scale and shift.
    pub fn group_norm(&self, groups: usize) -> Tensor {
        let mut out = self.clone();
        let each = self.values.len() / groups;
        for group in out.values.chunks_mut(each) {
            let mean = group.iter().sum::<f64>() / each as f64;
            let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / each as f64;
            group.iter_mut().for_each(|x| *x = (*x - mean) / (variance + 1e-5).sqrt());
        }
        out
    }

    /// A function of the values of all channels at a position, `dim=1` of a batch.
    pub fn over_channels(&self, function: impl Fn(&mut [f64])) -> Tensor {
        let (channels, each) = self.channels();
        let mut out = self.clone();
        for place in 0..each {
            let mut column: Vec<f64> = (0..channels).map(|channel| self.values[channel * each + place]).collect();
            function(&mut column);
            column.into_iter().enumerate().for_each(|(channel, value)| out.values[channel * each + place] = value);
        }
        out
    }

    /// A range of channels (features).
    pub fn slice(&self, from: usize, to: usize) -> Tensor {
        let (_, each) = self.channels();
        let mut shape = self.shape.clone();
        shape[0] = to - from;
        Tensor::new(&shape, self.values[from * each..to * each].to_vec())
    }

    /// `cat` along the channels (features).
    pub fn cat(&self, other: &Tensor) -> Tensor {
        let mut shape = self.shape.clone();
        shape[0] += other.shape[0];
        Tensor::new(&shape, [&self.values[..], &other.values].concat())
    }

    /// An image in netc's order; anything else unchanged.
    pub fn channels_last(&self) -> Tensor {
        if self.shape.len() == 3 { self.permute(&[1, 2, 0]) } else { self.clone() }
    }
}

pub fn softmax(values: &mut [f64]) {
    let sum: f64 = values.iter().map(|value| value.exp()).sum();
    values.iter_mut().for_each(|value| *value = value.exp() / sum);
}

pub fn normalize(values: &mut [f64]) {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
    values.iter_mut().for_each(|value| *value /= length);
}

fn places(channels: usize, height: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..channels * height * width).map(move |at| (at / (height * width), at / width % height, at % width))
}

/// The tensors of a weights file.
#[derive(Clone, Debug, Default)]
pub struct State {
    tensors: Vec<(String, Tensor)>,
    start: u64,
}

impl State {
    /// Random values from -1 to 1, rounded as in the file.
    pub fn random(&mut self, shape: &[usize]) -> Tensor {
        let value = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(((*state >> 40) as f32 / (1u32 << 23) as f32) - 1.0)
        };
        let values = (0..shape.iter().product()).map(|_| value(&mut self.start)).collect();
        Tensor::new(shape, values)
    }

    /// A random parameter, which is added to the file.
    pub fn parameter(&mut self, name: &str, shape: &[usize]) -> Tensor {
        let tensor = self.random(shape);
        self.set(name, tensor.clone());
        tensor
    }

    pub fn set(&mut self, name: &str, tensor: Tensor) {
        self.tensors.push((name.to_string(), tensor));
    }

    pub fn seeded(start: u64) -> State {
        State { tensors: Vec::new(), start: start.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// The file, with a `format` in its metadata.
    pub fn write(&self, path: &Path, format: &str) {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!({ "format": format }));
        let mut data: Vec<u8> = Vec::new();
        for (name, tensor) in &self.tensors {
            let start = data.len();
            data.extend(tensor.values.iter().flat_map(|value| (*value as f32).to_le_bytes()));
            let entry =
                serde_json::json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, data.len()] });
            header.insert(name.clone(), entry);
        }
        let mut header = serde_json::to_string(&header).expect("a header");
        // With an odd length, so that its first byte is not that of another file format.
        header += if header.len().is_multiple_of(2) { " " } else { "" };
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
        std::fs::write(path, bytes).expect("a file of weights");
    }
}
