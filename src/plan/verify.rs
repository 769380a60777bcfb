//! A plan is checked before it runs: every operand lies in its space, no step reads where it writes, constants are there.

use super::error::PlanError;
use super::kernel::Kernel;
use super::kernel_step::{CONSTANT_ALIGNMENT, Inputs};
use super::{Constant, LARGEST, MAX_WORK, Operand, Plan, Source, Space, Stage, Step};
use crate::size::{is_tensor, span, sum};

impl Plan {
    /// Checks everything that the runtime relies on.
    pub fn verify(&self) -> Result<(), PlanError> {
        let whole = |what: &str| PlanError::wrong(&self.name, what);
        let steps = self.stages.iter().try_fold(0usize, |sum, stage| sum.checked_add(stage.steps));
        let possible = |stage: &Stage| stage.micro_batch.is_none_or(|chunk| (1..=1 << 20).contains(&chunk));
        if steps != Some(self.steps.len()) || !self.stages.iter().all(possible) {
            return Err(whole("its stages make no sense"));
        }
        let ports = || self.inputs.iter().chain(&self.outputs);
        if ports().any(|port| port.len() > LARGEST) {
            return Err(whole("a size of an input or output is too large"));
        }
        let chunks = self.stages.iter().map(|stage| stage.floats);
        if chunks.chain([self.batch_floats, self.unbatched_floats]).any(|floats| floats > LARGEST) {
            return Err(whole("its memory is too large"));
        }
        if !follow_each_other(&self.constants) {
            return Err(whole("its constants overlap"));
        }
        if !follow_each_other(&self.state) {
            return Err(whole("its state overlaps"));
        }
        let mut work = 0;
        for (steps, stage) in self.stages() {
            for step in &self.steps[steps] {
                self.verify_step(step, stage).map_err(|what| PlanError::wrong(&step.name, what))?;
                let scratch = step.kernel.scratch_len(1, 1);
                if scratch > LARGEST {
                    let what = format!("it needs scratch of {scratch} floats, and the most is {LARGEST}");
                    return Err(PlanError::exceeds_limit(&step.name, what));
                }
                work = sum([work, step.work()]);
                if work > MAX_WORK {
                    let what = format!("up to it an image takes {work} multiply-adds, and the most is {MAX_WORK}");
                    return Err(PlanError::exceeds_limit(&step.name, what));
                }
            }
        }
        Ok(())
    }

    fn verify_step(&self, step: &Step, stage: &Stage) -> Result<(), String> {
        step.kernel.check().map_err(|what| format!("its {what}"))?;
        let sizes = step.kernel.sizes();
        let given = step.input_count();
        let mut wanted = match sizes.inputs {
            Inputs::Fixed(list) => list,
            Inputs::Variadic(size) => vec![size; given],
            Inputs::Gated(gate, size) if gate < given => {
                let mut list = vec![size; given];
                list[gate] = (1, given.saturating_sub(1));
                list
            }
            Inputs::Gated(..) => return Err("its gate is not there".into()),
        };
        let tensor = |&(pixels, channels): &(usize, usize)| is_tensor(&[pixels, channels]);
        let tensors = tensor(&sizes.output) && wanted.iter().all(tensor);
        if !(step.kernel.is_training_only() || tensors) {
            return Err("a tensor has no values or too many".into());
        }
        if wanted.len() != given || given == 0 && !matches!(step.kernel, Kernel::Repack(_)) {
            return Err(format!("it reads {given} tensors and needs {}", wanted.len()));
        }
        if step.in_place {
            if wanted[0] != sizes.output || !step.kernel.works_in_place() {
                return Err("it cannot work in place".into());
            }
            wanted.remove(0);
        }
        for (operand, size) in step.inputs.iter().zip(wanted) {
            self.verify_operand(operand, size, stage)?;
            let whole = matches!(operand.space, Space::Output(_));
            if operand.space == step.output.space && (whole || overlap(operand, &step.output)) {
                return Err("it reads where it writes".into());
            }
        }
        if matches!(step.output.space, Space::Input(_)) {
            return Err("it writes to an input".into());
        }
        self.verify_operand(&step.output, sizes.output, stage)?;
        let lengths = step.kernel.constants();
        if step.constants.len() != lengths.len() {
            return Err("its constants are other ones".into());
        }
        for (source, len) in step.constants.iter().zip(lengths) {
            match source {
                Source::Constant(index) if self.constants.get(*index).is_some_and(|constant| constant.len == len) => {}
                Source::Constant(_) => return Err("its constants have other sizes".into()),
                Source::Memory(operand) => {
                    self.verify_operand(operand, (1, len), stage)?;
                    let apart = operand.space != step.output.space || !overlap(operand, &step.output);
                    if !operand.space.is_unbatched() || !apart {
                        return Err("it writes over its constants".into());
                    }
                }
            }
        }
        let changed = step.kernel.state();
        if changed.len() != step.state.len() || step.state.iter().any(|operand| operand.space != Space::State) {
            return Err("it changes another state".into());
        }
        for (index, (operand, len)) in step.state.iter().zip(changed).enumerate() {
            self.verify_operand(operand, (1, len), stage)?;
            let read = step.constants.iter().filter_map(|source| match source {
                Source::Memory(operand) if operand.space == Space::State => Some(operand),
                _ => None,
            });
            let mut others = step.state[..index].iter().chain(read);
            if step.output.space == Space::State || others.any(|other| overlap(other, operand)) {
                return Err("it reads what it changes".into());
            }
        }
        Ok(())
    }

    fn verify_operand(&self, operand: &Operand, size: (usize, usize), stage: &Stage) -> Result<(), String> {
        let port = match operand.space {
            Space::Input(index) => self.inputs.get(index),
            Space::Output(index) => self.outputs.get(index),
            _ => None,
        };
        if port.is_some_and(|port| operand.batch_stride != port.len()) {
            return Err("an image of an input or output has another size".into());
        }
        let floats = match operand.space {
            Space::Input(_) | Space::Output(_) => port.map(super::Port::len),
            Space::MicroBatch => Some(stage.floats),
            Space::Batch => Some(self.batch_floats),
            Space::Unbatched => Some(self.unbatched_floats),
            Space::State => Some(self.state_floats()),
        };
        let floats = floats.ok_or("an input or output is not there")?;
        let (pixels, channels) = size;
        let Operand { offset, batch_stride, channel_offset, row_stride, .. } = *operand;
        let end = sum([channel_offset, span(pixels, row_stride, channels)]);
        let fits = floats <= LARGEST
            && (channels..=batch_stride).contains(&row_stride)
            && end <= batch_stride
            && sum([offset, batch_stride]) <= floats;
        if fits { Ok(()) } else { Err("an operand lies outside its space".into()) }
    }
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    a.offset < sum([b.offset, b.batch_stride]) && b.offset < sum([a.offset, a.batch_stride])
}

/// Whether each begins at a cache line behind the one before it.
fn follow_each_other(list: &[Constant]) -> bool {
    let mut end = 0;
    list.iter().all(|constant| {
        let aligned = constant.offset.is_multiple_of(CONSTANT_ALIGNMENT);
        let fits = aligned && constant.offset >= end && constant.offset <= LARGEST && constant.len <= LARGEST;
        end = sum([constant.offset, constant.len]);
        fits
    })
}
