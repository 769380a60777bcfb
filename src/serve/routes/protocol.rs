//! The routes of the Open Inference Protocol that compute nothing.

use crate::serve::app::App;
use crate::serve::model::Model;
use crate::serve::protocol::metadata;
use crate::serve::refusal::Refusal;
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The model in a path, and its version if there is one.
#[derive(Debug, Deserialize)]
pub struct ModelPath {
    pub model: String,
    pub version: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for ModelPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<ModelPath>::from_request_parts(parts, state).await;
        path.map(|Path(path)| path).map_err(|error| Refusal::new(error.status(), error.body_text()))
    }
}

pub async fn server() -> Json<Value> {
    Json(metadata::server())
}

pub async fn live() -> StatusCode {
    StatusCode::OK
}

/// Models are loaded before the server accepts connections: it is ready while their threads work.
pub async fn ready(State(app): State<Arc<App>>) -> Result<StatusCode, Refusal> {
    app.models.iter().try_for_each(working)?;
    Ok(StatusCode::OK)
}

fn working(model: &Model) -> Result<(), Refusal> {
    let stopped = || Refusal::busy(format!("the thread of `{}` has stopped", model.name));
    model.queue.is_alive().then_some(()).ok_or_else(stopped)
}

pub async fn model(State(app): State<Arc<App>>, path: ModelPath) -> Result<Json<Value>, Refusal> {
    Ok(Json(metadata::model(app.model(&path.model, path.version.as_deref())?)))
}

pub async fn model_ready(State(app): State<Arc<App>>, path: ModelPath) -> Result<Json<Value>, Refusal> {
    let model = app.model(&path.model, path.version.as_deref())?;
    working(model)?;
    Ok(Json(json!({ "name": model.name, "ready": true })))
}
