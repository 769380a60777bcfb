//! A model's net as the worker of its queue runs it.

use super::batching::{Net, Values};
use crate::artifact::Artifact;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::runtime::{RunError, Session};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The threads of all models: their nets run one at a time, in the order in which they ask.
#[derive(Clone, Debug)]
pub struct Threads {
    pool: Arc<ThreadPool>,
    turn: Arc<Mutex<()>>,
}

impl Threads {
    pub fn new(count: usize) -> Self {
        Threads { pool: Arc::new(ThreadPool::new(count)), turn: Arc::default() }
    }

    pub fn count(&self) -> usize {
        self.pool.count()
    }
}

/// A session, and room for the inputs and outputs of its batches.
pub struct SessionNet {
    artifact: Arc<Artifact>,
    threads: Threads,
    session: Session,
    batch: usize,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
}

impl SessionNet {
    /// # Errors
    /// If there is not enough memory for batches of `batch` images.
    pub fn new(artifact: Arc<Artifact>, threads: Threads, batch: usize) -> Result<Self, RunError> {
        let plan = &artifact.manifest.plan;
        let room = |floats: usize| crate::runtime::zeros(floats).ok_or(RunError::Memory { batch, bytes: None });
        let inputs = plan.inputs.iter().map(|port| room(port.floats(batch))).collect::<Result<_, _>>()?;
        let outputs = plan.outputs.iter().map(|port| room(port.floats(batch))).collect::<Result<_, _>>()?;
        let mut session = Session::with_pool(Arc::clone(&artifact), Arc::clone(&threads.pool));
        session.reserve(batch)?;
        Ok(SessionNet { artifact, threads, session, batch, inputs, outputs })
    }
}

impl Net for SessionNet {
    fn run(&mut self, images: &[&Values]) -> Result<Vec<Values>, RunError> {
        let plan = &self.artifact.manifest.plan;
        let batch = images.len();
        if batch > self.batch {
            return Err(RunError::Length { what: "batch", index: 0, found: batch, wanted: self.batch, batch });
        }
        for (index, (room, port)) in self.inputs.iter_mut().zip(&plan.inputs).enumerate() {
            for (image, room) in images.iter().zip(room.chunks_exact_mut(port.len().max(1))) {
                let found = image.get(index).map_or(0, Vec::len);
                match image.get(index).filter(|values| values.len() == room.len()) {
                    Some(values) => room.copy_from_slice(values),
                    None => {
                        return Err(RunError::Length { what: "input", index, found, wanted: room.len(), batch: 1 });
                    }
                }
            }
        }
        let inputs: Vec<&[f32]> =
            self.inputs.iter().zip(&plan.inputs).map(|(room, port)| &room[..port.floats(batch)]).collect();
        let mut outputs: Vec<&mut [f32]> =
            self.outputs.iter_mut().zip(&plan.outputs).map(|(room, port)| &mut room[..port.floats(batch)]).collect();
        {
            let _turn = self.threads.turn.blocking_lock();
            self.session.run(batch, &inputs, &mut outputs)?;
        }
        let row = |image: usize| {
            let ports = outputs.iter().zip(&plan.outputs);
            ports.map(|(values, port)| values[image * port.len()..][..port.len()].to_vec()).collect()
        };
        Ok((0..batch).map(row).collect())
    }

    fn reset(&mut self) {
        self.session = Session::with_pool(Arc::clone(&self.artifact), Arc::clone(&self.threads.pool));
    }
}
