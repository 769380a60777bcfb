//! Compares the configuration in a file with the spec, for the layers that are bound to weights of the file.

mod bound;
mod branches;
mod chain;
mod function;
mod of_file;
mod of_net;
mod sequences;
mod unmatched;
mod walk;

pub(in crate::weights) use bound::Bound;

use super::LayerConfig;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::{Graph, NodeId};
use crate::ops::convolution::transposed_convolution::TransposedConvolution;
use crate::ops::convolution::window::{Padding, Sliding, short_pair};
use crate::ops::norm::GroupNorm;
use crate::ops::norm::layer_norm::LayerNorm;
use crate::ops::shape::pad::Pad;
use crate::size::sizes_text;
use branches::Branches;
use chain::{Mismatch, Written, continues, difference};
use of_file::{
    after_layer, before_layer, input_of_layer, layers_before, padding, pair, reshaped_before_layer, up_to_layer,
};
use of_net::{
    after_node, before_node, input_of_node, reshaped_before_node, transposes_before, up_to_node, window_of_node,
};
use serde_json::Value;
use walk::End;

fn is_border(written: &Written) -> bool {
    matches!(written, Written::Border(_))
}

/// Whether a convolution sees only the steps before.
fn is_causal(layer: &LayerConfig) -> bool {
    layer.get(&["padding", "border_mode"]).and_then(Value::as_str) == Some("causal")
}

/// The input of the first of `borders` borders before a node; identity layers may be in between.
fn border_begins(graph: &Graph, id: NodeId, borders: usize) -> Option<NodeId> {
    let mut node = graph.node(id).inputs.first().copied()?;
    let mut left = borders;
    while left > 0 {
        left -= usize::from(graph.node(node).operation.as_any().is::<Pad>());
        node = graph.node(node).inputs.first().copied()?;
    }
    Some(node)
}

/// A difference between the file and the spec.
struct Difference {
    node: NodeId,
    layer: usize,
    /// What differs: `epsilon`.
    about: String,
    file: String,
    here: String,
    help: Option<String>,
}

/// Reports every difference between file and spec that affects results. The same difference in several layers is one error.
pub(in crate::weights) fn check(bound: &Bound<'_>, errors: &mut Diagnostics) {
    let mut differences = Vec::new();
    let consumers = bound.graph.consumers();
    let mut branches = Branches::new(bound);
    for id in bound.graph.ids() {
        let Some(layer) = bound.layer_of(id) else { continue };
        bound.arguments(id, layer, &mut differences);
        bound.before(&mut branches, id, layer, &mut differences);
        bound.after(&consumers, id, layer, &mut differences);
    }
    bound.outputs(&mut branches, &mut differences);
    let mut groups: Vec<(Difference, Vec<NodeId>)> = Vec::new();
    for found in differences {
        let same = |(known, _): &&mut (Difference, Vec<NodeId>)| {
            (&known.about, &known.file, &known.here) == (&found.about, &found.file, &found.here)
        };
        match groups.iter_mut().find(same) {
            Some((_, more)) => more.push(found.node),
            None => groups.push((found, Vec::new())),
        }
    }
    for (found, more) in groups {
        let (node, layer) = (bound.graph.node(found.node), &bound.model.layers[found.layer]);
        let Difference { about, file, here, help, .. } = found;
        let mut diagnostic = Diagnostic::new(
            Code::WeightsConfiguration,
            format!("`{}` differs from the layer that its weights were trained in", node.name),
        )
        .at(node.origin.span, format!("{about}: {here}"))
        .and(bound.span, format!("{about} in the file: {file}"))
        .note(format!("{}: layer `{}` ({}), {about}: {file}", bound.file, layer.name, layer.class));
        if !more.is_empty() {
            let names: Vec<String> = more.iter().map(|&id| bound.graph.node(id).name.clone()).collect();
            let names = crate::weights::bind::report::shortened(&names);
            diagnostic = diagnostic.note(format!("likewise: {names}"));
        }
        errors.push(diagnostic.maybe_help(help).help("`config = ignore` in the weights block uses the weights anyway"));
    }
}

impl Bound<'_> {
    /// Compares the constructor's arguments.
    fn arguments(&self, id: NodeId, at: usize, found: &mut Vec<Difference>) {
        let (operation, layer) = (&self.graph.node(id).operation, &self.model.layers[at]);
        let mut put = |about: &str, file: String, here: String, help: Option<String>| {
            found.push(Difference { node: id, layer: at, about: about.into(), file, here, help });
        };
        let name = operation.definition().name;
        let (any, class) = (operation.as_any(), layer.class.as_str());
        let group_norm = any.downcast_ref::<GroupNorm>();
        let layer_norm = any.downcast_ref::<LayerNorm>();
        let epsilon = operation.epsilon().or(group_norm.map(|norm| norm.epsilon));
        let epsilon = epsilon.or(layer_norm.map(|norm| norm.epsilon));
        if let (true, Some(file), Some(here)) =
            (class.ends_with("Normalization"), layer.get(&["epsilon"]).and_then(Value::as_f64), epsilon)
            && (file - here).abs() > 1e-6 * file.abs().max(here.abs())
        {
            put("epsilon", file.to_string(), here.to_string(), Some(format!("`epsilon={file}` in `{name}`")));
        }
        if let (Some(norm), Some(file)) = (group_norm, layer.get(&["groups"]).and_then(Value::as_u64))
            && file != norm.groups as u64
        {
            put("groups", file.to_string(), norm.groups.to_string(), None);
        }
        let layers = [at].into_iter().chain(layers_before(self.model, at));
        if layers.into_iter().any(|at| self.model.layers[at].is_channels_first()) {
            let help = "load it in Keras with `channels_last` layers and save it again";
            put("axis order", "channels first".into(), "channels last".into(), Some(help.into()));
        }
        let last = self.graph.node(id).output.sizes.len();
        if let Some(axis) = layer.axis().filter(|_| class.ends_with("Normalization"))
            && !(axis == -1 || axis >= last as i64)
        {
            put("axis", axis.to_string(), "the channels, which are last".into(), None);
        }
        let permuted = layers_before(self.model, at).into_iter().any(|at| self.model.layers[at].permutes());
        if permuted && !transposes_before(self.graph, id) {
            put("before it", "permuted axes (Permute)".into(), "no `Transpose`".into(), None);
        }
        if let (Some(file), Some(here)) = (reshaped_before_layer(self.model, at), reshaped_before_node(self.graph, id))
            && file != here
        {
            put("the shape before it", sizes_text(&file), sizes_text(&here), None);
        }
        // Later uses of a shared layer have its parameters.
        let parameters = &self.graph.node(id).parameters;
        let uses = || self.graph.ids().filter(|&node| self.graph.node(node).parameters == *parameters).count();
        if self.graph.name == self.net && layer.calls > 1 && layer.calls > uses() {
            put("uses", layer.calls.to_string(), uses().to_string(), None);
        }
        let window = window_of_node(self.graph, id);
        let transposed = any.downcast_ref::<TransposedConvolution>().map(|layer| layer.spreading);
        let stride = window.map(|window| window.stride).or(transposed.map(|spreading| spreading.stride));
        if let (Some(here), Some(file)) = (stride, pair(layer.get(&["strides", "subsample"]), 1))
            && here != file
        {
            put("stride", short_pair(file), short_pair(here), Some(format!("`stride={}`", short_pair(file))));
        }
        let dilation = window.map(|window| window.dilation).or(transposed.map(|spreading| spreading.dilation));
        if let (Some(here), Some(file)) = (dilation, pair(layer.get(&["dilation_rate"]), 1))
            && here != file
        {
            put("dilation", short_pair(file), short_pair(here), Some(format!("`dilation={}`", short_pair(file))));
        }
        // Along a sequence Keras knows a third word, `causal`.
        if let (Some(window), true, Some(file)) =
            (window, class.ends_with("Conv1D"), layer.get(&["padding", "border_mode"]).and_then(Value::as_str))
            && let Some(here) = [(Padding::Same, "same"), (Padding::Valid, "valid")]
                .into_iter()
                .find_map(|(padding, word)| (padding == window.padding).then_some(word))
            && file != here
            && window.size != [1, 1]
            && !(here == "valid" && is_causal(layer) && before_node(self.graph, id).0.last().is_some_and(is_border))
        {
            put("padding", file.into(), here.into(), None);
        }
        if let Some(transposed) = transposed {
            let word = |padding: Padding| if padding == Padding::Same { "same" } else { "valid" };
            if let (Some(file), here @ (Padding::Same | Padding::Valid)) = (padding(layer), transposed.padding)
                && file != here
            {
                put("padding", word(file).into(), word(here).into(), Some(format!("`padding={}`", word(file))));
            }
            // With four sides the spec says what TensorFlow crops for `same` and an output padding.
            if let Some(file) = layer.get(&["output_padding"])
                && pair(Some(file), 0) != Some(transposed.output_padding)
                && !matches!(transposed.padding, Padding::Sides(_))
            {
                let here = match transposed.output_padding {
                    [0, 0] => "none".into(),
                    pixels => short_pair(pixels),
                };
                put("output padding", file.to_string(), here, None);
            }
        }
        self.of_sequence(id, at, &mut put);
    }

    /// Compares the chain before a layer, and the padding of its window.
    fn before(&self, branches: &mut Branches, id: NodeId, at: usize, found: &mut Vec<Difference>) {
        let (mut net, start) = before_node(self.graph, id);
        let (mut file, begin) = before_layer(self.model, at);
        let is_cut = !self.graph.node(id).cuts.is_empty();
        if !is_cut && let Some((file, here)) = branches.differ(start, begin) {
            found.push(Difference { node: id, layer: at, about: "before it".into(), file, here, help: None });
            return;
        }
        self.without_scaling(start, [&mut net, &mut file]);
        // Zeros before a sequence are what `causal` means.
        if is_causal(&self.model.layers[at]) && net.last().is_some_and(is_border) {
            net.pop();
        }
        let same = self.is_same(start, begin);
        let windows = window_of_node(self.graph, id).and_then(|own| Some((own, self.window_of_layer(at, own)?)));
        let borders = |chain: &[Written]| chain.iter().rev().take_while(|written| is_border(written)).count();
        // Different strides have been reported already.
        let windows_of = |(own, of_file): (Sliding, Sliding)| {
            let of_file = Sliding { stride: own.stride, dilation: own.dilation, ..of_file };
            [Written::Convolution(own), Written::Convolution(of_file)]
        };
        let mut size = match start {
            End::Layer(node) | End::Merge(node) | End::Outside(node) if same => Some(node),
            _ => None,
        };
        if !same {
            let (input, layer) = (input_of_node(self.graph, id), input_of_layer(self.model, at));
            if !is_cut && let Some((file, here, help)) = self.unmatched(input, layer, windows.map(windows_of)) {
                found.push(Difference { node: id, layer: at, about: "before it".into(), file, here, help });
                return;
            }
            // Only the window and the adjacent borders are compared; an unknown layer before a window without padding may be a
            // border.
            let unknown = file.is_empty() && matches!(begin, End::Unknown | End::Unstated);
            if windows.is_none_or(|(_, of_file)| unknown && of_file.padding == Padding::Valid) {
                return;
            }
            size = border_begins(self.graph, id, borders(&net));
            net.drain(..net.len() - borders(&net));
            file.drain(..file.len() - borders(&file));
        }
        if let Some([own, of_file]) = windows.map(windows_of) {
            net.push(own);
            file.push(of_file);
        }
        let Some(mismatch) = size.and_then(|node| difference(&file, &net, self.size(node))) else { return };
        let about = if mismatch.of_window { "padding" } else { "before it" }.to_string();
        found.push(Difference { node: id, layer: at, about, file: mismatch.file, here: mismatch.net, help: None });
    }

    /// Compares the chain between the last layer with parameters and the output.
    fn after(&self, consumers: &[Vec<NodeId>], id: NodeId, at: usize, found: &mut Vec<Difference>) {
        // A cut net may end before the model in the file does.
        if self.graph.name != self.net {
            return;
        }
        let (net, end) = after_node(self.graph, consumers, id);
        let (file, last) = after_layer(self.model, at);
        let (End::Outside(_), End::Outside(_)) = (end, last) else { return };
        let size = self.size(id);
        if continues(&file, &net, size) {
            return;
        }
        if let Some(Mismatch { file, net, .. }) = difference(&file, &net, size) {
            found.push(Difference { node: id, layer: at, about: "after it".into(), file, here: net, help: None });
        }
    }

    /// Compares what comes before outputs that merges give.
    fn outputs(&self, branches: &mut Branches, found: &mut Vec<Difference>) {
        let layers = &self.model.layers;
        let of_file: Vec<usize> =
            (0..layers.len()).filter(|&at| layers[at].outputs.is_empty() && layers[at].model.is_empty()).collect();
        // A cut net may end before the model in the file does.
        if self.graph.name != self.net || of_file.len() != self.graph.outputs.len() {
            return;
        }
        for (&id, at) in self.graph.outputs.iter().zip(of_file) {
            let ((net, start), (file, begin)) = (up_to_node(self.graph, id), up_to_layer(self.model, at));
            let (End::Merge(node), End::Merge(layer)) = (start, begin) else {
                if let Some((file, here, help)) = self.unmatched(Ok(id), Ok(at), None) {
                    found.push(Difference { node: id, layer: at, about: "at the output".into(), file, here, help });
                }
                continue;
            };
            let about = || "after it".to_string();
            if let Some((file, here)) = branches.differ(start, begin) {
                found.push(Difference { node, layer, about: "before it".into(), file, here, help: None });
            } else if !continues(&file, &net, self.size(node))
                && let Some(Mismatch { file, net, .. }) = difference(&file, &net, self.size(node))
            {
                found.push(Difference { node, layer, about: about(), file, here: net, help: None });
            }
        }
    }

    /// The window of a convolution of the file; its size is that in the net, or else the weights would not fit.
    fn window_of_layer(&self, at: usize, own: Sliding) -> Option<Sliding> {
        let layer: &LayerConfig = &self.model.layers[at];
        matches!(layer.class.as_str(), "Conv2D" | "Convolution2D" | "DepthwiseConv2D").then_some(())?;
        // A separable convolution has the padding for both of its windows; the second is 1x1, which needs none.
        let padding = if own.size == [1, 1] { padding(layer).unwrap_or(Padding::Valid) } else { padding(layer)? };
        Some(Sliding { padding, ceil: false, ..own })
    }
}
