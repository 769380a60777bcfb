//! What all requests share: the models, the limits, and the work that is not waiting.

use super::body::{self, BodyBudget, ReadBody};
use super::limits::Limits;
use super::metrics::Metrics;
use super::model::Model;
use super::page::Page;
use super::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The state of the server.
#[derive(Debug)]
pub struct App {
    pub models: Vec<Model>,
    pub limits: Limits,
    pub metrics: Metrics,
    bodies: BodyBudget,
    pub page: Page,
    /// Permits to decode photos and JSON, as many as threads.
    decoders: Arc<Semaphore>,
}

impl App {
    pub fn new(models: Vec<Model>, limits: Limits, metrics: Metrics, decoders: usize) -> Self {
        let bodies = BodyBudget::new(limits.all_bodies(), metrics.body_bytes.clone());
        let decoders = Arc::new(Semaphore::new(decoders));
        App { models, limits, metrics, bodies, page: Page::new(), decoders }
    }

    /// The model of a name and, if one is asked for, a version.
    ///
    /// # Errors
    /// 404.
    pub fn model(&self, name: &str, version: Option<&str>) -> Result<&Model, Refusal> {
        let missing = |what: String| Refusal::new(StatusCode::NOT_FOUND, what);
        let named = self.models.iter().find(|model| model.name == name);
        let model = named.ok_or_else(|| missing(format!("there is no model `{name}`; {}", self.listed())))?;
        match version {
            Some(version) if version != super::model::VERSION => {
                Err(missing(format!("`{name}` has no version {version}, only {}", super::model::VERSION)))
            }
            _ => Ok(model),
        }
    }

    /// Reads the body of a request: see [`body::read`].
    ///
    /// # Errors
    /// As [`body::read`].
    pub async fn body(&self, headers: &HeaderMap, body: Body) -> Result<ReadBody, Refusal> {
        body::read(&self.bodies, &self.limits, headers, body).await
    }

    /// The names of the models, for messages.
    pub fn listed(&self) -> String {
        let names: Vec<String> = self.models.iter().map(|model| format!("`{}`", model.name)).collect();
        format!("the models are {}", names.join(", "))
    }

    /// Computes something on a thread of its own, when one of as many as there are threads is free.
    ///
    /// # Errors
    /// 500 if it panics.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| Refusal::internal())?;
        let done = spawn_blocking(move || {
            // Also if the request is dropped before it is done.
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| Refusal::internal())
    }
}
