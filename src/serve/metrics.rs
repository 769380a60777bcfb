//! What the server counts, in the text format of Prometheus.

use super::batching::BatchReport;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Bounds of the histograms of times, in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds of the histogram of batch sizes.
const IMAGES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_time: HistogramVec,
    batch_size: HistogramVec,
    batch_time: HistogramVec,
    wait_time: HistogramVec,
    queue: IntGaugeVec,
    /// Open connections.
    pub connections: IntGauge,
    /// Connections that were turned away.
    pub turned_away: IntCounter,
    /// Bytes of request bodies in memory.
    pub body_bytes: IntGauge,
}

impl Metrics {
    /// # Errors
    /// If two metrics have one name, which is a bug.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let times = |name: &str, help: &str, labels: &[&str]| {
            let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let sizes = HistogramOpts::new("netc_batch_images", "Number of images in a batch.").buckets(IMAGES.to_vec());
        let metrics = Metrics {
            requests: IntCounterVec::new(
                Opts::new("netc_requests_total", "Answered requests."),
                &["route", "method", "status"],
            )?,
            request_time: times(
                "netc_request_seconds",
                "Time from the headers of a request to its response.",
                &["route"],
            )?,
            batch_size: HistogramVec::new(sizes, &["model"])?,
            batch_time: times("netc_batch_seconds", "Time to compute a batch.", &["model"])?,
            wait_time: times("netc_queue_seconds", "Longest wait in the queue of the images of a batch.", &["model"])?,
            queue: IntGaugeVec::new(
                Opts::new("netc_queue_images", "Images that are being decoded, queued or being computed."),
                &["model"],
            )?,
            connections: gauge("netc_connections", "Open connections.")?,
            turned_away: IntCounter::new("netc_connections_refused_total", "Connections refused at the limit.")?,
            body_bytes: gauge("netc_body_bytes", "Bytes of request bodies in memory.")?,
            registry: registry.clone(),
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.batch_size.clone()))?;
        registry.register(Box::new(metrics.queue.clone()))?;
        registry.register(Box::new(metrics.turned_away.clone()))?;
        Ok(metrics)
    }

    /// Counts a request that has been answered. `route` is a pattern, so that there are few.
    pub fn request(&self, route: &str, method: &str, status: u16, time: Duration) {
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.request_time.with_label_values(&[route]).observe(time.as_secs_f64());
    }

    /// Counts a batch of a model.
    pub fn batch(&self, model: &str, report: &BatchReport) {
        self.batch_size.with_label_values(&[model]).observe(report.images as f64);
        self.batch_time.with_label_values(&[model]).observe(report.ran.as_secs_f64());
        self.wait_time.with_label_values(&[model]).observe(report.waited.as_secs_f64());
    }

    /// Sets the number of images that have room in the queue of a model.
    pub fn queue(&self, model: &str, images: usize) {
        self.queue.with_label_values(&[model]).set(i64::try_from(images).unwrap_or(i64::MAX));
    }

    /// The text.
    ///
    /// # Errors
    /// If a metric cannot be written, which is a bug.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
