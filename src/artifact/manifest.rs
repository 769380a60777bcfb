//! The manifest: everything but the constants.

use super::error::{ArtifactError, damaged};
use crate::kernels::training::loss::Loss;
use crate::ops::input::preprocessing::Preprocessing;
use crate::ops::output_kind::OutputKind;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Everything but the constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the program that wrote it.
    pub netc: String,
    pub net: String,
    /// `(?, 224, 224, 3) -> [... 39 layers ...] -> (?, 10)`
    pub summary: String,
    pub plan: Plan,
    /// The preprocessing of each input.
    pub preprocessing: Vec<Option<Preprocessing>>,
    /// The kind of each output.
    pub endings: Vec<OutputKind>,
    /// The names of the first output's classes.
    pub labels: Option<Vec<String>>,
    /// The loss of each output, if the spec has a recipe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// The spec's text.
    pub source: String,
    /// Name and BLAKE3 digest of each file that the artifact was made from.
    pub inputs: Vec<(String, String)>,
    /// Layers with untrained parameters.
    pub untrained: Vec<String>,
    /// The machine that its algorithms were measured on; `None` if the cost model chose them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<String>,
    /// CRC-32 of each block of the constants.
    pub blocks: Vec<u32>,
}

impl Manifest {
    /// The manifest of a plan that is never written to a file.
    pub fn of_plan(net: &str, plan: Plan) -> Self {
        Manifest {
            netc: env!("CARGO_PKG_VERSION").to_string(),
            net: net.to_string(),
            summary: String::new(),
            preprocessing: vec![None; plan.inputs.len()],
            endings: vec![OutputKind::default(); plan.outputs.len()],
            plan,
            labels: None,
            losses: Vec::new(),
            source: String::new(),
            inputs: Vec::new(),
            untrained: Vec::new(),
            tuned: None,
            blocks: Vec::new(),
        }
    }

    /// Checks that it is consistent, and has nothing that only training plans have.
    pub(super) fn verify(&self) -> Result<(), ArtifactError> {
        let plan = &self.plan;
        let is_unbatched =
            plan.inputs.iter().chain(&plan.outputs).any(|port| port.unbatched) || plan.unbatched_floats > 0;
        if plan.steps.iter().any(|step| step.kernel.is_training_only()) || !plan.state.is_empty() || is_unbatched {
            return Err(damaged("it has a training step"));
        }
        plan.verify().map_err(|error| match error.exceeds_limit {
            true => ArtifactError::TooMuch(error.to_string()),
            false => damaged(&error.to_string()),
        })?;
        if self.preprocessing.len() != plan.inputs.len() {
            return Err(damaged("its preprocessing does not match its inputs"));
        }
        for (image, port) in self.preprocessing.iter().zip(&plan.inputs) {
            let Some(image) = image else { continue };
            image.check().map_err(|error| damaged(&error.to_string()))?;
            if port.sizes.len() != 3 {
                return Err(damaged("an input with preprocessing is not an image"));
            }
        }
        let names = plan.steps.iter().flat_map(|step| step.layers.iter().chain([&step.name]));
        let names = names.chain(plan.inputs.iter().chain(&plan.outputs).map(|port| &port.name));
        let names = names.chain(plan.constants.iter().map(|constant| &constant.name)).chain([&self.net, &plan.name]);
        let names = names.chain([&self.netc, &self.summary]).chain(&self.tuned).chain(&self.untrained);
        let names = names.chain(self.inputs.iter().flat_map(|(name, digest)| [name, digest]));
        // They could control a terminal, or forge a line of a report. Names in specs have none.
        if names.into_iter().any(|name| name.contains(char::is_control)) {
            return Err(damaged("one of its names contains a control character"));
        }
        // Files and answers of the server hold outputs by name.
        let outputs: BTreeSet<&str> = plan.outputs.iter().map(|port| port.name.as_str()).collect();
        if outputs.len() < plan.outputs.len() {
            return Err(damaged("two of its outputs have the same name"));
        }
        let classes = plan.outputs.first().and_then(|port| port.sizes.last()).copied().unwrap_or(1);
        match &self.labels {
            Some(labels) if !self.ending(0).takes_names(classes, labels.len()) => {
                Err(damaged("its labels do not match its output"))
            }
            _ => Ok(()),
        }
    }

    /// The kind of an output; numbers if the file has none.
    pub fn ending(&self, output: usize) -> OutputKind {
        self.endings.get(output).copied().unwrap_or_default()
    }

    /// The classes of a row of an output and their values, the most likely first. With two labels, a single number is taken as
    /// the value of two classes.
    pub fn ranked(&self, output: usize, row: &[f32]) -> Vec<(usize, f32)> {
        self.ending(output).ranked(row, output == 0 && self.labels.as_ref().is_some_and(|labels| labels.len() == 2))
    }
}
