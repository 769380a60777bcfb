//! A model that is served.

use super::batching::{Batching, Queue};
use super::limits::{MAX_ANSWER_BYTES, MAX_QUEUE_BYTES};
use super::metrics::Metrics;
use super::net::{SessionNet, Threads};
use crate::artifact::{Artifact, Manifest};
use crate::compile;
use crate::data::Decoding;
use crate::elaborate::load_text;
use crate::runtime::RunError;
use crate::train::batches::net_inputs::NetInputs;
use crate::view;
use std::path::Path;
use std::sync::Arc;

/// The version of every model.
pub const VERSION: &str = "1";

/// A model: an artifact under a name, with its queue.
#[derive(Debug)]
pub struct Model {
    /// Its name in paths: see [`is_name`].
    pub name: String,
    pub artifact: Arc<Artifact>,
    /// How a photo becomes its input; else why it takes none.
    pub decoding: Result<Decoding, String>,
    /// The drawing of the net, if the spec in the artifact is complete.
    pub drawing: Option<String>,
    pub queue: Queue,
}

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("no thread for it: {0}")]
    Thread(std::io::Error),
}

/// Whether a name can stand in a path and in a metric's label.
pub fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= 200 && name.chars().all(is_plain) && name.chars().any(|c| c != '.')
}

impl Model {
    /// Starts the worker of a model.
    ///
    /// # Errors
    /// If there is not enough memory, or no thread.
    pub fn start(
        name: String,
        artifact: Artifact,
        threads: &Threads,
        batching: Batching,
        capacity: usize,
        metrics: &Metrics,
    ) -> Result<Self, ModelError> {
        let artifact = Arc::new(artifact);
        let net = SessionNet::new(Arc::clone(&artifact), threads.clone(), batching.batch)?;
        let (counted, label) = (metrics.clone(), name.clone());
        let observer = Box::new(move |report: &_| counted.batch(&label, report));
        let plan = &artifact.manifest.plan;
        let floats = plan.inputs.iter().chain(&plan.outputs).map(|port| port.len()).fold(0, usize::saturating_add);
        let fitting = MAX_QUEUE_BYTES / floats.saturating_mul(size_of::<f32>()).max(1);
        let capacity = capacity.min(fitting.max(batching.batch)).max(1);
        let queue = Queue::new(&name, Box::new(net), batching, capacity, observer).map_err(ModelError::Thread)?;
        let decoding = NetInputs::of_artifact(&artifact.manifest).photo_decoding().map_err(|errors| {
            let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
            messages.join("; ")
        });
        let drawing = drawing(&artifact.manifest);
        Ok(Model { name, artifact, decoding, drawing, queue })
    }

    /// The most images of a request, by a limit and by what the queue and an answer may hold.
    pub fn max_images(&self, limit: usize) -> usize {
        let outputs = self.manifest().plan.outputs.iter().map(|port| port.len()).fold(0, usize::saturating_add);
        let answered = MAX_ANSWER_BYTES / outputs.saturating_mul(size_of::<f32>()).max(1);
        limit.min(self.queue.capacity()).min(answered).max(1)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.artifact.manifest
    }
}

/// Draws the net from the spec in its artifact, which may use nets that ship with netc but no other files.
fn drawing(manifest: &Manifest) -> Option<String> {
    let refuse = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let spec = load_text(&Path::new(&manifest.net).with_extension("net"), &manifest.source, &refuse);
    let (graph, _) = compile::graph_or_fragment(&spec, Some(&manifest.net)).ok()?;
    Some(view::svg(&graph))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_plain() {
        assert!(["bird", "vgg16-2.1", "A_b"].iter().all(|name| is_name(name)));
        assert!(["", ".", "..", "a/b", "a b", "ü", "a\n", "a%2f"].iter().all(|name| !is_name(name)));
    }
}
