//! The metrics of a net on a dataset as a table.

use crate::source::shown;
use crate::train::evaluation::metric_accumulator::MetricsReport;
use crate::train::evaluation::metrics::{ClassificationReport, MetricUnit};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A line with the metrics of all samples, and for classifiers a line for each class. `data` names the dataset.
pub fn table(report: &MetricsReport, data: &str) -> String {
    match report {
        MetricsReport::Classes(report) => classes(report, data),
        MetricsReport::Numbers(report) => {
            let loss = report.loss.map_or(String::new(), |loss| format!("loss {loss:.4}, "));
            format!("{data}: {loss}mae {:.4}, rmse {:.4}, r2 {:.4}\n", report.mae, report.rmse, report.r2)
        }
    }
}

fn classes(report: &ClassificationReport, data: &str) -> String {
    let unit = report.unit.name();
    let mut text = format!("{data}: accuracy {:.2} %", report.accuracy * 100.0);
    if report.unit != MetricUnit::Samples {
        let _ = write!(text, " of the {unit}");
    }
    if report.per_class.len() > 5 {
        let _ = write!(text, ", top-5 {:.2} %", report.top5 * 100.0);
    }
    if let Some(loss) = report.loss {
        let _ = write!(text, ", loss {loss:.4}");
    }
    text.push('\n');
    let label = report.per_class.iter().map(|class| shown(&class.label).width()).max().unwrap_or(0).max(5);
    let _ = writeln!(text, "  {:label$}  precision  recall      F1  {unit}", "class");
    let unit_width = unit.len();
    for class in &report.per_class {
        let name = shown(&class.label);
        let space = " ".repeat(label - name.width());
        let share = |value: f64| format!("{:.2} %", value * 100.0);
        let (precision, recall, f1) = (share(class.precision), share(class.recall), share(class.f1));
        let _ = writeln!(text, "  {name}{space}  {precision:>9}  {recall:>8}  {f1:>8}  {:>unit_width$}", class.support);
    }
    text
}
