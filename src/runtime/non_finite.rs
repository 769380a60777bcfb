//! Search for the origin of infinite values and NaN in a prediction.

use super::{RunError, Session};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::Format;
use std::fmt;

/// The tensor with the first infinite value or NaN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The input of this name.
    Input(String),
    /// The output of this layer.
    Layer(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Input(name) => write!(f, "its input `{name}` has infinite values or NaN"),
            Origin::Layer(name) => {
                write!(f, "the first layer whose output has infinite values or NaN is `{name}`")
            }
        }
    }
}

/// The error of an output that is not finite, for a photo or a row.
pub fn non_finite(input: &str, origin: Option<&Origin>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NoNumber, format!("{input}: the net's output is not a finite number"));
    origin.into_iter().fold(diagnostic, |diagnostic, origin| diagnostic.note(origin.to_string()))
}

/// The index of the first image, of `each` values, that has a NaN.
pub fn first_nan(values: &[f32], each: usize) -> Option<usize> {
    values.iter().position(|value| value.is_nan()).map(|index| index / each.max(1))
}

impl Session {
    /// Runs one image of a batch again and looks for the first infinite value or NaN.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn origin(&mut self, inputs: &[&[f32]], batch: usize, image: usize) -> Result<Option<Origin>, RunError> {
        self.origin_with(inputs, batch, image, &mut [])
    }

    /// [`Session::origin`] of a plan whose parameters are in `state`.
    ///
    /// # Errors
    /// As [`Session::run_with`].
    pub fn origin_with(
        &mut self,
        inputs: &[&[f32]],
        batch: usize,
        image: usize,
        state: &mut [f32],
    ) -> Result<Option<Origin>, RunError> {
        let artifact = self.artifact.clone();
        let plan = &artifact.manifest.plan;
        let of = |values: &&[f32]| {
            let each = values.len() / batch.max(1);
            values[image * each..][..each].to_vec()
        };
        let one: Vec<Vec<f32>> = inputs.iter().map(of).collect();
        let is_non_finite = |values: &[f32]| values.iter().any(|value| !value.is_finite());
        if let Some((port, _)) = plan.inputs.iter().zip(&one).find(|(_, values)| is_non_finite(values)) {
            return Ok(Some(Origin::Input(port.name.clone())));
        }
        let captured = self.captured.replace(vec![Vec::new(); plan.steps.len()]);
        let given: Vec<&[f32]> = one.iter().map(Vec::as_slice).collect();
        let mut results: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.floats(1)]).collect();
        let mut results: Vec<&mut [f32]> = results.iter_mut().map(Vec::as_mut_slice).collect();
        let ran = self.run_with(1, &given, &mut results, state);
        let outputs = std::mem::replace(&mut self.captured, captured).unwrap_or_default();
        ran?;
        // Bytes are always finite.
        let mut floats = plan.steps.iter().zip(&outputs).filter(|(step, _)| step.output.format == Format::F32);
        let first = floats.find(|(step, values)| {
            let (pixels, channels) = step.kernel.sizes().output;
            let row = |pixel: usize| values.get(pixel * step.output.row_stride..).and_then(|row| row.get(..channels));
            (0..pixels).filter_map(row).any(is_non_finite)
        });
        Ok(first.map(|(step, _)| Origin::Layer(step.name.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{BuildOptions, build};
    use crate::elaborate::load;
    use crate::elaborate::project::source_files::from_disk;
    use std::sync::Arc;

    #[test]
    fn the_first_layer_first_nans_is_found() {
        let net = "Input(2) as x >> Dense(2) as a >> Tanh >> (Dense(3) as b | Dense(3) as c) >> Concatenate >> Softmax as end";
        let spec = load(net, &from_disk).expect("a spec");
        let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
        let artifact = build(&spec, &options).expect("a build").0.in_memory().expect("weights");
        let mut session = Session::new(Arc::new(artifact), 1);
        assert_eq!(session.origin(&[&[1.0, 2.0]], 1, 0).expect("a run"), None);
        let of_input = session.origin(&[&[1.0, 2.0, 3.0, f32::NAN]], 2, 1).expect("a run");
        assert_eq!(of_input, Some(Origin::Input("x".into())));
        let large = session.origin(&[&[f32::MAX, f32::MAX]], 1, 0).expect("a run");
        assert!(large.is_none_or(|origin| origin == Origin::Layer("a".into())));
        assert_eq!(first_nan(&[1.0, f32::INFINITY, 0.0, f32::NAN], 2), Some(1));
    }
}
