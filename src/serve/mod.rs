//! `netc serve`: predictions over HTTP.
//!
//! ```text
//! connection ──▶ routes ──▶ body ──▶ protocol, photos ──▶ queue ──▶ worker: batches ──▶ Session
//!  (accept,      (axum)     (limits)   (decode threads)   (slots)    (one per model)
//!   time-outs)
//! ```
//!
//! Whatever a client can make large or slow has a limit ([`Limits`]): heads and bodies, their time, images of a request, images
//! that wait, connections. Everything that waits is async; decoding and the nets run on threads of their own.

mod app;
mod batching;
mod body;
mod connection;
mod edit;
pub mod limits;
mod metrics;
mod model;
mod net;
mod page;
mod protocol;
mod refusal;
mod routes;

pub use batching::Batching;
pub use edit::EditedSpec;
pub use limits::Limits;
pub use model::{ModelError, is_name};

use crate::artifact::Artifact;
use app::App;
use metrics::Metrics;
use model::Model;
use net::Threads;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::select;
use tokio::time::timeout;

/// Threads that wait for the network; they compute nothing.
const NETWORK_THREADS: usize = 2;

/// How a server runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub limits: Limits,
    pub batching: Batching,
    /// Threads of the nets, and of decoding.
    pub threads: usize,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("`{0}`: {1}")]
    Model(String, ModelError),
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error("the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All requests were answered.
    Finished,
    /// Requests were cut off: their time was up, or a second signal came.
    Cut,
}

/// Serves the models, by unique names, and the editor of a spec on a socket until the process gets SIGINT or SIGTERM. `ready` is called when it accepts.
///
/// # Errors
/// If it cannot start.
pub fn serve(
    models: Vec<(String, Artifact)>,
    edited: Option<EditedSpec>,
    listener: TcpListener,
    options: &Options,
    ready: impl FnOnce(),
) -> Result<Stopped, ServeError> {
    let metrics = Metrics::new()?;
    let threads = Threads::new(options.threads);
    let start = |(name, artifact): (String, Artifact)| {
        Model::start(name.clone(), artifact, &threads, options.batching, options.limits.queue, &metrics)
            .map_err(|error| ServeError::Model(name, error))
    };
    let models = models.into_iter().map(start).collect::<Result<_, _>>()?;
    let app = Arc::new(App::new(models, options.limits, metrics, threads.count()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .thread_name("network")
        .enable_io()
        .enable_time()
        .build()?;
    listener.set_nonblocking(true)?;
    let stopped = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut signals = Signals::new()?;
        ready();
        let router = routes::router(&app, edited);
        let open = connection::accept(listener, router, Arc::clone(&app), signals.next()).await;
        let finished = select! {
            finished = timeout(options.limits.stop_time, open.closed()) => finished.is_ok(),
            () = signals.next() => false,
        };
        Ok::<_, ServeError>(if finished { Stopped::Finished } else { Stopped::Cut })
    })?;
    // Threads that still decode end with the process.
    runtime.shutdown_background();
    Ok(stopped)
}

/// The signals that stop the server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Signals {})
    }

    /// Waits for one.
    #[cfg(unix)]
    async fn next(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Without signals, the server runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
