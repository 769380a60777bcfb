//! Progress on stderr: a bar on terminals, and the results of each epoch.

use super::{epoch_text, messages, style};
use crate::data::features::feature_cache::{CacheNote, FeatureCache};
use crate::diagnostics::numbers::thousands;
use crate::train::run::Listener;
use crate::train::run::frozen_features::FeatureCounts;
use crate::train::run::record::Epoch;
use crate::train::run::training_loop::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
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

/// The form of a bar. Colours are written here, so that they follow the options of the program.
fn template(is_coloured: bool) -> String {
    let (verb, dim, end) = if is_coloured { ("\x1b[1;32m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    format!(
        "{verb}{{prefix:>12}}{end} [{{bar:27}}] {{pos}}/{{len}}  {dim}{{rate}}{end}  {dim}{{eta}}{end} left  {{msg}}"
    )
}

/// A rate with three digits, whole from 100: `0.123/s`, `45.5/s`, `47,181/s`.
fn rate(per_second: f64) -> String {
    match per_second {
        _ if !per_second.is_finite() => "?/s".into(),
        99.95.. => format!("{}/s", thousands(per_second.round() as u64)),
        9.995.. => format!("{per_second:.1}/s"),
        0.9995.. => format!("{per_second:.2}/s"),
        _ => format!("{per_second:.3}/s"),
    }
}

impl Bar {
    /// A bar that is shown with the first call of [`Bar::at`].
    pub fn new(verb: &str) -> Self {
        Bar { verb: verb.to_string(), bar: ProgressBar::hidden(), last_line: Instant::now() }
    }

    /// Shows that `done` of `total` are done.
    pub fn at(&mut self, done: usize, total: usize) {
        if self.bar.length() != Some(total as u64) || self.bar.is_finished() {
            self.bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(&template(style::is_coloured(&std::io::stderr()))) {
                let rate = |state: &ProgressState, out: &mut dyn Write| _ = out.write_str(&rate(state.per_sec()));
                self.bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
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
        let rate =
            if computed > 0 { format!(" at {}", rate(computed as f64 / seconds.max(1e-9))) } else { String::new() };
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

#[cfg(test)]
mod tests {
    use super::{rate, template};

    #[test]
    fn rates_have_three_digits() {
        let cases =
            [(0.0123, "0.012/s"), (4.5, "4.50/s"), (45.5008, "45.5/s"), (123.4, "123/s"), (47_181.363, "47,181/s")];
        for (per_second, text) in cases {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn a_bar_without_colours_has_no_codes() {
        assert!(!template(false).contains('\x1b') && template(true).contains('\x1b'));
    }
}
