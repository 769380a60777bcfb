//! The confusion matrix of a classifier as text.

use crate::diagnostics::counted;
use crate::source::shown;
use crate::train::evaluation::metrics::ClassificationReport;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The maximum of classes in a readable matrix; with more, pairs are listed instead.
const MAX_CLASSES: usize = 30;
const MAX_PAIRS: usize = 10;
/// The lines before the matrix.
const HEADING: usize = 2;

/// A matrix with a row for each true class and a column for each predicted one. Where there are many classes, or `width` (of the
/// terminal, if there is one) is too small, the pairs that are most often confused.
pub fn confusion(report: &ClassificationReport, width: Option<usize>) -> String {
    let matrix = (report.per_class.len() <= MAX_CLASSES).then(|| matrix(report));
    // The heading is a sentence, which a terminal wraps.
    let fits = |text: &String| width.is_none_or(|width| text.lines().skip(HEADING).all(|line| line.width() <= width));
    matrix.filter(fits).unwrap_or_else(|| pairs(report))
}

/// Columns are numbered like the rows; 0 is a dot.
fn matrix(report: &ClassificationReport) -> String {
    let labels = labels(report);
    let label = labels.iter().map(|label| label.width()).max().unwrap_or(0);
    let index = labels.len().to_string().len();
    let largest = report.confusion.iter().flatten().max().copied().unwrap_or(0);
    let cell = largest.to_string().len().max(index) + 1;
    let mut text =
        format!("\nConfusion matrix in {} (rows: true class, columns: predicted class):\n", report.unit.name());
    let _ = write!(text, "  {:index$}  {:label$} ", "", "");
    for column in 1..=labels.len() {
        let _ = write!(text, "{column:>cell$}");
    }
    text.push('\n');
    for (row, (name, counts)) in labels.iter().zip(&report.confusion).enumerate() {
        let space = " ".repeat(label - name.width());
        let _ = write!(text, "  {:>index$}  {name}{space} ", row + 1);
        for count in counts {
            let count = if *count == 0 { ".".to_string() } else { count.to_string() };
            let _ = write!(text, "{count:>cell$}");
        }
        text.push('\n');
    }
    text
}

fn pairs(report: &ClassificationReport) -> String {
    let pairs = report.confused_pairs();
    if pairs.is_empty() {
        return "\nNothing was confused.\n".to_string();
    }
    let mut text = String::from("\nMost often confused:\n");
    let labels = labels(report);
    for pair in pairs.iter().take(MAX_PAIRS) {
        let (truth, predicted) = (&labels[pair.truth], &labels[pair.predicted]);
        let _ = writeln!(
            text,
            "  {} of {} `{truth}` predicted as `{predicted}`",
            pair.count, report.per_class[pair.truth].support
        );
    }
    if pairs.len() > MAX_PAIRS {
        let _ = writeln!(
            text,
            "  and {} (`--html` and `--format json` have all)",
            counted(pairs.len() - MAX_PAIRS, "further pair")
        );
    }
    text
}

fn labels(report: &ClassificationReport) -> Vec<String> {
    report.per_class.iter().map(|class| shown(&class.label).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::confusion;
    use crate::ops::output_kind::OutputKind;
    use crate::train::evaluation::metrics::{ClassificationMetrics, ClassificationReport};

    /// A report of counts by true and predicted class.
    fn report(labels: &[&str], counts: &[(usize, usize, usize)]) -> ClassificationReport {
        let classes = labels.len();
        let labels = labels.iter().map(|label| label.to_string()).collect();
        let mut metrics = ClassificationMetrics::new(labels, classes, OutputKind::Classes);
        let row = |class: usize| -> Vec<f32> { (0..classes).map(|at| f32::from(u8::from(at == class))).collect() };
        for &(truth, predicted, count) in counts {
            metrics.add(&row(predicted).repeat(count), &row(truth).repeat(count)).expect("rows of all classes");
        }
        metrics.report(None).expect("samples")
    }

    #[test]
    fn a_matrix_becomes_pairs_where_the_terminal_is_narrow() {
        let labels = ["dress", "größte Höhe", "t_shirt"];
        let report = report(&labels, &[(0, 0, 12), (0, 2, 3), (1, 1, 104), (2, 0, 3), (2, 2, 9), (1, 0, 1)]);
        let widths = [None, Some(80), Some(29), Some(28)];
        let texts = widths.map(|width| format!("width {width:?}\n{}", confusion(&report, width)));
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn many_classes_and_no_mistakes() {
        let names: Vec<String> = (0..40).map(|index| format!("kind {index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let confused: Vec<(usize, usize, usize)> = (0..14).map(|class| (class, class + 1, 1 + class % 4)).collect();
        let texts = [report(&names, &confused), report(&names, &[(3, 3, 5)])].map(|report| confusion(&report, None));
        insta::assert_snapshot!(texts.join("\n"));
    }
}
