//! The routes of the editor. They answer pages of this server alone: its files are read and written.

use crate::serve::app::App;
use crate::serve::edit::{EditedSpec, PAGE, POLICY, SCRIPT, SaveError};
use crate::serve::refusal::Refusal;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// The routes for a spec.
pub fn routes(app: &Arc<App>, spec: EditedSpec) -> Router<Arc<App>> {
    let edited = Arc::new(Edited { app: Arc::clone(app), spec });
    Router::new()
        .route("/edit", get(page))
        .route("/edit/editor.js", get(script))
        .route("/edit/spec", get(open).put(save))
        .route("/edit/check", post(check))
        .route_layer(middleware::from_fn(from_here))
        .with_state(edited)
}

struct Edited {
    app: Arc<App>,
    spec: EditedSpec,
}

#[derive(Debug, Deserialize)]
struct Choice {
    net: Option<String>,
}

async fn page() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, PAGE).into_response()
}

async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

async fn open(State(edited): State<Arc<Edited>>) -> Result<Json<Value>, Refusal> {
    let spec = edited.spec.clone();
    let saved = edited.app.compute(move || spec.read()).await?;
    let saved = saved.map_err(|reason| Refusal::new(StatusCode::CONFLICT, reason))?;
    Ok(Json(json!({ "file": edited.spec.name(), "text": saved.text, "version": saved.version })))
}

async fn check(
    State(edited): State<Arc<Edited>>,
    Query(choice): Query<Choice>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let text = text(&edited, &headers, body).await?;
    let spec = edited.spec.clone();
    edited.app.compute(move || spec.check(&text, choice.net.as_deref())).await.map(Json)
}

/// Saves, if the file still has the version in `If-Match`.
async fn save(State(edited): State<Arc<Edited>>, headers: HeaderMap, body: Body) -> Result<Json<Value>, Refusal> {
    let version = headers.get(header::IF_MATCH).and_then(|version| version.to_str().ok());
    let version = version.map(|version| version.trim_matches('"').to_owned());
    let version = version.ok_or_else(|| {
        Refusal::new(StatusCode::PRECONDITION_REQUIRED, "`If-Match` must have the version that is replaced")
    })?;
    let text = text(&edited, &headers, body).await?;
    let spec = edited.spec.clone();
    let saved = edited.app.compute(move || spec.save(&text, &version)).await?;
    let version = saved.map_err(|error| {
        let status = match error {
            SaveError::Changed => StatusCode::PRECONDITION_FAILED,
            SaveError::File(_) => StatusCode::CONFLICT,
        };
        Refusal::new(status, error)
    })?;
    Ok(Json(json!({ "version": version })))
}

async fn text(edited: &Edited, headers: &HeaderMap, body: Body) -> Result<String, Refusal> {
    let body = edited.app.body(headers, body).await?;
    String::from_utf8(body.bytes.to_vec()).map_err(|_| Refusal::invalid("the text is not UTF-8"))
}

/// Refuses requests of other sites: by a name that resolves to this machine, or from a page with another origin.
async fn from_here(headers: HeaderMap, request: Request, next: Next) -> Result<Response, Refusal> {
    let refused = |reason: &str| Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    let value = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or_default());
    let host = value(header::HOST).unwrap_or_default();
    if !is_local(host) {
        return refused("the editor answers at localhost and 127.0.0.1 alone");
    }
    match value(header::ORIGIN) {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            refused("the editor answers its own page alone")
        }
        _ => Ok(next.run(request).await),
    }
}

/// Whether a `Host` is this machine's own: `localhost` or a loopback address, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn hosts_of_this_machine_are_known() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "evil.example:8080", "127.0.0.1.example", "localhost.example", "192.168.0.1:80", "[::2]"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
