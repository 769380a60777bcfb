//! The measures of a net on data, as a table.

use crate::source::shown;
use crate::train::evaluation::metric_accumulator::Outcome;
use crate::train::evaluation::metrics::{Counted, Report};
use crate::train::evaluation::misclassified::Misclassification;
use crate::view::html::MisclassifiedPhoto;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// Mistakes as a page shows them.
pub fn pictures(mistakes: &[Misclassification], labels: &[String]) -> Vec<MisclassifiedPhoto> {
    let label = |class: usize| labels.get(class).cloned().unwrap_or_default();
    let picture = |wrong: &Misclassification| MisclassifiedPhoto {
        path: wrong.path.clone(),
        truth: label(wrong.truth),
        predicted: label(wrong.predicted),
        probability: wrong.probability,
    };
    mistakes.iter().map(picture).collect()
}

/// A heading line with the measures, and for classes a line each.
pub fn table(outcome: &Outcome, on: &str) -> String {
    match outcome {
        Outcome::Classes(report) => classes(report, on),
        Outcome::Numbers(report) => {
            let loss = report.loss.map_or(String::new(), |loss| format!("loss {loss:.4}, "));
            format!("{on}: {loss}mae {:.4}, rmse {:.4}, r2 {:.4}\n", report.mae, report.rmse, report.r2)
        }
    }
}

fn classes(report: &Report, on: &str) -> String {
    let counted = report.counted.name();
    let mut text = format!("{on}: accuracy {:.2} %", report.accuracy * 100.0);
    if report.counted != Counted::Samples {
        let _ = write!(text, " of the {counted}");
    }
    if report.per_class.len() > 5 {
        let _ = write!(text, ", in the first five {:.2} %", report.top5 * 100.0);
    }
    if let Some(loss) = report.loss {
        let _ = write!(text, ", loss {loss:.4}");
    }
    text.push('\n');
    let label = report.per_class.iter().map(|class| shown(&class.label).width()).max().unwrap_or(0).max(5);
    let _ = writeln!(text, "  {:label$}  precision  recall      F1  {counted}", "class");
    let wide = counted.len();
    for class in &report.per_class {
        let name = shown(&class.label);
        let space = " ".repeat(label - name.width());
        let share = |value: f64| format!("{:.2} %", value * 100.0);
        let (precision, recall, f1) = (share(class.precision), share(class.recall), share(class.f1));
        let _ = writeln!(text, "  {name}{space}  {precision:>9}  {recall:>8}  {f1:>8}  {:>wide$}", class.support);
    }
    text
}
