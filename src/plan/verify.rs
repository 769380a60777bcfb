//! Verification of a plan before it runs: operands are in bounds, outputs do not alias inputs, constants exist.

use super::error::PlanError;
use super::kernel::Kernel;
use super::kernel_step::{CONSTANT_ALIGNMENT, Inputs};
use super::{Constant, Format, MAX_FLOATS, MAX_WORK, Operand, Plan, Source, Space, Stage, Step};
use crate::size::{is_tensor, span, sum};

impl Plan {
    /// Checks everything that the runtime relies on.
    ///
    /// # Errors
    /// The first step that is invalid or exceeds a limit, or the plan itself.
    pub fn verify(&self) -> Result<(), PlanError> {
        let invalid = |what: &str| PlanError::invalid(&self.name, what);
        let steps = self.stages.iter().try_fold(0usize, |sum, stage| sum.checked_add(stage.steps));
        let is_valid = |stage: &Stage| stage.micro_batch.is_none_or(|size| (1..=1 << 20).contains(&size));
        if steps != Some(self.steps.len()) || !self.stages.iter().all(is_valid) {
            return Err(invalid("the stages are invalid"));
        }
        let ports = || self.inputs.iter().chain(&self.outputs);
        if ports().any(|port| port.len() > MAX_FLOATS) {
            return Err(invalid("an input or output is too large"));
        }
        let micro_batches = self.stages.iter().map(|stage| stage.floats);
        if micro_batches.chain([self.batch_floats, self.unbatched_floats]).any(|floats| floats > MAX_FLOATS) {
            return Err(invalid("the arena is too large"));
        }
        if !are_consecutive(&self.constants) {
            return Err(invalid("constants overlap or are misaligned"));
        }
        if !are_consecutive(&self.state) {
            return Err(invalid("state tensors overlap or are misaligned"));
        }
        let mut work = 0;
        for (steps, stage) in self.stages() {
            for step in &self.steps[steps] {
                self.verify_step(step, stage).map_err(|what| PlanError::invalid(&step.name, what))?;
                let scratch = step.kernel.scratch_len(1, 1);
                if scratch > MAX_FLOATS {
                    let what = format!("it needs {scratch} floats of scratch, the limit is {MAX_FLOATS}");
                    return Err(PlanError::exceeds_limit(&step.name, what));
                }
                work = sum([work, step.work()]);
                if work > MAX_WORK {
                    let what = format!("up to here an image takes {work} multiply-adds, the limit is {MAX_WORK}");
                    return Err(PlanError::exceeds_limit(&step.name, what));
                }
            }
        }
        Ok(())
    }

    fn verify_step(&self, step: &Step, stage: &Stage) -> Result<(), String> {
        step.kernel.check()?;
        let sizes = step.kernel.sizes();
        let count = step.input_count();
        let mut expected = match sizes.inputs {
            Inputs::Fixed(list) => list,
            Inputs::Variadic(size) => vec![size; count],
            Inputs::Gated(gate, size) if gate < count => {
                let mut list = vec![size; count];
                list[gate] = (1, count.saturating_sub(1));
                list
            }
            Inputs::Gated(..) => return Err("the gate is missing".into()),
        };
        let is_valid = |&(pixels, channels): &(usize, usize)| is_tensor(&[pixels, channels]);
        let are_valid = is_valid(&sizes.output) && expected.iter().all(is_valid);
        if !(step.kernel.is_training_only() || are_valid) {
            return Err("a tensor is empty or too large".into());
        }
        if expected.len() != count || count == 0 && !matches!(step.kernel, Kernel::Repack(_)) {
            return Err(format!("found {count} inputs, expected {}", expected.len()));
        }
        if step.in_place {
            if expected[0] != sizes.output || !step.kernel.works_in_place() {
                return Err("it cannot run in place".into());
            }
            expected.remove(0);
            if step.kernel.input_quantization(0).is_some() || step.kernel.output_quantization().is_some() {
                return Err("bytes cannot be changed in place".into());
            }
        }
        let first = usize::from(step.in_place);
        for (index, (operand, size)) in step.inputs.iter().zip(expected).enumerate() {
            if operand.format != Format::of(step.kernel.input_quantization(sum([first, index]))) {
                return Err("an input has another number format than its kernel reads".into());
            }
            self.verify_operand(operand, size, stage)?;
            let is_output = matches!(operand.space, Space::Output(_));
            if operand.space == step.output.space && (is_output || overlap(operand, &step.output)) {
                return Err("an input overlaps the output".into());
            }
        }
        if matches!(step.output.space, Space::Input(_)) {
            return Err("it writes to an input of the plan".into());
        }
        if step.output.format != Format::of(step.kernel.output_quantization()) {
            return Err("the output has another number format than its kernel writes".into());
        }
        self.verify_operand(&step.output, sizes.output, stage)?;
        let lengths = step.kernel.constants();
        if step.constants.len() != lengths.len() {
            return Err(format!("found {} constants, expected {}", step.constants.len(), lengths.len()));
        }
        for (source, len) in step.constants.iter().zip(lengths) {
            match source {
                Source::Constant(index) if self.constants.get(*index).is_some_and(|constant| constant.len == len) => {}
                Source::Constant(_) => return Err(format!("a constant of {len} floats is missing")),
                Source::Memory(operand) => {
                    self.verify_operand(operand, (1, len), stage)?;
                    if !operand.space.is_unbatched() || operand.format != Format::F32 {
                        return Err("a parameter is in memory of the batch".into());
                    }
                    if operand.space == step.output.space && overlap(operand, &step.output) {
                        return Err("a parameter overlaps the output".into());
                    }
                }
            }
        }
        let lengths = step.kernel.state();
        if lengths.len() != step.state.len() || step.state.iter().any(|operand| operand.space != Space::State) {
            return Err("the state operands are invalid".into());
        }
        for (index, (operand, len)) in step.state.iter().zip(lengths).enumerate() {
            self.verify_operand(operand, (1, len), stage)?;
            let read = step.constants.iter().filter_map(|source| match source {
                Source::Memory(operand) if operand.space == Space::State => Some(operand),
                _ => None,
            });
            let mut others = step.state[..index].iter().chain(read);
            if step.output.space == Space::State || others.any(|other| overlap(other, operand)) {
                return Err("a state operand overlaps another operand".into());
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
            return Err("an operand does not have the size of the plan's input or output".into());
        }
        let floats = match operand.space {
            Space::Input(_) | Space::Output(_) => port.map(super::Port::len),
            Space::MicroBatch => Some(stage.floats),
            Space::Batch => Some(self.batch_floats),
            Space::Unbatched => Some(self.unbatched_floats),
            Space::State => Some(self.state_floats()),
        };
        let floats = floats.ok_or("an input or output of the plan is missing")?;
        let (pixels, channels) = size;
        let Operand { offset, batch_stride, channel_offset, row_stride, format, .. } = *operand;
        let is_whole = |values: usize| values.is_multiple_of(format.per_word());
        if port.is_some() && format != Format::F32 || !is_whole(batch_stride) || !is_whole(channel_offset) {
            return Err("bytes do not fill whole words".into());
        }
        let end = sum([channel_offset, span(pixels, row_stride, channels)]);
        let fits = floats <= MAX_FLOATS
            && (channels..=batch_stride).contains(&row_stride)
            && end <= batch_stride
            && sum([offset, operand.image_floats()]) <= floats;
        if fits { Ok(()) } else { Err("an operand is out of bounds".into()) }
    }
}

fn overlap(a: &Operand, b: &Operand) -> bool {
    a.offset < sum([b.offset, b.image_floats()]) && b.offset < sum([a.offset, a.image_floats()])
}

/// Whether the tensors are aligned to cache lines, in order and disjoint.
fn are_consecutive(list: &[Constant]) -> bool {
    let mut end = 0;
    list.iter().all(|constant| {
        let aligned = constant.offset.is_multiple_of(CONSTANT_ALIGNMENT);
        let fits = aligned && constant.offset >= end && constant.offset <= MAX_FLOATS && constant.len <= MAX_FLOATS;
        end = sum([constant.offset, constant.len]);
        fits
    })
}
