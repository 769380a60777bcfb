//! The thread that trains, as seen from the one that runs the loop over epochs.

use super::worker::{Event, Finished, Job};
use crate::arguments::SpecArgument;
use crate::errors::Located;
use netc::train::run::error::Interruption;
use netc::train::run::prepare::RunOptions;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a waiting call looks for signals.
const SIGNALS: Duration = Duration::from_millis(50);

/// The thread that trains.
pub struct Thread {
    /// Asks for the next epoch; none when the run is over.
    requests: Option<Sender<()>>,
    events: Receiver<Event>,
    handle: Option<JoinHandle<()>>,
    pub outcome: Outcome,
}

/// How a run has ended.
pub enum Outcome {
    NotYet,
    Finished(Box<Finished>),
    Interrupted(Interruption),
    Failed,
}

impl Thread {
    /// Starts it; it ends after the current batch when `interrupted` is set.
    pub fn start(
        spec: SpecArgument,
        settings: Vec<String>,
        options: RunOptions,
        interrupted: &Arc<AtomicBool>,
    ) -> PyResult<Self> {
        let (requests, wanted) = channel();
        let (sender, events) = channel();
        let job = Job { spec, settings, options, interrupted: Arc::clone(interrupted), wanted, events: sender };
        let handle = std::thread::Builder::new().name("train".into()).spawn(move || job.run())?;
        Ok(Thread { requests: Some(requests), events, handle: Some(handle), outcome: Outcome::NotYet })
    }

    /// Asks for the next epoch; false if the run is over.
    pub fn ask(&self) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(()).is_ok())
    }

    /// Waits for the next event, looking for signals; none if the thread has ended without one.
    ///
    /// # Errors
    /// The exception of a signal handler, after the run has been stopped.
    pub fn wait(&mut self, py: Python<'_>, interrupted: &AtomicBool) -> PyResult<Option<Event>> {
        loop {
            let events = &mut self.events;
            match py.detach(move || events.recv_timeout(SIGNALS)) {
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(signal) = py.check_signals() {
                        let Some(failure) = py.detach(|| self.stop(interrupted)) else { return Err(signal) };
                        let error = failure.into_error(py);
                        error.set_cause(py, Some(signal));
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Ends the run after the current batch, and waits until its checkpoint is written. Returns the error of a run that has
    /// failed instead.
    pub fn stop(&mut self, interrupted: &AtomicBool) -> Option<Located> {
        self.handle.as_ref()?;
        interrupted.store(true, Ordering::Relaxed);
        self.requests = None;
        let mut failure = None;
        for event in self.events.iter() {
            self.outcome = match event {
                Event::Interrupted(at) => Outcome::Interrupted(at),
                Event::Finished(finished) => Outcome::Finished(finished),
                Event::Failed(errors) => {
                    failure = Some(errors);
                    Outcome::Failed
                }
                Event::Prepared(..) | Event::Epoch(_) => continue,
            };
        }
        self.join();
        failure
    }

    /// Lets go of a thread that this process does not have.
    pub fn forget(&mut self) {
        std::mem::forget(self.handle.take());
    }

    /// Waits until the thread has ended.
    pub fn join(&mut self) {
        self.requests = None;
        if let Some(handle) = self.handle.take() {
            // A panic of the thread has been printed; its events have ended, which tells the caller.
            let _ = handle.join();
        }
    }
}
