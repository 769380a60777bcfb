//! Reading the bodies of requests, within their limits.

use super::limits::Limits;
use super::refusal::Refusal;
use axum::body::Body;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use prometheus::IntGauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::timeout;

/// The memory for all bodies together.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    reserved: Arc<AtomicUsize>,
    limit: usize,
    gauge: IntGauge,
}

/// Bytes of a [`BodyBudget`], which are free again when it is dropped.
#[derive(Debug)]
pub struct BodyReservation {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// So many bytes, of which the gauge shows those that are reserved.
    pub fn new(limit: usize, gauge: IntGauge) -> Self {
        BodyBudget { reserved: Arc::default(), limit, gauge }
    }
}

impl BodyReservation {
    /// Reserves more; whether there is enough.
    fn grow(&mut self, bytes: usize) -> bool {
        let limit = self.budget.limit;
        let more = |reserved: usize| reserved.checked_add(bytes).filter(|&sum| sum <= limit);
        let grown = self.budget.reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if grown {
            self.bytes += bytes;
            self.budget.gauge.add(bytes as i64);
        }
        grown
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.budget.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.gauge.sub(self.bytes as i64);
    }
}

/// A body in memory.
#[derive(Debug)]
pub struct ReadBody {
    pub bytes: Bytes,
    /// Held as long as the body.
    pub reservation: BodyReservation,
}

/// Reads a body.
///
/// # Errors
/// 413 if it is too large, 415 if it is compressed, 408 if it takes too long, 503 if there is no memory for it now, 400 if it
/// ends early.
pub async fn read(budget: &BodyBudget, limits: &Limits, headers: &HeaderMap, body: Body) -> Result<ReadBody, Refusal> {
    let limit = limits.body_bytes;
    let too_large = || Refusal::too_large(format!("a body has at most {limit} bytes"));
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refusal::new(status, "compressed bodies are not supported"));
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut reservation = BodyReservation { budget: budget.clone(), bytes: 0 };
    let read = async {
        let mut bytes = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Refusal::invalid(format!("the body ends early: {error}")))?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            if !reservation.grow(chunk.len()) {
                return Err(Refusal::busy("the server has no memory for the body at the moment"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    let seconds = limits.body_time.as_secs_f64();
    let bytes = timeout(limits.body_time, read).await.map_err(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {seconds} s"))
    })??;
    Ok(ReadBody { bytes: bytes.into(), reservation })
}
