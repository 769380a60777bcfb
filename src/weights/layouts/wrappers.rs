//! What wraps a model in PyTorch, and puts its own name before those of all tensors.

use super::tensor_source::Tensor;

/// A wrapper and the prefix of its names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrapper {
    prefix: &'static str,
    by: &'static str,
}

pub(super) const DATA_PARALLEL: Wrapper = Wrapper { prefix: "module.", by: "DataParallel" };
pub(super) const COMPILED: Wrapper = Wrapper { prefix: "_orig_mod.", by: "torch.compile" };
pub(super) const LIGHTNING: Wrapper = Wrapper { prefix: "model.", by: "Lightning" };

/// Takes the prefixes of wrappers off the names, one inside another too; returns a remark that says so. Counters, which have no axes,
/// may be the wrapper's own.
pub(super) fn unwrap(tensors: &mut [Tensor], wrappers: &[Wrapper]) -> Option<String> {
    let mut remarks: Vec<String> = Vec::new();
    let has = |tensors: &[Tensor], prefix: &str| {
        let mut parameters = tensors.iter().filter(|tensor| !tensor.shape.is_empty()).peekable();
        parameters.peek().is_some() && parameters.all(|tensor| tensor.name.starts_with(prefix))
    };
    while let Some(Wrapper { prefix, by }) = wrappers.iter().find(|wrapper| has(tensors, wrapper.prefix)) {
        for tensor in tensors.iter_mut() {
            if let Some(name) = tensor.name.strip_prefix(prefix) {
                tensor.name = name.to_string();
            }
        }
        remarks.push(format!("names without `{prefix}`, which {by} put before each"));
    }
    (!remarks.is_empty()).then(|| remarks.join("; "))
}
