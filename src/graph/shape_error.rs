//! Why a layer cannot take its inputs.

use crate::diagnostics::Code;
use crate::tensor::{MAX_AXES, TensorType};

/// Why a layer cannot take its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeError {
    pub code: Code,
    /// One sentence about the layer.
    pub message: String,
    /// The expectation, for the label at the layer's span.
    pub expected: String,
    pub help: Option<String>,
    /// Layers each of which fixes the error if put before this one.
    pub before: &'static [&'static str],
    /// The index of the wrong input, if there are several.
    pub input: Option<usize>,
}

impl ShapeError {
    /// An error with a code.
    pub fn new(code: Code, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { code, message: message.into(), expected: expected.into(), help: None, before: &[], input: None }
    }

    /// With a fix.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// With layers each of which fixes it if put before this one.
    pub fn before(mut self, layers: &'static [&'static str]) -> Self {
        self.before = layers;
        self
    }

    /// Caused by this input of several.
    pub fn at_input(mut self, index: usize) -> Self {
        self.input = Some(index);
        self
    }

    pub(super) fn needs_input(layer: &str) -> Self {
        Self::new(Code::Fragment, format!("`{layer}` gets no input"), "expects an input")
            .help(format!("put `Input(…) >>` before it: `Input(224x224x3) >> {layer}`"))
    }

    pub(super) fn needs_merge(layer: &str, count: usize) -> Self {
        Self::new(
            Code::NeedsMerge,
            format!("`{layer}` takes one input, but {count} branches lead to it"),
            "expects one input",
        )
        .help(format!("join them first: `(… | …) >> Concatenate >> {layer}`, or `Add`"))
        .before(&["Concatenate", "Add"])
    }

    pub(super) fn too_large(output: &TensorType) -> Self {
        Self::new(Code::TooLarge, format!("the output {output} is too large"), "more than 2^33 values per image")
    }

    pub(super) fn too_many_axes(axes: usize) -> Self {
        Self::new(Code::TooLarge, format!("the output has {axes} sizes"), format!("a tensor has at most {MAX_AXES}"))
    }

    pub(super) fn parameter_too_large(role: &str, shape: &[usize]) -> Self {
        Self::new(Code::TooLarge, format!("the {role} {shape:?} is too large"), "more than 2^33 values")
    }
}
