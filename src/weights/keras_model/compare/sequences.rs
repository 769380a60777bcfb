//! Compares the arguments of layers of sequences: embeddings, recurrent layers, attention.

use super::bound::Bound;
use super::function::Function;
use super::of_net::merge_of_node;
use crate::graph::NodeId;
use crate::kernels::elementwise::activation::Activation;
use crate::ops::attention::Attention;
use crate::ops::sequence::embedding::Embedding;
use crate::ops::sequence::recurrent::Recurrent;
use serde_json::Value;

/// Takes a difference: about what, in the file, here, help.
pub(super) type AddDifference<'p> = dyn FnMut(&str, String, String, Option<String>) + 'p;

impl Bound<'_> {
    pub(super) fn of_sequence(&self, id: NodeId, at: usize, add: &mut AddDifference<'_>) {
        let (operation, layer) = (self.graph.node(id).operation.as_any(), &self.model.layers[at]);
        if operation.is::<Embedding>() && layer.get(&["mask_zero"]) == Some(&Value::Bool(true)) {
            add("index 0", "masked: recurrent layers skip it".into(), "an ordinary row".into(), None);
        }
        if let Some(attention) = operation.downcast_ref::<Attention>() {
            if let Some(file) =
                layer.get(&["num_heads"]).and_then(Value::as_u64).filter(|&n| n != attention.heads as u64)
            {
                add("heads", file.to_string(), attention.heads.to_string(), None);
            }
            // An argument of the call, which older files do not have.
            let file = layer.get(&["use_causal_mask"]).and_then(Value::as_bool).unwrap_or(false);
            if layer.class == "MultiHeadAttention" && file != attention.causal {
                let help = format!("`causal={file}`");
                add("causal", file.to_string(), attention.causal.to_string(), Some(help));
            }
        }
        if let Some(recurrent) = operation.downcast_ref::<Recurrent>() {
            self.recurrent(recurrent, id, at, add);
        }
    }

    fn recurrent(&self, recurrent: &Recurrent, id: NodeId, at: usize, add: &mut AddDifference<'_>) {
        let layer = &self.model.layers[at];
        for (keys, about, here) in [
            (&["activation"][..], "activation", Activation::Tanh),
            (&["recurrent_activation", "inner_activation"][..], "activation of the gates", Activation::Sigmoid),
        ] {
            let file = layer.get(keys).and_then(|value| Function::of_keras(value, self.model));
            let here = Function::of_net(here);
            if let Some(file) = file.filter(|file| *file != here) {
                add(about, file.to_string(), here.to_string(), None);
            }
        }
        for (key, about, here) in [
            ("return_sequences", "outputs of all steps", !recurrent.only_final),
            ("go_backwards", "reversed in time", recurrent.backwards),
        ] {
            if let Some(file) = layer.config.get(key).and_then(Value::as_bool).filter(|file| *file != here) {
                add(about, file.to_string(), here.to_string(), None);
            }
        }
        let joined = || self.graph.ids().find(|&merge| self.graph.node(merge).inputs.contains(&id));
        if let Some(outer) = layer.name.strip_suffix("/forward")
            && let Some(outer) = self.model.find(outer).map(|outer| &self.model.layers[outer])
            && outer.class == "Bidirectional"
            && let Some(here) = joined().and_then(|merge| merge_of_node(self.graph, merge))
            && let Some(file) = outer.get(&["merge_mode"]).and_then(Value::as_str)
        {
            let word = match file {
                "concat" => "Concatenate",
                "sum" => "Add",
                "mul" => "Multiply",
                "ave" => "Average",
                _ => return,
            };
            if word != here.name() {
                add("both directions", format!("`{file}`, {word}"), here.name().into(), None);
            }
        }
    }
}
