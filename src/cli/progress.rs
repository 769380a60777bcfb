//! Progress of long work on stderr: a bar on a terminal, and a line for each epoch anywhere.

use super::report;
use crate::data::feature_cache::{CacheNote, FeatureCache};
use crate::train::feed::Computed;
use crate::train::fit::Observer;
use crate::train::record::Epoch;
use crate::train::run::Listener;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a run tells, shown.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Lines without a terminal come no more often than this.
    told: Option<Instant>,
    epoch: usize,
}

/// Between two lines where there is no bar.
const PAUSE: Duration = Duration::from_secs(5);

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Progress { bar: ProgressBar::hidden(), told: None, epoch: 0 }
    }

    /// A new bar over so many samples.
    fn begin(&mut self, verb: &str, total: usize) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        let template = "{prefix:>12.green.bold} [{bar:27}] {pos}/{len}  {per_sec:.dim}  {eta:.dim} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_prefix(verb.to_string());
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn samples(&mut self, epoch: usize, done: usize, total: usize, loss: f64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.begin(&format!("Epoch {epoch}"), total);
        }
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("loss {loss:.4}"));
    }

    fn epoch(&mut self, epoch: &Epoch, epochs: usize) {
        self.bar.finish_and_clear();
        let width = epochs.to_string().len();
        let mut text = format!("{:>width$}/{epochs}  loss {:.4}", epoch.epoch, epoch.loss);
        if epoch.penalty > 0.0 {
            text += &format!(" + {:.4}", epoch.penalty);
        }
        text += &measures(&epoch.metrics);
        if let Some(loss) = epoch.validation_loss {
            text += &format!("  |  validation loss {loss:.4}{}", measures(&epoch.validation));
        }
        report::line("Epoch", format!("{text}  {:.2} s", epoch.seconds));
    }
}

fn measures(list: &BTreeMap<String, f64>) -> String {
    list.iter().map(|(name, value)| format!("  {name} {value:.4}")).collect()
}

impl Listener for Progress {
    fn features(&mut self, done: usize, total: usize) {
        if self.bar.length() != Some(total as u64) || self.bar.is_finished() {
            self.begin("Embedding", total);
        }
        self.bar.set_position(done as u64);
        let silent = self.bar.is_hidden() && self.told.is_none_or(|told| told.elapsed() > PAUSE);
        if silent && done < total {
            self.told = Some(Instant::now());
            report::line("Embedding", format!("{done} of {total}"));
        }
    }

    fn cached(&mut self, computed: Computed, seconds: f64, cache: &FeatureCache) {
        self.bar.finish_and_clear();
        let Computed { cached, computed } = computed;
        let rate = if computed > 0 {
            format!(" at {:.1} a second", computed as f64 / seconds.max(1e-9))
        } else {
            String::new()
        };
        let place = match cache.bytes() {
            0 => "in memory".to_string(),
            bytes => format!("{} in {}", report::bytes(bytes), cache.path().display()),
        };
        let features = cache.floats();
        report::line(
            "Embedding",
            format!("{computed} computed{rate}, {cached} cached; {features} features each, {place}"),
        );
    }

    fn note(&mut self, note: &CacheNote) {
        report::line("Note", note);
    }

    fn resumed(&mut self, epochs: usize) {
        report::line("Resuming", format!("behind epoch {epochs}"));
    }
}
