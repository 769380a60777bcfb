//! What the server grants to its clients, each with a number.

use std::time::Duration;

/// Bodies in memory at once, in bodies of the largest size: the sum of all of them is bounded, whatever the number of connections.
const BODIES: usize = 8;

/// The limits that the command line sets; the defaults are these.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum size of a request's body in bytes.
    pub body_bytes: usize,
    /// Maximum number of photos, or rows of tensors, in a request.
    pub images: usize,
    /// Maximum number of images of each model that are queued or being computed.
    pub queue: usize,
    /// Connections.
    pub connections: usize,
    /// Time limit for the headers of a request, and for an idle connection.
    pub header_time: Duration,
    /// Time limit for the body of a request, and for a stalled response.
    pub body_time: Duration,
    /// The time to answer pending requests when the server stops.
    pub stop_time: Duration,
}

impl Limits {
    pub const DEFAULT: Limits = Limits {
        body_bytes: 32 << 20,
        images: 64,
        queue: 256,
        connections: 256,
        header_time: Duration::from_secs(10),
        body_time: Duration::from_secs(30),
        stop_time: Duration::from_secs(10),
    };

    /// Bytes of all bodies in memory together.
    pub fn all_bodies(&self) -> usize {
        self.body_bytes.saturating_mul(BODIES)
    }
}

/// Maximum size of a request's headers in bytes.
pub const MAX_HEAD_BYTES: usize = 64 << 10;
/// What a client may still send after it was refused, in bytes, so that it gets to read why.
pub const MAX_DISCARDED_BYTES: usize = 64 << 20;
/// The time for that.
pub const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Clients beyond the limit of connections that get an error at the same time; others are closed without one.
pub const MAX_TURNED_AWAY: usize = 64;
/// Images in a batch that is computed at once; [`crate::runtime::Session`] gets memory for as many.
pub const DEFAULT_BATCH: usize = 8;
/// How long the first image of a batch waits for others.
pub const DEFAULT_DELAY: Duration = Duration::from_millis(2);
/// Bytes of the outputs of a request; a request for one image may exceed it.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Bytes of the inputs and outputs in a model's queue; it has room for a batch in any case.
pub const MAX_QUEUE_BYTES: usize = 1 << 30;
