//! Random nets, computed with plain loops in PyTorch's axis order and with netc in its own: either the outputs are equal, or an
//! error names the layer; they never differ.

use crate::difference::difference;
use crate::random::RandomChoices;
use crate::torch::{State, Tensor, normalize, softmax};
use netc::compile::{BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::path::Path;
use std::sync::Arc;

/// Samples of a batch.
const BATCH: usize = 2;
/// The number of nets that begin with images or features, and of those that begin with sequences.
const NETS: u64 = 400;
const SEQUENCES: u64 = 300;

/// A net under construction: its text, and PyTorch's outputs so far for each sample of the batch.
struct PendingFile {
    text: String,
    values: Vec<Tensor>,
    /// Whether sequences are (steps, features), not (features, steps), at this place of the author's code; `None` before the first layer
    /// that needs one of them.
    steps_first: Option<bool>,
    is_of_sequences: bool,
    state: State,
    random: RandomChoices,
    layers: usize,
}

impl PendingFile {
    fn new(seed: u64) -> PendingFile {
        let (mut state, mut random) = (State::seeded(seed), RandomChoices::new(seed));
        let sizes = match random.below(5) {
            _ if seed > NETS => vec![3 + random.below(5), 2 + random.below(4)],
            0 => vec![4 + random.below(20)],
            _ => vec![2 + random.below(3), 3 + random.below(4), 3 + random.below(4)],
        };
        let values: Vec<Tensor> = (0..BATCH).map(|_| state.random(&sizes)).collect();
        let text = match sizes[..] {
            [c, h, w] => format!("Input({h}x{w}x{c})"),
            [steps, features] => format!("Input({steps}x{features})"),
            _ => format!("Input({})", sizes[0]),
        };
        PendingFile { text, values, steps_first: None, is_of_sequences: seed > NETS, state, random, layers: 0 }
    }

    fn shape(&self) -> Vec<usize> {
        self.values[0].shape.clone()
    }

    fn len(&self) -> usize {
        self.values[0].values.len()
    }

    /// The name for a new layer.
    fn name(&mut self) -> String {
        self.layers += 1;
        format!("l{}", self.layers)
    }

    fn then(&mut self, text: &str, function: impl Fn(&Tensor) -> Tensor) {
        self.text += &format!(" >> {text}");
        self.values = self.values.iter().map(function).collect();
    }

    fn conv(&mut self) {
        let shape = self.shape();
        let channels = shape[0];
        let padded = self.random.below(2) == 1 || shape[1].min(shape[2]) < 3;
        let groups = if self.random.below(3) == 0 { channels } else { 1 };
        let filters = if groups > 1 { groups * (1 + self.random.below(2)) } else { 1 + self.random.below(5) };
        let name = self.name();
        let weight = self.state.parameter(&format!("{name}.weight"), &[filters, channels / groups, 3, 3]);
        let bias = self.state.parameter(&format!("{name}.bias"), &[filters]);
        let padding = usize::from(padded);
        let text = match groups > 1 {
            true if self.random.below(2) == 0 => {
                format!("DepthwiseConv(3x3, padding={padding}, multiplier={})", filters / groups)
            }
            _ => format!("Conv(3x3, {filters}, padding={padding}, groups={groups})"),
        };
        self.then(&format!("{text} as {name}"), |x| x.conv2d(&weight, &bias, padding, groups));
    }

    fn deconv(&mut self) {
        let channels = self.shape()[0];
        let filters = 1 + self.random.below(3);
        let name = self.name();
        let weight = self.state.parameter(&format!("{name}.weight"), &[channels, filters, 2, 2]);
        let bias = self.state.parameter(&format!("{name}.bias"), &[filters]);
        self.then(&format!("Deconv(2x2, {filters}, stride=2) as {name}"), |x| x.conv_transpose2d(&weight, &bias));
    }

    fn batch_norm(&mut self) {
        let channels = [self.shape()[0]];
        let name = self.name();
        let gamma = self.state.parameter(&format!("{name}.weight"), &channels);
        let beta = self.state.parameter(&format!("{name}.bias"), &channels);
        let mean = self.state.parameter(&format!("{name}.running_mean"), &channels);
        let variance = self.state.random(&channels).map(|value| f64::from((value.abs() + 0.5) as f32));
        self.state.set(&format!("{name}.running_var"), variance.clone());
        self.then(&format!("BatchNorm as {name}"), |x| {
            x.by_channel(|c, value| {
                (value - mean.values[c]) / (variance.values[c] + 1e-5).sqrt() * gamma.values[c] + beta.values[c]
            })
        });
    }

    fn group_norm(&mut self) {
        let channels = self.shape()[0];
        let name = self.name();
        let gamma = self.state.parameter(&format!("{name}.weight"), &[channels]);
        let beta = self.state.parameter(&format!("{name}.bias"), &[channels]);
        self.then(&format!("GroupNorm({channels}) as {name}"), |x| {
            x.group_norm(channels).by_channel(|c, value| value * gamma.values[c] + beta.values[c])
        });
    }

    fn prelu(&mut self) {
        let channels = self.shape()[0];
        let name = self.name();
        let slopes = if self.random.below(2) == 0 { 1 } else { channels };
        let alpha = self.state.parameter(&format!("{name}.weight"), &[slopes]);
        self.then(&format!("PRelu as {name}"), |x| {
            x.by_channel(|c, value| if value < 0.0 { value * alpha.values[c % slopes] } else { value })
        });
    }

    /// A dense layer: weight, bias and text.
    fn dense(&mut self, units: usize) -> (String, Tensor, Tensor) {
        let name = self.name();
        let features = self.len();
        let weight = self.state.random(&[units, features]).map(|value| f64::from((value / 3.0) as f32));
        self.state.set(&format!("{name}.weight"), weight.clone());
        let bias = self.state.parameter(&format!("{name}.bias"), &[units]);
        (format!("Dense({units}) as {name}"), weight, bias)
    }

    /// Layers for both images and features.
    fn any(&mut self, choice: usize) {
        let channels = self.shape()[0];
        match choice {
            0 => self.then("Relu", |x| x.map(|value| value.max(0.0))),
            1 => self.then("Sigmoid", |x| x.map(|value| 1.0 / (1.0 + (-value).exp()))),
            2 => self.then("Softmax", |x| x.over_channels(softmax)),
            3 => self.then("Normalize", |x| x.over_channels(normalize)),
            4 => self.batch_norm(),
            5 => self.prelu(),
            6 => self.then("(Identity | Sigmoid) >> Multiply", |x| x.map(|value| value / (1.0 + (-value).exp()))),
            7 => self.then("(Relu | Identity) >> Concatenate", |x| x.map(|value| value.max(0.0)).cat(x)),
            8 => self.then("Dropout(0.5)", Tensor::clone),
            _ if channels > 1 => {
                let from = self.random.below(channels - 1);
                let to = from + 1 + self.random.below(channels - from);
                self.then(&format!("Slice({from}, {to})"), |x| x.slice(from, to));
            }
            _ => {}
        }
    }

    fn on_image(&mut self) {
        let shape = self.shape();
        let (channels, height, width) = (shape[0], shape[1], shape[2]);
        match self.random.below(17) {
            0..=2 => self.conv(),
            3 if height > 1 && width > 1 => self.then("MaxPool(2x2)", Tensor::max_pool),
            4 if height * width < 30 => self.deconv(),
            5 => self.group_norm(),
            6 => self.then("GlobalPool(avg)", Tensor::global_mean),
            7 => {
                // Squeeze and excitation.
                let name = self.name();
                let weight = self.state.parameter(&format!("{name}.weight"), &[channels, channels]);
                let bias = self.state.parameter(&format!("{name}.bias"), &[channels]);
                let text = format!("(Identity | GlobalPool(avg) >> Sigmoid({channels}) as {name}) >> Multiply");
                self.then(&text, |x| {
                    let gate = x.global_mean().linear(&weight, &bias).map(|value| 1.0 / (1.0 + (-value).exp()));
                    x.by_channel(|c, value| value * gate.values[c])
                });
            }
            // An explicit transpose: the following layers are in PyTorch's order.
            8 => self.then("Transpose([0, 3, 1, 2]) >> Flatten", Tensor::flatten),
            9 => self.then("Transpose([0, 2, 1, 3])", |x| x.permute(&[0, 2, 1])),
            10 => {
                let text = format!("Reshape({}x{}) >> Flatten", height * width, channels);
                self.then(&text, Tensor::flatten);
            }
            11..=13 => self.then("Flatten", Tensor::flatten),
            _ => {
                let choice = self.random.below(10);
                self.any(choice);
            }
        }
    }

    fn on_features(&mut self) {
        let len = self.len();
        match self.random.below(12) {
            0 | 1 => {
                let units = [6, 12, 24, 36][self.random.below(4)];
                let (text, weight, bias) = self.dense(units);
                self.then(&text, |x| x.linear(&weight, &bias));
            }
            2 => {
                let (text, weight, bias) = self.dense(len);
                let merge = self.random.pick(&["Add", "Subtract"]).to_string();
                let sign = if merge == "Add" { 1.0 } else { -1.0 };
                let text = format!("(Identity | {text}) >> {merge}");
                self.then(&text, |x| x.zip(&x.linear(&weight, &bias), |a, b| a + sign * b));
            }
            3 | 4 if len.is_multiple_of(6) && len / 6 < 30 => {
                let (channels, height, width) = (2, 3, len / 6);
                let by_hand = self.random.below(2) == 0;
                let text = match by_hand {
                    true => format!("Reshape({channels}x{height}x{width}) >> Transpose([0, 2, 3, 1])"),
                    false => format!("Reshape({height}x{width}x{channels})"),
                };
                self.then(&text, |x| x.view(&[channels, height, width]));
            }
            _ => {
                let choice = self.random.below(10);
                self.any(choice);
            }
        }
    }

    /// The author's code transposes a sequence if the next layer needs it.
    fn transpose_to(&mut self, steps_first: bool) {
        if self.steps_first.unwrap_or(true) != steps_first {
            self.values = self.values.iter().map(Tensor::transposed).collect();
        }
        self.steps_first = Some(steps_first);
    }

    /// A layer that keeps each value in its place: the code may transpose back after it.
    fn in_place(&mut self, steps_first: bool, layer: impl FnOnce(&mut PendingFile)) {
        let before = self.steps_first.unwrap_or(steps_first);
        self.transpose_to(steps_first);
        layer(self);
        if self.random.below(2) == 0 {
            self.transpose_to(before);
        }
    }

    /// Weight and bias of a convolution along time with a kernel of `size`.
    fn kernel(&mut self, name: &str, filters: usize, channels: usize, size: usize) -> (Tensor, Tensor) {
        let weight = self.state.parameter(&format!("{name}.weight"), &[filters, channels, size]);
        (weight, self.state.parameter(&format!("{name}.bias"), &[filters]))
    }

    /// Weight and bias of a dense layer on each step.
    fn of_steps(&mut self, name: &str, units: usize, features: usize) -> (Tensor, Tensor) {
        let weight = self.state.parameter(&format!("{name}.weight"), &[units, features]);
        (weight, self.state.parameter(&format!("{name}.bias"), &[units]))
    }

    fn on_sequence(&mut self) {
        let [first, second] = self.shape()[..] else { panic!("a sequence") };
        let (steps, features) = if self.steps_first == Some(false) { (second, first) } else { (first, second) };
        let units = 2 + self.random.below(4);
        let name = self.name();
        match self.random.below(18) {
            0..=2 if steps > 1 => {
                self.transpose_to(false);
                let (weight, bias) = self.kernel(&name, units, features, 2);
                self.then(&format!("Conv(2, {units}) as {name}"), |x| x.conv1d(&weight, &bias));
            }
            3 if steps > 1 => {
                self.transpose_to(false);
                self.then("MaxPool(2)", |x| {
                    let pairs =
                        x.values.chunks(steps).flat_map(|row| row.chunks_exact(2).map(|two| two[0].max(two[1])));
                    Tensor::new(&[features, steps / 2], pairs.collect())
                });
            }
            4 | 5 => self.in_place(false, PendingFile::batch_norm),
            6 => self.in_place(false, PendingFile::prelu),
            7 | 8 => {
                self.transpose_to(true);
                let (weight, bias) = self.of_steps(&name, units, features);
                self.then(&format!("Dense({units}) as {name}"), |x| x.by_step(|step| step.linear(&weight, &bias)));
            }
            9 => self.in_place(true, |draft| {
                let gamma = draft.state.parameter(&format!("{name}.weight"), &[features]);
                let beta = draft.state.parameter(&format!("{name}.bias"), &[features]);
                draft.then(&format!("LayerNorm as {name}"), |x| {
                    x.by_step(|step| step.group_norm(1).zip(&gamma, |a, b| a * b).zip(&beta, |a, b| a + b))
                });
            }),
            10 => {
                // A residual convolution.
                self.transpose_to(false);
                let (weight, bias) = self.kernel(&name, features, features, 1);
                let text = format!("(Identity | Conv(1, {features}) as {name}) >> Add");
                self.then(&text, |x| x.zip(&x.conv1d(&weight, &bias), |a, b| a + b));
            }
            11 if steps > 1 => {
                // A branch that is flattened as it is, beside one that is convolved.
                self.transpose_to(false);
                let (weight, bias) = self.kernel(&name, units, features, 2);
                let text = format!("(Flatten | Conv(2, {units}) as {name} >> Flatten) >> Concatenate");
                self.then(&text, |x| x.flatten().cat(&x.conv1d(&weight, &bias).flatten()));
            }
            12 => {
                self.transpose_to(true);
                let (weight, bias) = self.of_steps(&name, units, features);
                let text = format!("(Flatten | Dense({units}) as {name} >> Flatten) >> Concatenate");
                self.then(&text, |x| x.flatten().cat(&x.by_step(|step| step.linear(&weight, &bias)).flatten()));
            }
            13 => {
                self.transpose_to(false);
                self.then("GlobalPool(avg)", Tensor::global_mean);
            }
            14 => self.then("Flatten", Tensor::flatten),
            _ => {
                // Neither order: the functions below have the features first.
                let as_features = |draft: &mut PendingFile| {
                    if draft.steps_first != Some(false) {
                        draft.values = draft.values.iter().map(Tensor::transposed).collect();
                    }
                };
                let choice = [0, 1, 2, 3, 6, 7, 8, 9][self.random.below(8)];
                as_features(self);
                self.any(choice);
                as_features(self);
            }
        }
    }

    /// Features become a sequence, as the layer after it has it.
    fn become_sequence(&mut self) {
        let features = 2;
        let steps = self.len() / features;
        let name = self.name();
        let steps_first = self.random.below(2) == 0;
        self.steps_first = Some(steps_first);
        if steps_first {
            let (weight, bias) = self.of_steps(&name, 3, features);
            self.then(&format!("Reshape({steps}x{features}) >> Dense(3) as {name}"), |x| {
                x.view(&[steps, features]).by_step(|step| step.linear(&weight, &bias))
            });
        } else {
            let (weight, bias) = self.kernel(&name, 3, features, 2);
            self.then(&format!("Reshape({steps}x{features}) >> Conv(2, 3) as {name}"), |x| {
                x.view(&[features, steps]).conv1d(&weight, &bias)
            });
        }
    }

    /// The outputs in netc's order.
    fn outputs(&self) -> Vec<f64> {
        let is_turned = self.shape().len() == 2 && self.steps_first == Some(false);
        let in_order = |y: &Tensor| if is_turned { y.transposed() } else { y.channels_last() };
        self.values.iter().flat_map(|y| in_order(y).values).collect()
    }

    fn step(&mut self) {
        let len = self.len();
        match self.shape().len() {
            3 => self.on_image(),
            2 => self.on_sequence(),
            _ if self.is_of_sequences && len > 2 && len.is_multiple_of(2) && self.random.below(3) == 0 => {
                self.become_sequence();
            }
            _ => self.on_features(),
        }
    }
}

/// The result of netc for a net: its values, or the code and text of the error.
fn netc(folder: &Path, draft: &PendingFile, inputs: &[Tensor]) -> Result<Vec<f32>, (Code, String)> {
    draft.state.write(&folder.join("m.safetensors"), "pt");
    let text = format!("weights m = \"m.safetensors\"\nnet m = {}\n", draft.text);
    let spec = load_text(&folder.join("m.net"), &text, &from_disk);
    let built = build(&spec, &BuildOptions::default());
    let build = match built {
        Ok((build, _)) => build,
        Err(errors) => {
            let messages = render::text(&errors, &spec.sources, false);
            return Err((errors.iter().next().expect("an error").code, messages));
        }
    };
    let x: Vec<f32> = inputs.iter().flat_map(|x| x.channels_last().values).map(|value| value as f32).collect();
    let mut y = vec![0.0; BATCH * draft.len()];
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    Session::new(artifact, 1).run(BATCH, &[&x], &mut [&mut y]).expect("a run");
    Ok(y)
}

#[test]
fn nets_by_chance_give_what_pytorch_computes_or_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut equal, mut refused, mut permuted) = (0, 0, 0);
    let mut wrong = Vec::new();
    let (mut equal_sequences, mut refused_sequences) = (0, 0);
    for seed in 1..=NETS + SEQUENCES {
        let mut draft = PendingFile::new(seed);
        let inputs = draft.values.clone();
        let steps = 2 + draft.random.below(7);
        for _ in 0..steps {
            if draft.len() < 600 {
                draft.step();
            }
        }
        // Features end with a dense layer, as on their own they may be in netc's order.
        if draft.shape().len() == 1 {
            let (text, weight, bias) = draft.dense(3);
            draft.then(&text, |x| x.linear(&weight, &bias));
        }
        // Without weights, there is no file with an axis order.
        if draft.layers == 0 {
            continue;
        }
        match netc(folder.path(), &draft, &inputs) {
            Ok(found) => {
                let right = draft.outputs();
                let largest = right.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
                let apart = difference(found, right.iter().copied(), |_| 1.0);
                if apart > 1e-3 * largest {
                    wrong.push(format!("net {seed} is {apart:e} apart: {}", draft.text));
                }
                *if draft.is_of_sequences { &mut equal_sequences } else { &mut equal } += 1;
                permuted += usize::from(!draft.is_of_sequences && draft.text.contains("Flatten"));
            }
            Err((Code::AxisOrder, messages)) => {
                assert!(messages.contains("the axis order of the values of `"), "net {seed}: {messages}");
                *if draft.is_of_sequences { &mut refused_sequences } else { &mut refused } += 1;
            }
            Err((_, messages)) => wrong.push(format!("net {seed}: {}\n{messages}", draft.text)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Most of the nets are typical ones, which are accepted.
    assert!(
        equal > 3 * refused && refused > 0 && permuted > 50,
        "{equal} equal, {refused} refused, {permuted} flattened"
    );
    // Of sequences, more do not show where they are transposed.
    assert!(
        equal_sequences > refused_sequences && refused_sequences > 0,
        "{equal_sequences} sequences equal, {refused_sequences} refused"
    );
}
