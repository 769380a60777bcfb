//! Walks along the layers of a spec or of a file, from a layer to the preceding or next one with parameters.

use super::chain::Written;
use super::function::Function;

/// The layer at which a chain begins or ends, or why it cannot be followed further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End<T> {
    /// A layer with parameters.
    Layer(T),
    Merge(T),
    /// The input of the net, or its output if the chain is followed forward.
    Outside(T),
    /// An unknown layer.
    Unknown,
    /// Not stated in the file.
    Unstated,
}

/// The role of a layer in its chain.
pub(super) enum Link {
    Identity,
    Plain(Written),
    /// A layer with parameters, and its activation.
    Layer(Option<Function>),
    Merging,
    Input,
    Unknown,
}

/// The layers without parameters up to a layer, in execution order, and where the chain begins; the layer, or why there is none, is
/// `last`. `input` returns the input of a layer, or why there is none; `begins` returns the end for an input layer; `passes` says
/// whether to go on before an unknown layer.
pub(super) fn up_to<T: Copy>(
    last: Result<T, End<T>>,
    link: impl Fn(T) -> Link,
    mut input: impl FnMut(T) -> Result<T, End<T>>,
    begins: impl Fn(T) -> End<T>,
    mut passes: impl FnMut(T) -> bool,
) -> (Vec<Written>, End<T>) {
    let (mut chain, mut next) = (Vec::new(), last);
    let end = loop {
        let at = match next {
            Ok(at) => at,
            Err(end) => break end,
        };
        match link(at) {
            Link::Identity => {}
            Link::Plain(written) => chain.push(written),
            Link::Layer(function) => {
                chain.extend(function.map(Written::Function));
                break End::Layer(at);
            }
            Link::Merging => break End::Merge(at),
            Link::Input => break begins(at),
            Link::Unknown if passes(at) => {}
            Link::Unknown => break End::Unknown,
        }
        next = input(at);
    };
    chain.reverse();
    (chain, end)
}

/// The layers without parameters after `from`, starting with its own activation, and where the chain ends. `output` returns the
/// consumer of a layer, or why there is none.
pub(super) fn after<T: Copy>(
    from: T,
    link: impl Fn(T) -> Link,
    mut output: impl FnMut(T) -> Result<T, End<T>>,
) -> (Vec<Written>, End<T>) {
    let (mut chain, mut at) = (Vec::new(), from);
    match link(from) {
        Link::Layer(function) => chain.extend(function.map(Written::Function)),
        _ => return (chain, End::Unknown),
    }
    loop {
        at = match output(at) {
            Ok(output) => output,
            Err(end) => return (chain, end),
        };
        match link(at) {
            Link::Identity => {}
            Link::Plain(written) => chain.push(written),
            _ => return (chain, End::Unknown),
        }
    }
}

/// How a merge joins its inputs, by Keras' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MergeKind {
    Add,
    Subtract,
    Multiply,
    Average,
    Maximum,
    Minimum,
    Concatenate,
}

impl MergeKind {
    pub const ALL: [MergeKind; 7] = [
        MergeKind::Add,
        MergeKind::Subtract,
        MergeKind::Multiply,
        MergeKind::Average,
        MergeKind::Maximum,
        MergeKind::Minimum,
        MergeKind::Concatenate,
    ];

    pub fn name(self) -> &'static str {
        match self {
            MergeKind::Add => "Add",
            MergeKind::Subtract => "Subtract",
            MergeKind::Multiply => "Multiply",
            MergeKind::Average => "Average",
            MergeKind::Maximum => "Maximum",
            MergeKind::Minimum => "Minimum",
            MergeKind::Concatenate => "Concatenate",
        }
    }

    /// Whether the order of the inputs matters.
    pub fn is_ordered(self) -> bool {
        matches!(self, MergeKind::Subtract | MergeKind::Concatenate)
    }
}
