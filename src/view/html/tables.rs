//! The tables of a report: the confusion matrix and the metrics of each class.

use crate::diagnostics::numbers::thousands;
use crate::train::evaluation::metrics::{ClassReport, ClassificationReport, ConfusedPair, MetricUnit};
use crate::view::svg_text::escape;
use std::fmt::Write;

/// The maximum of classes in a readable matrix; with more, pairs are listed instead.
const MAX_CLASSES: usize = 30;
const MAX_PAIRS: usize = 25;
/// The share from which text on the colour is white.
const STRONG: f64 = 0.55;

/// Starts a section of the page; the caller closes its `div`.
pub(crate) fn section(out: &mut String, title: &str, class: &str) {
    let _ = writeln!(out, "<h2>{}</h2>\n<div class=\"{class}\">", escape(title));
}

/// A share in percent, with a no-break space.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// The confusion matrix as a heat map, or for many classes the pairs that are most often confused.
pub(crate) fn confusion(out: &mut String, report: &ClassificationReport) {
    if report.per_class.len() <= MAX_CLASSES {
        matrix(out, report);
    } else {
        pairs(out, report);
    }
}

fn matrix(out: &mut String, report: &ClassificationReport) {
    section(out, "Confusion", "wide");
    let _ = writeln!(
        out,
        "<p class=\"soft\">Rows are true classes, columns predicted ones, in {}; the colour is the share of the row.</p>",
        report.unit.name()
    );
    out.push_str("<table class=\"confusion\">\n<thead><tr><th></th>");
    for class in &report.per_class {
        let _ = write!(out, "<th scope=\"col\"><span>{}</span></th>", escape(&class.label));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (truth, (row, class)) in report.confusion.iter().zip(&report.per_class).enumerate() {
        let label = escape(&class.label);
        let _ = write!(out, "<tr><th scope=\"row\" title=\"{label}\">{label}</th>");
        let support = row.iter().sum::<u64>().max(1);
        for (predicted, (&count, column)) in row.iter().zip(&report.per_class).enumerate() {
            if count == 0 {
                out.push_str("<td class=\"none\">0</td>");
                continue;
            }
            let share = count as f64 / support as f64;
            let colour = if truth == predicted { "right" } else { "wrong" };
            let strong = if share >= STRONG { " class=\"strong\"" } else { "" };
            let _ = write!(
                out,
                "<td{strong} style=\"background: rgba(var(--{colour}), {:.2})\" title=\"{label} predicted as {}: {count}, {}\">{}</td>",
                0.08 + 0.92 * share,
                escape(&column.label),
                percent(share),
                thousands(count)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n</div>\n");
}

fn pairs(out: &mut String, report: &ClassificationReport) {
    let mut pairs = report.confused_pairs();
    pairs.truncate(MAX_PAIRS);
    section(out, "Most often confused", "wide");
    if pairs.is_empty() {
        out.push_str("<p>Nothing was confused.</p>\n");
    } else {
        let unit = report.unit.name();
        let _ = writeln!(
            out,
            "<table class=\"classes\">\n<thead><tr><th>true class</th><th>predicted as</th><th class=\"number\">{unit}</th><th class=\"share\">of its class</th></tr></thead>\n<tbody>"
        );
        let label = |class: usize| report.per_class.get(class).map_or_else(String::new, |class| escape(&class.label));
        for ConfusedPair { truth, predicted, count } in pairs {
            let support = report.confusion[truth].iter().sum::<u64>().max(1);
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"share\">{}</td></tr>",
                label(truth),
                label(predicted),
                thousands(count),
                bar(count as f64 / support as f64)
            );
        }
        out.push_str("</tbody></table>\n");
    }
    out.push_str("</div>\n");
}

/// Precision, recall and F1 of each class; of many classes those with the lowest F1 first, all in a collapsed table.
pub(crate) fn classes(out: &mut String, report: &ClassificationReport) {
    section(out, "Classes", "wide");
    let all: Vec<&ClassReport> = report.per_class.iter().collect();
    if all.len() <= MAX_CLASSES {
        rows(out, &all, report.unit);
    } else {
        let mut worst = all.clone();
        worst.retain(|class| class.support > 0);
        worst.sort_by(|a, b| a.f1.total_cmp(&b.f1));
        worst.truncate(MAX_PAIRS);
        let _ = writeln!(out, "<p class=\"soft\">The {} with the lowest F1.</p>", worst.len());
        rows(out, &worst, report.unit);
        let _ = writeln!(out, "<details><summary>All {} classes</summary>", all.len());
        rows(out, &all, report.unit);
        out.push_str("</details>\n");
    }
    out.push_str("</div>\n");
}

fn rows(out: &mut String, classes: &[&ClassReport], unit: MetricUnit) {
    let _ = writeln!(
        out,
        "<table class=\"classes\">\n<thead><tr><th>class</th><th class=\"share\">precision</th><th class=\"share\">recall</th>\
         <th class=\"share\">F1</th><th class=\"number\">{}</th></tr></thead>\n<tbody>",
        unit.name()
    );
    for class in classes {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"share\">{}</td><td class=\"share\">{}</td><td class=\"share\">{}</td><td class=\"number\">{}</td></tr>",
            escape(&class.label),
            bar(class.precision),
            bar(class.recall),
            bar(class.f1),
            thousands(class.support)
        );
    }
    out.push_str("</tbody></table>\n");
}

/// A share as a bar and in percent.
fn bar(share: f64) -> String {
    format!(
        "<span class=\"bar\"><i style=\"width: {:.1}%\"></i></span>{}",
        100.0 * share.clamp(0.0, 1.0),
        percent(share)
    )
}
