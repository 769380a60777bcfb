//! Self-contained HTML pages: the report of a training run or an evaluation, without scripts, and the drawing of a net.

pub mod network;
mod run_report;
mod tables;

pub use run_report::{misclassified_photos, write_run_report};

use super::charts::curves::{panels_of_curves, short};
use super::svg_text::escape;
use crate::data::thumbnail;
use crate::diagnostics::numbers::thousands;
use crate::train::evaluation::metrics::{ClassificationReport, MetricUnit};
use crate::train::run::record::RunRecord;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;
use std::path::PathBuf;
use tables::{classes, confusion, percent, section};

/// The longer side of a thumbnail, in pixels.
const THUMBNAIL: u32 = 160;
const STYLE: &str = include_str!("report.css");

/// A misclassified photo.
#[derive(Clone, Debug, PartialEq)]
pub struct MisclassifiedPhoto {
    pub path: PathBuf,
    /// The label of its class.
    pub truth: String,
    /// The label of the predicted class.
    pub predicted: String,
    /// The predicted class's probability, from 0 to 1.
    pub probability: f32,
}

/// The kind of a report.
#[derive(Clone, Copy, Debug)]
pub enum ReportKind<'a> {
    Training,
    /// The evaluation of an artifact on a dataset with this name.
    Evaluation {
        data: &'a str,
    },
}

/// The HTML page (well-formed XHTML) of a run: its record, the curves and the recipe of a training, the metrics if they are
/// given, and misclassified photos in the caller's order. Photos are read and scaled down; the page shows the error of one that
/// cannot be read.
pub fn report(
    kind: ReportKind<'_>,
    record: &RunRecord,
    evaluation: Option<&ClassificationReport>,
    photos: &[MisclassifiedPhoto],
) -> String {
    let training = matches!(kind, ReportKind::Training);
    let mut out = String::from("<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n");
    let net = escape(&record.net);
    let _ = writeln!(
        out,
        "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{} of {net}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>",
        if training { "Training" } else { "Evaluation" }
    );
    let (heading, state) = match (kind, &record.stopped) {
        (ReportKind::Evaluation { data }, _) => ("Evaluation", format!("On {data}.")),
        (ReportKind::Training, Some(reason)) => ("Training run", format!("Ended: {}.", reason.trim_end_matches('.'))),
        (ReportKind::Training, None) => ("Training run", "This run has not ended.".to_owned()),
    };
    let _ = writeln!(
        out,
        "<header>\n<p class=\"soft\">{heading}</p>\n<h1>{net}</h1>\n<p><code>{}</code></p>\n<p class=\"soft\">{}</p>\n</header>",
        escape(&record.summary),
        escape(&state)
    );
    cards(&mut out, record, evaluation, training);
    if training {
        section(&mut out, "Curves", "curves");
        out.extend(panels_of_curves(record));
        out.push_str("</div>\n");
    }
    if let Some(evaluation) = evaluation {
        confusion(&mut out, evaluation);
        classes(&mut out, evaluation);
    }
    pictures(&mut out, photos);
    facts(&mut out, record, training);
    out.push_str("</body>\n</html>\n");
    out
}

/// The main results.
fn cards(out: &mut String, record: &RunRecord, evaluation: Option<&ClassificationReport>, training: bool) {
    let mut cards: Vec<(String, String)> = Vec::new();
    match evaluation {
        Some(report) => {
            let of = match report.unit {
                MetricUnit::Samples => String::new(),
                unit => format!(" of the {}", unit.name()),
            };
            cards.push((percent(report.accuracy), format!("accuracy{of}")));
            if report.per_class.len() > 5 {
                cards.push((percent(report.top5), "top-5 accuracy".to_owned()));
            }
            cards.extend(report.loss.map(|loss| (short(loss), "loss".to_owned())));
        }
        None => {
            let shown = |name: &str, value: f64| if name.contains("accuracy") { percent(value) } else { short(value) };
            cards.extend(record.metrics.iter().take(4).map(|(name, &value)| (shown(name, value), name.clone())));
        }
    }
    if training {
        let plural = if record.epochs.len() == 1 { "epoch" } else { "epochs" };
        let epochs = match record.best {
            Some(best) => format!("{plural}, epoch {best} was kept"),
            None => plural.to_owned(),
        };
        cards.push((record.epochs.len().to_string(), epochs));
        let front = record.front.map_or(0.0, |front| front.seconds);
        let seconds = front + record.epochs.iter().map(|epoch| epoch.seconds).sum::<f64>();
        cards.push((duration(seconds), "computing time".to_owned()));
    }
    out.push_str("<div class=\"cards\">\n");
    for (value, name) in cards {
        let _ = writeln!(out, "<div class=\"card\"><b>{}</b><span>{}</span></div>", escape(&value), escape(&name));
    }
    out.push_str("</div>\n");
}

/// A duration in its two largest units.
fn duration(seconds: f64) -> String {
    let rounded = seconds.max(0.0).round() as u64;
    match rounded {
        _ if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{rounded} s"),
        60..3600 => format!("{} min {} s", rounded / 60, rounded % 60),
        _ => format!("{} h {} min", rounded / 3600, rounded % 3600 / 60),
    }
}

fn pictures(out: &mut String, photos: &[MisclassifiedPhoto]) {
    if photos.is_empty() {
        return;
    }
    section(out, "Worst misclassifications", "mistakes");
    for misclassified in photos {
        let image = match thumbnail(&misclassified.path, THUMBNAIL) {
            Ok(jpeg) => format!(
                "<img alt=\"{}\" src=\"data:image/jpeg;base64,{}\"/>",
                escape(&misclassified.truth),
                STANDARD.encode(jpeg)
            ),
            Err(error) => escape(&error.error.to_string()),
        };
        let name = misclassified.path.file_name().unwrap_or(misclassified.path.as_os_str()).to_string_lossy();
        let _ = writeln!(
            out,
            "<figure title=\"{}\"><div class=\"photo\">{image}</div><figcaption>{} predicted as <b>{}</b>, {}\
             <span class=\"file code\">{}</span></figcaption></figure>",
            escape(&misclassified.path.to_string_lossy()),
            escape(&misclassified.truth),
            escape(&misclassified.predicted),
            percent(f64::from(misclassified.probability)),
            escape(&name)
        );
    }
    out.push_str("</div>\n");
}

/// Recipe, data, machine and files.
fn facts(out: &mut String, record: &RunRecord, training: bool) {
    out.push_str("<div class=\"columns\">\n");
    if training {
        out.push_str("<section>\n<h2>Recipe</h2>\n");
        let recipe = record.recipe.iter().map(|(key, value)| (key.clone(), format!("<code>{}</code>", escape(value))));
        table(out, recipe.chain([("seed".to_owned(), format!("<code>{}</code>", record.seed))]));
        out.push_str("</section>\n");
    }
    out.push_str("<section>\n<h2>Data and machine</h2>\n");
    let data = record.data;
    let samples = |count: u64| format!("{} samples", thousands(count));
    let mut rows = match training {
        true => vec![("training", samples(data.training)), ("validation", samples(data.validation))],
        false => vec![("data", samples(data.validation))],
    };
    if data.classes > 0 {
        rows.push(("classes", thousands(data.classes)));
    }
    if data.skipped > 0 {
        rows.push(("skipped", format!("{} files", thousands(data.skipped))));
    }
    if let Some(front) = record.front {
        let text = format!(
            "{} layers, {} features; {} samples were cached, the others took {}",
            front.layers,
            thousands(front.features),
            thousands(front.cached),
            duration(front.seconds)
        );
        rows.push(("frozen front", text));
    }
    let machine = &record.machine;
    let threads = if machine.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", machine.threads) };
    rows.push(("machine", escape(&format!("{}, {threads}, {}", machine.cpu, machine.os))));
    rows.push(("netc", escape(&record.netc)));
    table(out, rows.into_iter().map(|(key, value)| (key.to_owned(), value)));
    out.push_str("</section>\n</div>\n");
    if !record.inputs.is_empty() {
        section(out, "Made from", "wide");
        let file = |(name, digest): &(String, String)| (name.clone(), format!("<code>{}</code>", escape(digest)));
        table(out, record.inputs.iter().map(file));
        out.push_str("</div>\n");
    }
}

/// Writes rows of keys, which are escaped, and values, which are markup.
fn table(out: &mut String, rows: impl Iterator<Item = (String, String)>) {
    out.push_str("<table class=\"facts\"><tbody>\n");
    for (key, value) in rows {
        let _ = writeln!(out, "<tr><th scope=\"row\">{}</th><td>{value}</td></tr>", escape(&key));
    }
    out.push_str("</tbody></table>\n");
}
