//! The inputs of a net. A graph tells them as an artifact does, so that data are checked before a net is compiled for them.

use crate::artifact::Manifest;
use crate::compile;
use crate::data::Decoding;
use crate::diagnostics::{Code, Diagnostic, Result};
use crate::graph::Graph;
use crate::ops::input::preprocessing::Preprocessing;
use crate::plan::Port;
use crate::size::sizes_text;

/// The inputs of a net.
#[derive(Clone, Debug)]
pub struct NetInputs {
    /// The name of the net.
    pub net: String,
    pub ports: Vec<Port>,
    /// How a photo becomes each of them.
    pub preprocessing: Vec<Option<Preprocessing>>,
}

impl NetInputs {
    /// Those of an artifact.
    pub fn of_artifact(manifest: &Manifest) -> Self {
        let Manifest { plan, preprocessing, .. } = manifest;
        NetInputs { net: plan.name.clone(), ports: plan.inputs.clone(), preprocessing: preprocessing.clone() }
    }

    /// Those of a net before it is compiled; `None` if it has an input with an open size.
    pub fn of_graph(graph: &Graph) -> Option<Self> {
        let port = |id| {
            let node = graph.node(id);
            Some(Port { name: node.name.clone(), sizes: node.output.known()?, unbatched: false })
        };
        let ports = graph.inputs().into_iter().map(port).collect::<Option<_>>()?;
        Some(NetInputs { net: graph.name.clone(), ports, preprocessing: compile::preprocessing(graph) })
    }

    /// How photos become the one input, without augmentation.
    ///
    /// # Errors
    /// A net with several inputs, or without preprocessing for an image.
    pub fn photo_decoding(&self) -> Result<Decoding> {
        let ([port], [preprocessing]) = (&self.ports[..], &self.preprocessing[..]) else {
            let message =
                format!("`{}` has {} inputs: give it arrays in an .npz by their names", self.net, self.ports.len());
            return Err(Diagnostic::new(Code::Inputs, message).into());
        };
        match (preprocessing, &port.sizes[..]) {
            (Some(preprocessing), &[height, width, channels]) => {
                let size = (height, width, channels);
                Ok(Decoding { preprocessing: preprocessing.clone(), size, augmentation: None })
            }
            (_, sizes) => {
                let sizes = sizes_text(sizes);
                let message =
                    format!("`{}` does not say how a photo becomes its input `{}` ({sizes})", self.net, port.name);
                let help = match port.sizes[..] {
                    [_, _, 1 | 3] => {
                        format!("write `Input({sizes}, image=Caffe)` in the spec; arrays (.npy) are taken as they are")
                    }
                    // Noise, or features.
                    _ => "a photo has a height, a width and 1 or 3 channels: give the net arrays (.npy)".to_string(),
                };
                Err(Diagnostic::new(Code::Preprocessing, message).help(help).into())
            }
        }
    }
}
