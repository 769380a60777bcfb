//! The curves and the report of a training run, as files.

use super::{MisclassifiedPhoto, ReportKind, report};
use crate::compile::output_guard::unwritable;
use crate::diagnostics::Diagnostic;
use crate::file;
use crate::train::evaluation::metric_accumulator::MetricsReport;
use crate::train::evaluation::misclassified::Misclassification;
use crate::train::run::Trained;
use crate::view::curves;

/// Misclassified photos with the names of their classes.
pub fn misclassified_photos(misclassified: &[Misclassification], labels: &[String]) -> Vec<MisclassifiedPhoto> {
    let label = |class: usize| labels.get(class).cloned().unwrap_or_default();
    let photo = |wrong: &Misclassification| MisclassifiedPhoto {
        path: wrong.path.clone(),
        truth: label(wrong.truth),
        predicted: label(wrong.predicted),
        probability: wrong.probability,
    };
    misclassified.iter().map(photo).collect()
}

/// Writes `curves.svg` and `report.html` into the folder of a run.
///
/// # Errors
/// A file that cannot be written.
pub fn write_run_report(trained: &Trained) -> Result<(), Diagnostic> {
    let photos = misclassified_photos(&trained.misclassified, trained.labels.as_deref().unwrap_or(&[]));
    let classes = match trained.reports.first() {
        Some((_, MetricsReport::Classes(report))) => Some(report),
        _ => None,
    };
    let page = report(ReportKind::Training, &trained.record, classes, &photos);
    for (name, text) in [("curves.svg", curves(&trained.record)), ("report.html", page)] {
        let path = trained.folder.join(name);
        file::replace(&path, |file| file.write_all(text.as_bytes()))
            .map_err(|error| unwritable(&path, &error.to_string()))?;
    }
    Ok(())
}
