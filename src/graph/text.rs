//! The text form of a graph: `netc build --emit graph` and `fused`, and snapshots.

use super::{Graph, NodeId, Precision};
use std::fmt::{self, Write};

impl Graph {
    /// A node with its settings, inputs and type on one line.
    fn line(&self, id: NodeId) -> String {
        let node = self.node(id);
        let mut line = format!("{} = {}", node.name, node.operation.definition().name);
        let settings: Vec<String> =
            node.operation.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !settings.is_empty() {
            let _ = write!(line, "({})", settings.join(", "));
        }
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| self.node(input).name.as_str()).collect();
        if !inputs.is_empty() {
            let _ = write!(line, " of {}", inputs.join(", "));
        }
        line.push_str(&node.epilogue.describe());
        let _ = write!(line, " : {}", node.output);
        if let Precision::Int8 { output } = node.precision {
            let _ = match output {
                Some(bytes) => write!(line, " in {bytes}"),
                None => write!(line, " from bytes"),
            };
        }
        if node.frozen {
            line.push_str(" frozen");
        }
        line
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "net {} : {}", self.name, self.summary())?;
        for id in self.layers() {
            writeln!(f, "  {}", self.line(id))?;
            let node = self.node(id);
            for &parameter in &node.parameters {
                let parameter = &self.parameters[parameter.0];
                let shape: Vec<String> = parameter.shape.iter().map(usize::to_string).collect();
                let origin = match parameter.derived {
                    Some(_) => "folded".to_string(),
                    None => parameter.initializer.to_string(),
                };
                let shared = if parameter.layer == node.name { String::new() } else { format!("{}/", parameter.layer) };
                let kept = match parameter.trainable {
                    true => "",
                    false if parameter.is_fixed() => ", fixed",
                    false => ", gathered",
                };
                writeln!(f, "    {shared}{} ({}) {origin}{kept}", parameter.role, shape.join(", "))?;
            }
            if !node.fused_layers.is_empty() {
                writeln!(f, "    with {}", node.fused_layers.join(", "))?;
            }
        }
        writeln!(f, "  gives {}", self.output_names().join(", "))
    }
}
