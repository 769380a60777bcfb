//! The web page and its drawings, and the metrics for monitoring.

use super::protocol::ModelPath;
use crate::serve::app::App;
use crate::serve::metrics::MEDIA_TYPE;
use crate::serve::model::Model;
use crate::serve::refusal::Refusal;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The policy of drawings: SVG has its styles within.
const DRAWING_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

pub async fn page(State(app): State<Arc<App>>) -> Response {
    if app.models.is_empty() {
        return Redirect::temporary("/edit").into_response();
    }
    let policy = (header::CONTENT_SECURITY_POLICY, app.page.policy.clone());
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), policy], app.page.html).into_response()
}

/// The models, for the page.
pub async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let describe = |model: &Model| {
        json!({
            "name": model.name,
            "net": model.manifest().net,
            "summary": model.manifest().summary,
            "takes_photos": model.decoding.is_ok(),
            "why_not": model.decoding.as_ref().err(),
            "has_drawing": model.drawing.is_some(),
            "max_photos": model.max_images(app.limits.images),
        })
    };
    Json(app.models.iter().map(describe).collect())
}

pub async fn drawing(State(app): State<Arc<App>>, path: ModelPath) -> Result<Response, Refusal> {
    let model = app.model(&path.model, None)?;
    let missing = || {
        let message = format!("`{}` cannot be drawn: its spec uses files that are not in the artifact", model.name);
        Refusal::new(StatusCode::NOT_FOUND, message)
    };
    let drawing = model.drawing.clone().ok_or_else(missing)?;
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CONTENT_SECURITY_POLICY, DRAWING_POLICY)];
    Ok((headers, drawing).into_response())
}

pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.models.iter().for_each(|model| app.metrics.queue(&model.name, model.queue.taken()));
    let text = app.metrics.text().map_err(|_| Refusal::internal())?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
