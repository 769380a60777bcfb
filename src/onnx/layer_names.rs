//! What the layers of a model are called: by their tensors (`layer1.0.conv1.weight`), or by their nodes where an exporter gave
//! the tensors numbers.

use super::model::Node;
use std::collections::HashMap;

/// The longest name that a layer takes over.
const MAX_NAME: usize = 200;
/// What separates the parts of a name.
const SEPARATORS: [char; 4] = ['.', '/', '_', '-'];
/// How the names of a layer's weights end, where a single one is known: PyTorch, Caffe 2, Keras and tf2onnx, PaddlePaddle.
const ENDINGS: [&str; 27] = [
    ".layer_scale",
    ".gamma",
    ".running_mean",
    "/moving_mean",
    "_mean_0",
    ".weight",
    "/weight",
    "_weight",
    ".weights",
    "/weights",
    "_weights",
    ".kernel",
    "/kernel",
    "_kernel",
    ".w_0",
    "_w_0",
    "_w",
    ".w",
    "_W",
    ".W",
    ".scale",
    "_scale",
    "_weights_fused_bn",
    "/Conv2D",
    "/MatMul",
    "/ReadVariableOp",
    "/BiasAdd",
];

/// Names layers, each once.
#[derive(Debug, Default)]
pub(super) struct LayerNames {
    taken: HashMap<String, usize>,
}

impl LayerNames {
    /// The name of a layer by its module, where the node tells it, else by its tensors, of which the weight is the first, else
    /// by its node.
    pub fn of(&mut self, node: &Node, tensors: &[&str]) -> String {
        let known: Vec<&str> = tensors.iter().copied().filter(|name| !is_numbered(name)).collect();
        // A bias of zeros may be that of another layer, which has the same values.
        let by_tensors = match known[..] {
            [] => None,
            [first, ..] => ended(first).or_else(|| common(&known)).or_else(|| without_ending(first)),
        };
        let name = module_of(node)
            .or(by_tensors)
            .or_else(|| Some(node.name.clone()).filter(|name| !name.is_empty() && !name.starts_with('/')))
            .unwrap_or_else(|| node.op.to_lowercase());
        // Where an exporter stored equal values once, the name is that of another layer.
        let name = match self.taken.contains_key(&name) {
            true => Some(&node.module)
                .filter(|module| !module.is_empty() && !self.taken.contains_key(*module))
                .cloned()
                .unwrap_or(name),
            false => name,
        };
        // Paths of PyTorch's nodes begin with a slash, names of layers do not.
        let name = Some(name.trim_start_matches('/')).filter(|name| !name.is_empty()).unwrap_or("layer");
        let name: String = name.chars().take(MAX_NAME).map(|c| if c.is_control() { '_' } else { c }).collect();
        let count = self.taken.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{count}") }
    }
}

/// Whether an exporter made up the name: `onnx::Conv_193`, `193`, `val_12`.
pub(super) fn is_numbered(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.starts_with("onnx::")
        || digits(name)
        || ["val_", "_val_", "const_", "Constant_"].iter().any(|start| name.strip_prefix(start).is_some_and(digits))
}

/// The name of a layer by that of its weight, where it ends as those of weights do.
fn ended(weight: &str) -> Option<String> {
    let whole = weight.strip_suffix(":0").unwrap_or(weight);
    let mut name = whole;
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)) {
        name = shorter;
    }
    (name.len() < whole.len() && !name.is_empty()).then(|| name.to_string())
}

fn without_ending(name: &str) -> Option<String> {
    let name = name.rsplit_once(['.', '/']).map_or(name, |(parent, _)| parent);
    (!name.is_empty() && !["weight", "kernel", "W", "w"].contains(&name)).then(|| name.to_string())
}

/// The common beginning of several names, up to a separator.
fn common(names: &[&str]) -> Option<String> {
    let first = names[0];
    let shared = names[1..].iter().fold(first.len(), |length, other| {
        first.bytes().zip(other.bytes()).take(length).take_while(|(a, b)| a == b).count()
    });
    let shared = first.get(..shared)?;
    let end = shared.rfind(SEPARATORS)?;
    let name = shared[..end].trim_end_matches(SEPARATORS);
    let name = ["/BiasAdd", "/Conv2D", "/MatMul"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    (!name.is_empty()).then(|| name.to_string())
}

/// The module that a node of PyTorch's exporter belongs to: `/layer1/layer1.0/conv1/Conv` is `layer1.0.conv1`.
pub(super) fn module_of(node: &Node) -> Option<String> {
    let path = node.name.strip_prefix('/')?;
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    let mut modules: Vec<&str> = Vec::new();
    for part in parts {
        let inside =
            modules.last().is_some_and(|last| part.strip_prefix(last).is_some_and(|rest| rest.starts_with('.')));
        if inside {
            modules.pop();
        }
        modules.push(part);
    }
    (!modules.is_empty()).then(|| modules.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_by_their_tensors_or_nodes() {
        let mut names = LayerNames::default();
        let mut name = |node: &str, tensors: &[&str]| {
            names.of(&Node { name: node.into(), op: "Conv".into(), ..Node::default() }, tensors)
        };
        assert_eq!(name("n", &["layer1.0.conv1.weight", "other.bias"]), "layer1.0.conv1");
        assert_eq!(name("n", &["bn1.running_mean", "bn1.running_var", "bn1.weight", "bn1.bias"]), "bn1");
        assert_eq!(name("/layer1/layer1.0/conv1/Conv", &["onnx::Conv_193", "onnx::Conv_194"]), "layer1.0.conv1-2");
        assert_eq!(name("/features/features.0/features.0.0/Conv", &["onnx::Conv_1"]), "features.0.0");
        assert_eq!(name("n0", &["gpu_0/conv1_w_0", "gpu_0/conv1_b_0"]), "gpu_0/conv1");
        assert_eq!(name("n0", &["conv1_w_0"]), "conv1");
        assert_eq!(name("", &["a/BiasAdd_weights_fused_bn", "a/BiasAdd_bias_fused_bn"]), "a");
        assert_eq!(name("node_Conv_293", &["val_1"]), "node_Conv_293");
        assert_eq!(name("/Conv", &["weight"]), "conv");
        let node = Node { name: "n".into(), op: "Conv".into(), module: "bn2".into(), ..Node::default() };
        let mut names = LayerNames::default();
        let tensors = ["bn1.running_mean", "bn1.weight"];
        assert_eq!([0; 3].map(|_| names.of(&node, &tensors)), ["bn1", "bn2", "bn1-2"]);
        let mut name = |node: &str, tensors: &[&str]| {
            names.of(&Node { name: node.into(), op: "Conv".into(), ..Node::default() }, tensors)
        };
        assert_eq!(name("node_mul", &["features.1.0.layer_scale"]), "features.1.0");
    }
}
