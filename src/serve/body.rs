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
pub struct BodyRoom {
    taken: Arc<AtomicUsize>,
    room: usize,
    gauge: IntGauge,
}

/// Bytes of a [`BodyRoom`], which are free again when it is dropped.
#[derive(Debug)]
pub struct Taken {
    room: BodyRoom,
    bytes: usize,
}

impl BodyRoom {
    pub fn new(room: usize, gauge: IntGauge) -> Self {
        BodyRoom { taken: Arc::default(), room, gauge }
    }
}

impl Taken {
    /// Takes more; whether there is enough.
    fn grow(&mut self, bytes: usize) -> bool {
        let limit = self.room.room;
        let more = |taken: usize| taken.checked_add(bytes).filter(|&sum| sum <= limit);
        let grown = self.room.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if grown {
            self.bytes += bytes;
            self.room.gauge.add(bytes as i64);
        }
        grown
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.gauge.sub(self.bytes as i64);
    }
}

/// A body in memory.
#[derive(Debug)]
pub struct ReadBody {
    pub bytes: Bytes,
    /// Held as long as the body.
    pub taken: Taken,
}

/// Reads a body.
///
/// # Errors
/// 413 if it is too large, 415 if it is compressed, 408 if it takes too long, 503 if there is no room for it now, 400 if it
/// ends early.
pub async fn read(room: &BodyRoom, limits: &Limits, headers: &HeaderMap, body: Body) -> Result<ReadBody, Refusal> {
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
    let mut taken = Taken { room: room.clone(), bytes: 0 };
    let read = async {
        let mut bytes = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Refusal::invalid(format!("the body ends early: {error}")))?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            if !taken.grow(chunk.len()) {
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
    Ok(ReadBody { bytes: bytes.into(), taken })
}
