//! The end of the backward pass: gradients are accumulated, and parameters updated.

use super::settings::Settings;
use super::trainer::{AVERAGE, OPTIMIZER, Trainer};
use crate::graph::scope::is_in;
use crate::graph::training::unbatched;
use crate::graph::{Initializer, Lowered, NodeId, Parameter, ParameterId};
use crate::plan::Kernel;
use crate::plan::steps::training::update::{AccumulateStep, UpdateStep};

impl Trainer<'_> {
    /// Adds a tensor of the optimizer that belongs to a parameter.
    fn add_slot(&mut self, id: ParameterId, role: &'static str, start: f32) -> ParameterId {
        let parameter = self.graph.parameters[id.0].clone();
        self.graph.parameters.push(Parameter {
            layer: format!("{OPTIMIZER}/{}", parameter.path()),
            role,
            initializer: Initializer::Constant(f64::from(start)),
            trainable: false,
            ..parameter
        });
        ParameterId(self.graph.parameters.len() - 1)
    }

    /// The sum of a parameter's gradient over several batches, if they are accumulated.
    pub(super) fn accumulate(&mut self, id: ParameterId, gradient: NodeId) -> NodeId {
        let Some(accumulation) = self.accumulation else { return gradient };
        let sum = self.add_slot(id, "gradient", 0.0);
        let step = AccumulateStep { len: self.graph.parameters[id.0].len() };
        let (output, step) = (self.graph.node(gradient).output.clone(), Lowered::Step(Kernel::Accumulate(step)));
        let name = format!("accumulate {}", self.graph.parameters[id.0].path());
        self.graph.push_lowered(&name, output, step, &[gradient], &[sum, accumulation], 1)
    }

    /// The factor of a parameter's learning rate: that of its layer, else of the innermost scope.
    fn rate_of(&self, parameter: &Parameter) -> f32 {
        let holds = |name: &&(String, f32)| is_in(&parameter.layer, &name.0);
        let rates = self.settings.rates.iter().filter(holds);
        rates.max_by_key(|(name, _)| name.len()).map_or(1.0, |(_, rate)| *rate)
    }

    /// Adds the optimizer's update of a parameter, from its gradient (and the global norm).
    pub(super) fn update(&mut self, id: ParameterId, gradients: &[NodeId]) {
        const SLOTS: [&str; 3] = ["slot1", "slot2", "slot3"];
        let parameter = self.graph.parameters[id.0].clone();
        let mut parameters = vec![id];
        for (slot, name) in SLOTS.iter().take(self.settings.rule.slots()).enumerate() {
            parameters.push(self.add_slot(id, name, self.settings.rule.slot_start(slot)));
        }
        if self.settings.average.is_some() {
            parameters.push(self.add_slot(id, AVERAGE, 0.0));
        }
        let changed = parameters.len();
        parameters.extend([self.rate, self.update]);
        parameters.extend(self.accumulation);
        let penalty = self.settings.penalty.as_ref();
        let penalty = penalty.filter(|(_, excluded)| !excluded.iter().any(|role| role == parameter.role));
        let penalty = penalty.map(|(penalty, _)| *penalty);
        let Settings { rule, clip, norm, average, accumulated, .. } = *self.settings;
        let rate = self.rate_of(&parameter);
        let path = parameter.path();
        let begun = self.settings.begun.iter().find(|(known, _)| *known == path).map_or(0, |(_, begun)| *begun);
        let len = parameter.len();
        let step = UpdateStep { len, rule, penalty, clip, norm, rate, accumulated, average, begun };
        let name = format!("update {}", parameter.path());
        let step = Lowered::Step(Kernel::Update(step));
        let node = self.graph.push_lowered(&name, unbatched(&[1]), step, gradients, &parameters, changed);
        if penalty.is_some() {
            self.penalties.push(node);
        }
    }

    /// Adds the sum of the parameters' penalties, if there are any.
    pub(super) fn sum_penalties(&mut self) -> Option<NodeId> {
        let penalties = std::mem::take(&mut self.penalties);
        (!penalties.is_empty()).then(|| self.sum(penalties))
    }
}
