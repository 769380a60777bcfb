//! The layers of a spec as a graph, while a model is being converted.

use super::tree::Call;

/// A layer and those that feed it, by their places.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub call: Call,
    pub inputs: Vec<usize>,
}

/// Layers in topological order.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub items: Vec<Item>,
    pub outputs: Vec<usize>,
    /// Layers and nets with one set of parameters that are mentioned several times, by the word for them.
    pub shares: Vec<(String, Call)>,
}

impl Layers {
    pub fn add(&mut self, call: Call, inputs: &[usize]) -> usize {
        self.items.push(Item { call, inputs: inputs.to_vec() });
        self.items.len() - 1
    }

    /// The layers that read each layer; an output has a reader more.
    pub fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.items.len()];
        for (at, item) in self.items.iter().enumerate() {
            item.inputs.iter().for_each(|&input| readers[input].push(at));
        }
        self.outputs.iter().for_each(|&output| readers[output].push(self.items.len()));
        readers
    }

    /// Takes out layers whose place another has taken: `taken[i]` gives what stands for layer i now.
    pub fn replace(&mut self, taken: &[Option<usize>]) {
        let resolve = |mut at: usize| {
            while let Some(other) = taken[at] {
                at = other;
            }
            at
        };
        let mut places = vec![0; self.items.len()];
        let mut kept = Vec::with_capacity(self.items.len());
        for (at, item) in self.items.iter().enumerate() {
            if taken[at].is_none() {
                places[at] = kept.len();
                let inputs = item.inputs.iter().map(|&input| places[resolve(input)]).collect();
                kept.push(Item { call: item.call.clone(), inputs });
            }
        }
        self.outputs.iter_mut().for_each(|output| *output = places[resolve(*output)]);
        self.items = kept;
    }

    /// Without layers that lead to no output.
    pub fn pruned(&mut self) {
        let mut needed = vec![false; self.items.len()];
        self.outputs.iter().for_each(|&output| needed[output] = true);
        for at in (0..self.items.len()).rev() {
            if needed[at] {
                self.items[at].inputs.clone().into_iter().for_each(|input| needed[input] = true);
            }
        }
        let mut places = vec![0; self.items.len()];
        let mut kept = Vec::new();
        for (at, item) in self.items.drain(..).enumerate() {
            if needed[at] {
                places[at] = kept.len();
                let inputs = item.inputs.iter().map(|&input| places[input]).collect();
                kept.push(Item { call: item.call, inputs });
            }
        }
        self.outputs.iter_mut().for_each(|output| *output = places[*output]);
        self.items = kept;
    }
}
