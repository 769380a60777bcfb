//! The routes, and what all of them have in common: errors as JSON, headers, counting.

mod edit;
mod inference;
mod jobs;
mod pages;
mod photos;
mod protocol;

use super::app::App;
use super::edit::EditedSpec;
use super::refusal::Refusal;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// Headers of every response: what a browser must not do with it. A page may have a policy of its own.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// All routes; those of the editor if a spec is edited.
pub fn router(app: &Arc<App>, edited: Option<EditedSpec>) -> Router {
    Router::new()
        .route("/", get(pages::page))
        .route("/models", get(pages::models))
        .route("/models/{model}/network.svg", get(pages::drawing))
        .route("/metrics", get(pages::metrics))
        .route("/predict", post(photos::predict_only))
        .route("/predict/{model}", post(photos::predict))
        .route("/v2", get(protocol::server))
        .route("/v2/health/live", get(protocol::live))
        .route("/v2/health/ready", get(protocol::ready))
        .route("/v2/models/{model}", get(protocol::model))
        .route("/v2/models/{model}/ready", get(protocol::model_ready))
        .route("/v2/models/{model}/infer", post(inference::infer))
        .route("/v2/models/{model}/versions/{version}", get(protocol::model))
        .route("/v2/models/{model}/versions/{version}/ready", get(protocol::model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(inference::infer))
        .merge(edited.map(|spec| edit::routes(app, spec)).unwrap_or_default())
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        // `body::read` has the limit.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(app), observe))
        .with_state(Arc::clone(app))
}

async fn unknown(request: Request) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", request.uri().path()))
}

async fn not_allowed(request: Request) -> Refusal {
    let message = format!("{} does not take {}", request.uri().path(), request.method());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// Counts a request, and makes a panic of its handler an error.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Few values: clients may invent methods.
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    };
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| Refusal::internal().into_response());
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.request(route, method, response.status().as_u16(), began.elapsed());
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
