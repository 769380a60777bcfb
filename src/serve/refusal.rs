//! The errors of requests: a status, and JSON with the reason.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::fmt::Display;

/// A request that is not answered, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub reason: String,
}

impl Refusal {
    pub fn new(status: StatusCode, reason: impl Display) -> Self {
        Refusal { status, reason: reason.to_string() }
    }

    /// The request is wrong.
    pub fn invalid(reason: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// The request is larger than a limit.
    pub fn too_large(reason: impl Display) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    }

    /// The server has too much to do; the client may try again.
    pub fn busy(reason: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// A bug.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the server's log")
    }

    /// The body of the response.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": self.reason })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        // The rest of the request is not read.
        if self.status == StatusCode::REQUEST_TIMEOUT {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Seconds after which a client that was refused for lack of room may try again.
pub const RETRY_AFTER: &str = "1";
