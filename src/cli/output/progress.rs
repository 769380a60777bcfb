//! Progress on stderr: a bar on terminals, and the results of each epoch.

use super::{epoch_text, messages};
use crate::data::features::feature_cache::{CacheNote, FeatureCache};
use crate::train::run::Listener;
use crate::train::run::frozen_features::FeatureCounts;
use crate::train::run::record::Epoch;
use crate::train::run::training_loop::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;
use std::time::{Duration, Instant};

/// A progress bar on a terminal, else a line every few seconds.
#[derive(Debug)]
pub struct Bar {
    verb: String,
    bar: ProgressBar,
    /// The time of the last line.
    last_line: Instant,
}

/// The time between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

impl Bar {
    /// A bar that is shown with the first call of [`Bar::at`].
    pub fn new(verb: &str) -> Self {
        Bar { verb: verb.to_string(), bar: ProgressBar::hidden(), last_line: Instant::now() }
    }

    /// Shows that `done` of `total` are done.
    pub fn at(&mut self, done: usize, total: usize) {
        if self.bar.length() != Some(total as u64) || self.bar.is_finished() {
            self.bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            let template = "{prefix:>12.green.bold} [{bar:27}] {pos}/{len}  {per_sec:.dim}  {eta:.dim} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style.progress_chars("=> "));
            }
            self.bar.set_prefix(self.verb.clone());
        }
        self.bar.set_position(done as u64);
        if self.bar.is_hidden() && self.last_line.elapsed() > LINE_INTERVAL && done < total {
            self.last_line = Instant::now();
            messages::line(&self.verb, format!("{done} of {total}"));
        }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the progress of a training run.
#[derive(Debug)]
pub struct Progress {
    bar: Bar,
}

impl Progress {
    /// The progress of a run that has not started.
    pub fn new() -> Self {
        Progress { bar: Bar::new("Embedding") }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        self.bar.finish();
    }
}

impl Observer for Progress {
    fn samples(&mut self, epoch: usize, done: usize, total: usize, loss: f64) {
        let verb = format!("Epoch {epoch}");
        if self.bar.verb != verb {
            self.bar.finish();
            self.bar = Bar::new(&verb);
        }
        self.bar.at(done, total);
        self.bar.bar.set_message(format!("loss {}", epoch_text::significant(loss)));
    }

    fn epoch(&mut self, epoch: &Epoch, epochs: usize) {
        self.bar.finish();
        messages::line("Epoch", epoch_text::training(epoch, epochs));
        if let Some(text) = epoch_text::validation(epoch, epochs) {
            messages::line("Validation", text);
        }
    }
}

impl Listener for Progress {
    fn features(&mut self, done: usize, total: usize) {
        self.bar.at(done, total);
    }

    fn features_done(&mut self, counts: FeatureCounts, seconds: f64, floats: usize, cache: Option<&FeatureCache>) {
        self.bar.finish();
        let FeatureCounts { cached, computed } = counts;
        let rate = if computed > 0 {
            format!(" at {:.1} per second", computed as f64 / seconds.max(1e-9))
        } else {
            String::new()
        };
        let storage = match cache.filter(|cache| cache.bytes() > 0) {
            Some(cache) => format!("{} in {}", messages::bytes(cache.bytes()), cache.path().display()),
            None => "in memory".to_string(),
        };
        messages::line(
            "Embedding",
            format!("{computed} computed{rate}, {cached} cached; {floats} features each, {storage}"),
        );
    }

    fn note(&mut self, note: &CacheNote) {
        messages::line("Note", note);
    }

    fn archived(&mut self, folder: &Path) {
        messages::line("Keeping", format!("the previous run in {}", folder.display()));
    }

    fn resumed(&mut self, epochs: usize, samples: usize) {
        let partial = if samples > 0 { format!(" and {samples} samples of the next") } else { String::new() };
        messages::line("Resuming", format!("after epoch {epochs}{partial}"));
    }
}
