//! The curves of a training run as SVG: a panel for the loss, and one for each metric.

use super::axis::{Axis, axis, epochs_axis};
use crate::train::run::record::{Epoch, RunRecord};
use crate::view::drawing::paint::{GREY, Words};
use crate::view::svg_text::{escape, round, text_width};
use std::collections::BTreeSet;
use std::fmt::Write;

const MARGIN: f64 = 4.0;
/// The size of a panel's plot area.
const WIDTH: f64 = 370.0;
const HEIGHT: f64 = 220.0;
/// The margins of a panel: for axis labels on the left, for the last values on the right.
const LEFT: f64 = 46.0;
const RIGHT: f64 = 56.0;
/// The heights above the panels, for legend and titles, and below, for axis labels.
const HEAD: f64 = 62.0;
const FOOT: f64 = 40.0;
/// The maximum of panels, if the losses do not need more; further metrics are in the record only.
const MAX_PANELS: usize = 4;
/// The maximum of points that are drawn as dots.
const MAX_DOTS: usize = 40;
const SIZE: f64 = 11.0;

/// Blue and vermilion of Okabe and Ito (2008), which are distinguishable with any colour blindness, slightly lighter to be
/// readable on white and on black.
pub(crate) const TRAINING: &str = "#1f83c4";
pub(crate) const VALIDATION: &str = "#dd6a1a";

/// The values of a panel, one for each epoch; none where they are missing or not finite.
struct Panel {
    title: String,
    /// Whether the values are shares, which are written in percent.
    is_share: bool,
    training: Vec<Option<f64>>,
    validation: Vec<Option<f64>>,
}

/// Draws the loss and the metrics of training and validation over the epochs. Deterministic.
pub fn curves(record: &RunRecord) -> String {
    drawing(record, &panels(&record.epochs), "curves")
}

/// As [`curves`], each panel a drawing of its own: a page puts as many beside each other as fit.
pub(crate) fn panels_of_curves(record: &RunRecord) -> Vec<String> {
    let panels = panels(&record.epochs);
    panels.chunks(1).enumerate().map(|(index, panel)| drawing(record, panel, &format!("curves-{index}"))).collect()
}

fn drawing(record: &RunRecord, panels: &[Panel], id: &str) -> String {
    let panel_width = LEFT + WIDTH + RIGHT;
    let width = 2.0 * MARGIN + panel_width * panels.len() as f64;
    let height = HEAD + HEIGHT + FOOT;
    let mut out = opening(record, id, width, height);
    let validated = panels.iter().any(|panel| panel.validation.iter().any(Option::is_some));
    legend(&mut out, validated, record.best_epoch().is_some());
    for (index, panel) in panels.iter().enumerate() {
        draw(&mut out, record, panel, (MARGIN + LEFT + panel_width * index as f64, HEAD));
    }
    out.push_str("</svg>\n");
    out
}

fn panels(epochs: &[Epoch]) -> Vec<Panel> {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let mut panels = vec![Panel {
        title: "loss".to_owned(),
        is_share: false,
        training: epochs.iter().map(|epoch| finite(Some(epoch.loss))).collect(),
        validation: epochs.iter().map(|epoch| finite(epoch.validation_loss)).collect(),
    }];
    let outputs: BTreeSet<&String> = epochs.iter().flat_map(|epoch| epoch.losses.keys()).collect();
    for name in outputs {
        panels.push(Panel {
            title: format!("{name}/loss"),
            is_share: false,
            training: epochs.iter().map(|epoch| finite(epoch.losses.get(name).copied())).collect(),
            validation: epochs.iter().map(|epoch| finite(epoch.validation_losses.get(name).copied())).collect(),
        });
    }
    let names: BTreeSet<&String> =
        epochs.iter().flat_map(|epoch| epoch.metrics.keys().chain(epoch.validation.keys())).collect();
    // Several outputs have a row of panels as long as it takes for their losses.
    let room = MAX_PANELS.saturating_sub(panels.len()).max(usize::from(!names.is_empty()));
    for name in names.into_iter().take(room) {
        panels.push(Panel {
            title: name.clone(),
            is_share: name.contains("accuracy") || name.starts_with("top"),
            training: epochs.iter().map(|epoch| finite(epoch.metrics.get(name).copied())).collect(),
            validation: epochs.iter().map(|epoch| finite(epoch.validation.get(name).copied())).collect(),
        });
    }
    panels
}

fn opening(record: &RunRecord, id: &str, width: f64, height: f64) -> String {
    let (width, height) = (round(width), round(height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"{id}-name {id}-description\" font-family=\"sans-serif\">\n"
    );
    let _ = writeln!(out, "<title id=\"{id}-name\">Training of {}</title>", escape(&record.net));
    let description = match record.epochs.last() {
        Some(last) => {
            format!("Loss and metrics over {} epochs; the last loss is {}.", record.epochs.len(), short(last.loss))
        }
        None => "No epoch has ended yet.".to_owned(),
    };
    let _ = writeln!(out, "<desc id=\"{id}-description\">{}</desc>", escape(&description));
    let _ = writeln!(
        out,
        "<style>.grid {{ stroke: {GREY}; stroke-opacity: 0.25 }} .axis {{ stroke: {GREY} }} \
         .best {{ stroke: {GREY}; stroke-dasharray: 2 3 }} .curve {{ fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }}</style>"
    );
    out
}

fn legend(out: &mut String, validated: bool, best: bool) {
    let mut entries = vec![("training", Some(TRAINING))];
    if validated {
        entries.push(("validation", Some(VALIDATION)));
    }
    if best {
        entries.push(("the epoch that was kept", None));
    }
    let (mut x, y) = (MARGIN + LEFT, 16.0);
    for (text, colour) in entries {
        let (from, to, level) = (round(x), round(x + 20.0), round(y - 4.0));
        let _ = match colour {
            Some(colour) => writeln!(
                out,
                "<path class=\"curve\" stroke=\"{colour}\" d=\"M{from} {level}H{to}\"/>\n\
                 <circle cx=\"{}\" cy=\"{level}\" r=\"2.5\" fill=\"{colour}\"/>",
                round(x + 10.0)
            ),
            None => writeln!(
                out,
                "<path class=\"best\" d=\"M{} {}V{}\"/>",
                round(x + 10.0),
                round(y - 11.0),
                round(y + 3.0)
            ),
        };
        words(out, (x + 26.0, y), "start", false, text);
        x += text_width(text, SIZE, false) + 46.0;
    }
}

/// Draws a panel with the upper left corner of its plot area at `at`.
fn draw(out: &mut String, record: &RunRecord, panel: &Panel, at: (f64, f64)) {
    let epochs = &record.epochs;
    words(out, (at.0, at.1 - 12.0), "start", true, &panel.title);
    let values = || panel.training.iter().chain(&panel.validation).flatten().copied();
    let (Some(first), Some(last), true) = (epochs.first(), epochs.last(), values().next().is_some()) else {
        let middle = (at.0 + WIDTH / 2.0, at.1 + HEIGHT / 2.0);
        let _ = writeln!(
            out,
            "<path class=\"axis\" fill=\"none\" d=\"M{} {}V{}H{}\"/>",
            round(at.0),
            round(at.1),
            round(at.1 + HEIGHT),
            round(at.0 + WIDTH)
        );
        words(
            out,
            middle,
            "middle",
            false,
            if epochs.is_empty() { "no epoch has ended yet" } else { "no finite value" },
        );
        return;
    };
    let (low, high) =
        values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let y_axis = axis(low, high, panel.is_share.then_some(1.0));
    let x_axis = epochs_axis(first.epoch, last.epoch);
    let x = |epoch: u32| at.0 + WIDTH * x_axis.share(f64::from(epoch));
    let y = |value: f64| at.1 + HEIGHT * (1.0 - y_axis.share(value));
    grid(out, &y_axis, &x_axis, panel.is_share, at);
    if let Some(best) = record.best_epoch() {
        let _ =
            writeln!(out, "<path class=\"best\" d=\"M{} {}v{}\"/>", round(x(best.epoch)), round(at.1), round(HEIGHT));
    }
    let mut ends = Vec::new();
    for (values, colour) in [(&panel.training, TRAINING), (&panel.validation, VALIDATION)] {
        let points: Vec<Option<(f64, f64)>> =
            epochs.iter().zip(values).map(|(epoch, value)| value.map(|value| (x(epoch.epoch), y(value)))).collect();
        curve(out, &points, colour);
        if let Some((value, (_, y))) = values.iter().flatten().zip(points.iter().flatten()).last() {
            ends.push((*y, colour, tick(*value, panel.is_share, y_axis.step / 100.0)));
        }
    }
    // Moves the labels of the last values apart if they would overlap.
    if let [(first, ..), (second, ..)] = &mut ends[..] {
        let near = 13.0 - (*first - *second).abs();
        if near > 0.0 {
            let sign = if *first <= *second { 1.0 } else { -1.0 };
            (*first, *second) = (*first - sign * near / 2.0, *second + sign * near / 2.0);
        }
    }
    for (y, colour, text) in ends {
        let at = (at.0 + WIDTH + 7.0, y + 4.0);
        Words { at, size: SIZE, bold: true, fill: colour, anchor: "start" }.write(out, &text);
    }
}

fn grid(out: &mut String, y_axis: &Axis, x_axis: &Axis, is_share: bool, at: (f64, f64)) {
    let (left, bottom) = (at.0, at.1 + HEIGHT);
    for value in y_axis.ticks() {
        let y = bottom - HEIGHT * y_axis.share(value);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{} {}h{}\"/>", round(left), round(y), round(WIDTH));
        words(out, (left - 7.0, y + 4.0), "end", false, &tick(value, is_share, y_axis.step));
    }
    for value in x_axis.ticks() {
        let x = left + WIDTH * x_axis.share(value);
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{} {}v4\"/>", round(x), round(bottom));
        words(out, (x, bottom + 17.0), "middle", false, &value.to_string());
    }
    let _ = writeln!(out, "<path class=\"axis\" d=\"M{} {}h{}\"/>", round(left), round(bottom), round(WIDTH));
    words(out, (left + WIDTH / 2.0, bottom + 33.0), "middle", false, "epoch");
}

/// Draws a line through the points, with gaps at missing ones, and dots if there are few.
fn curve(out: &mut String, points: &[Option<(f64, f64)>], colour: &str) {
    let mut path = String::new();
    let mut pen = 'M';
    for point in points {
        match point {
            Some((x, y)) => {
                let _ = write!(path, "{pen}{} {}", round(*x), round(*y));
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    if path.is_empty() {
        return;
    }
    let _ = writeln!(out, "<path class=\"curve\" stroke=\"{colour}\" d=\"{path}\"/>");
    if points.len() <= MAX_DOTS {
        for (x, y) in points.iter().flatten() {
            let _ = writeln!(out, "<circle cx=\"{}\" cy=\"{}\" r=\"2.5\" fill=\"{colour}\"/>", round(*x), round(*y));
        }
    }
}

fn words(out: &mut String, at: (f64, f64), anchor: &str, bold: bool, text: &str) {
    Words { at, size: if bold { 13.0 } else { SIZE }, bold, fill: GREY, anchor }.write(out, text);
}

/// The text of a value, with the digits that ticks at the distance `step` need.
fn tick(value: f64, is_share: bool, step: f64) -> String {
    let (value, step, unit) = if is_share { (value * 100.0, step * 100.0, " %") } else { (value, step, "") };
    // Avoids `-0`.
    let value = if value == 0.0 { 0.0 } else { value };
    if !is_share && (value.abs() >= 1e5 || (value != 0.0 && step < 1e-4)) {
        return format!("{value:.1e}");
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 4.0) as usize;
    let decimals = if is_share { decimals.min(1) } else { decimals };
    format!("{value:.decimals$}{unit}")
}

/// A number with four significant digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if !value.is_finite() => {
            if size.is_nan() {
                "not a number".to_owned()
            } else {
                "infinite".to_owned()
            }
        }
        0.0 => "0".to_owned(),
        size if !(1e-4..1e6).contains(&size) => format!("{value:.3e}"),
        size => {
            let decimals = (3.0 - size.log10().floor()).clamp(0.0, 6.0) as usize;
            format!("{value:.decimals$}")
        }
    }
}
