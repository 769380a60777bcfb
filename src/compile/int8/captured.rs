//! The outputs of a graph's nodes in the last run of a session, in f32 and without gaps, of one sample.

use crate::graph::{Graph, Lowered, NodeId};
use crate::lower;
use crate::plan::Kernel;
use crate::plan::Step;
use crate::runtime::Session;
use std::collections::HashMap;
use std::rc::Rc;

/// The outputs of nodes.
pub struct Observed<'a> {
    graph: &'a Graph,
    session: &'a Session,
    inputs: &'a [Vec<f32>],
    /// The last step of each name.
    steps: HashMap<&'a str, usize>,
    known: HashMap<NodeId, Option<Rc<Vec<f32>>>>,
}

impl<'a> Observed<'a> {
    /// Of a session that has captured a run on one sample, whose plan is that of the graph.
    pub fn new(graph: &'a Graph, session: &'a Session, inputs: &'a [Vec<f32>]) -> Self {
        let steps = &session.artifact().manifest.plan.steps;
        let is_node = |step: &&(usize, &Step)| !matches!(step.1.kernel, Kernel::Copy(_));
        let named = steps.iter().enumerate().collect::<Vec<_>>();
        let steps = named.iter().filter(is_node).map(|(index, step)| (step.name.as_str(), *index)).collect();
        Observed { graph, session, inputs, steps, known: HashMap::new() }
    }

    /// The output of a node; `None` if the plan does not keep it by itself.
    pub fn values(&mut self, id: NodeId) -> Option<Rc<Vec<f32>>> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        let values = self.compute(id);
        self.known.insert(id, values.clone());
        values
    }

    fn compute(&mut self, id: NodeId) -> Option<Rc<Vec<f32>>> {
        let node = self.graph.node(id);
        if node.inputs.is_empty() {
            let index = self.graph.inputs().iter().position(|&input| input == id)?;
            return Some(Rc::new(self.inputs.get(index)?.clone()));
        }
        match lower::lowered(self.graph, id)? {
            Lowered::View => self.values(node.inputs[0]),
            Lowered::Channels(_) => None,
            Lowered::Concatenate { rows } => {
                let parts: Vec<Rc<Vec<f32>>> =
                    node.inputs.iter().map(|&input| self.values(input)).collect::<Option<_>>()?;
                let row = |row: usize| parts.iter().flat_map(move |part| part.chunks(part.len() / rows).nth(row));
                Some(Rc::new((0..rows).flat_map(row).flatten().copied().collect()))
            }
            Lowered::Step(_) | Lowered::InPlace(_) => {
                let index = *self.steps.get(node.name.as_str())?;
                let step = &self.session.artifact().manifest.plan.steps[index];
                step_values(step, self.session.captured().get(index)?, 1).map(Rc::new)
            }
        }
    }
}

/// The output of a step for a batch, in f32, by the rows of its kernel, from what a session has captured.
pub fn step_values(step: &Step, captured: &[f32], batch: usize) -> Option<Vec<f32>> {
    let (rows, width) = step.kernel.sizes().output;
    let operand = &step.output;
    let starts =
        (0..batch).flat_map(|image| (0..rows).map(move |row| image * operand.batch_stride + row * operand.row_stride));
    let mut values = Vec::with_capacity(batch * rows * width);
    match step.kernel.output_quantization() {
        None => {
            for at in starts {
                values.extend_from_slice(captured.get(at..at + width)?);
            }
        }
        Some(bytes) => {
            let all: &[u8] = bytemuck::cast_slice(captured);
            for at in starts {
                values.extend(all.get(at..at + width)?.iter().map(|&byte| bytes.number(byte)));
            }
        }
    }
    Some(values)
}
