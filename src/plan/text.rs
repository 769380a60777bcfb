//! The text form of a plan, for `netc build --emit plan` and snapshots.

use super::{Format, Operand, Plan, Source, Space};
use std::fmt;

/// Max width of the column of names.
const MAX_NAME_WIDTH: usize = 64;

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.space {
            Space::Input(index) => write!(f, "in{index}")?,
            Space::Output(index) => write!(f, "out{index}")?,
            Space::MicroBatch => write!(f, "chunk@{}", self.offset)?,
            Space::Batch => write!(f, "batch@{}", self.offset)?,
            Space::Unbatched => write!(f, "unbatched@{}", self.offset)?,
            Space::State => write!(f, "state@{}", self.offset)?,
        }
        if self.channel_offset > 0 {
            write!(f, "+{}", self.channel_offset)?;
        }
        if self.format == Format::U8 {
            write!(f, ":u8")?;
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
        // A single long name must not widen every line.
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0).min(MAX_NAME_WIDTH);
        let mut stages = self.stages().filter(|(steps, _)| !steps.is_empty()).peekable();
        for (index, step) in self.steps.iter().enumerate() {
            if let Some((_, stage)) = stages.next_if(|(steps, _)| steps.start == index) {
                match stage.micro_batch {
                    Some(1) => writeln!(f, "  -- one image at a time, {} floats", stage.floats)?,
                    Some(size) => writeln!(f, "  -- {size} images at a time, {} floats for each", stage.floats)?,
                    None => writeln!(f, "  -- once for the batch")?,
                }
            }
            let inputs: Vec<String> = step.inputs.iter().map(Operand::to_string).collect();
            let in_place = if step.in_place { "in place, " } else { "" };
            let inputs = if inputs.is_empty() { String::new() } else { format!("{} ", inputs.join(" ")) };
            writeln!(
                f,
                "  {index:>3} {:width$}  {}  [{in_place}{inputs}-> {}]",
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
            writeln!(f, "  unbatched {} floats, state {}", self.unbatched_floats, self.state_floats())?;
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
