//! The plan as text: what `netc build --emit plan` prints, and snapshots hold.

use super::{Operand, Plan, Source, Space};
use std::fmt;

/// Columns of names at most.
const WIDEST_NAME: usize = 64;

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.space {
            Space::Input(index) => write!(f, "in{index}")?,
            Space::Output(index) => write!(f, "out{index}")?,
            Space::MicroBatch => write!(f, "chunk@{}", self.offset)?,
            Space::Batch => write!(f, "batch@{}", self.offset)?,
            Space::Unbatched => write!(f, "whole@{}", self.offset)?,
            Space::State => write!(f, "state@{}", self.offset)?,
        }
        if self.channel_offset > 0 {
            write!(f, "+{}", self.channel_offset)?;
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}", self.name)?;
        for (index, port) in self.inputs.iter().enumerate() {
            writeln!(f, "  in{index} {} {:?}", port.name, port.sizes)?;
        }
        for (index, port) in self.outputs.iter().enumerate() {
            writeln!(f, "  out{index} {} {:?}", port.name, port.sizes)?;
        }
        // A single long name does not widen every line.
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0).min(WIDEST_NAME);
        let mut stages = self.stages().filter(|(steps, _)| !steps.is_empty()).peekable();
        for (index, step) in self.steps.iter().enumerate() {
            if let Some((_, stage)) = stages.next_if(|(steps, _)| steps.start == index) {
                match stage.micro_batch {
                    Some(1) => writeln!(f, "  -- one image at a time, {} floats", stage.floats)?,
                    Some(chunk) => writeln!(f, "  -- {chunk} images at a time, {} floats for each", stage.floats)?,
                    None => writeln!(f, "  -- once for the batch")?,
                }
            }
            let inputs: Vec<String> = step.inputs.iter().map(Operand::to_string).collect();
            let place = if step.in_place { "in place, ".to_string() } else { String::new() };
            let inputs = if inputs.is_empty() { String::new() } else { format!("{} ", inputs.join(" ")) };
            writeln!(
                f,
                "  {index:>3} {:width$}  {}  [{place}{inputs}-> {}]",
                step.name,
                step.kernel.describe(),
                step.output
            )?;
            for source in &step.constants {
                match source {
                    Source::Constant(index) => {
                        let constant = &self.constants[*index];
                        writeln!(f, "      {:width$}    {} at {}", "", constant.len, constant.offset)?;
                    }
                    Source::Memory(operand) => writeln!(f, "      {:width$}    {operand}", "")?,
                }
            }
            for operand in &step.state {
                writeln!(f, "      {:width$}    changes {operand}", "")?;
            }
        }
        writeln!(
            f,
            "  arena {} floats for one image, {} of them for each of a batch; at least {}",
            self.image_floats(),
            self.batch_floats,
            self.lower_bound
        )?;
        if !self.state.is_empty() {
            writeln!(f, "  {} floats whole, state {}", self.unbatched_floats, self.state_floats())?;
        }
        writeln!(
            f,
            "  constants {} floats, {} of {} multiply-adds per image",
            self.constant_floats(),
            self.executed_macs(),
            self.macs
        )
    }
}
