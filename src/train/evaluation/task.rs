//! The task that a net learns, derived from its output, its loss and the targets; and whether the targets fit it.

use super::learned::{LearningOutput, TargetForm, TargetKind};
use super::metric_accumulator::MetricAccumulator;
use super::metrics::MetricUnit;
use crate::data::samples::targets::hot;
use crate::data::{Coding, TableError, Targets, TargetsError};
use crate::diagnostics::{Code, Diagnostic, Result};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::source::Span;

/// The task that a net learns.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningTask {
    pub kind: TargetKind,
    /// How a single value tells two classes apart.
    pub output_kind: OutputKind,
    pub coding: Coding,
    pub loss: Loss,
    /// The sizes of the output without the batch.
    pub sizes: Vec<usize>,
}

/// An error in data; `span` is where a spec names the data, if one does.
pub(crate) fn data_error(message: impl Into<String>, span: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::Dataset, message);
    match span {
        Some(span) => diagnostic.at(span, "this data"),
        None => diagnostic,
    }
}

/// The tolerance for rows that must sum to 1.
const ROUNDING: f32 = 1e-3;

impl LearningTask {
    /// The task of an output of these sizes and this kind with these targets. `has_names` says whether the classes of the
    /// data or the net have names.
    ///
    /// # Errors
    /// Targets that cannot be read.
    pub fn of(
        sizes: &[usize],
        output_kind: OutputKind,
        loss: Loss,
        has_names: bool,
        targets: &Targets,
    ) -> std::result::Result<LearningTask, TableError> {
        let output = LearningOutput { sizes, kind: output_kind, loss, has_names };
        let (width, output_kind) = (output.width(), output.taken_kind());
        let indices = match targets {
            Targets::Classes(_) => Some(TargetForm::Class),
            _ => targets.has_pixel_classes(sizes).then_some(TargetForm::PixelClasses),
        };
        let is_one_hot = || all(targets, |row| row.chunks(width).all(|position| hot(position).is_some()));
        let has_two_values =
            || all(targets, |row| two_values(row, 0.0) || loss == Loss::BinaryHinge && two_values(row, -1.0));
        let kind = output.learns(indices, is_one_hot, has_two_values)?;
        let by_sign = loss == Loss::BinaryHinge || kind == TargetKind::Binary && output_kind == OutputKind::Numbers;
        let coding = Coding { no: if by_sign { -1.0 } else { 0.0 }, ..Coding::of(sizes) };
        Ok(LearningTask { kind, output_kind, coding, loss, sizes: sizes.to_vec() })
    }

    /// The number of class names: 2 for single values, also if there are several of them.
    pub fn class_count(&self) -> usize {
        self.kind.class_count(self.coding.width)
    }

    /// Whether the net's labels name the classes.
    pub fn is_labelled(&self) -> bool {
        self.kind.is_labelled(self.coding.width)
    }

    /// An empty accumulator for the predictions; `with_auc` also for the area under the ROC curve, which needs their order.
    pub fn accumulator(&self, labels: Option<&[String]>, with_auc: bool) -> MetricAccumulator {
        let named = labels.filter(|_| self.is_labelled()).map(<[String]>::to_vec);
        let labels = named.unwrap_or_else(|| (0..self.class_count()).map(|class| class.to_string()).collect());
        match self.kind {
            TargetKind::Numbers => MetricAccumulator::numbers(self.coding.width),
            TargetKind::Binary => MetricAccumulator::classes(1, labels, self.output_kind, self.unit(), with_auc),
            TargetKind::Classes => {
                MetricAccumulator::classes(self.coding.width, labels, self.output_kind, self.unit(), with_auc)
            }
        }
    }

    /// The unit that classification metrics count.
    pub fn unit(&self) -> MetricUnit {
        match self.sizes.len() {
            _ if self.kind == TargetKind::Binary && self.coding.width > 1 => MetricUnit::Values,
            0 | 1 => MetricUnit::Samples,
            2 => MetricUnit::Steps,
            _ => MetricUnit::Pixels,
        }
    }

    /// The targets in the form that the loss takes; `span` is where a spec names the data.
    ///
    /// # Errors
    /// The first target that does not fit the output or the loss.
    pub fn prepare_targets(&self, targets: Targets, span: Option<Span>) -> Result<Targets> {
        let error = |message: String| data_error(message, span);
        let unread = |table: TableError| error(table.to_string());
        let misfit = |misfit: TargetsError| error(misfit.to_string());
        targets.check(&self.sizes).map_err(misfit)?;
        let targets = match self.kind {
            TargetKind::Numbers => targets.into_numbers(self.sizes.iter().product()).map_err(misfit)?,
            _ => targets,
        };
        if let (Targets::Classes(classes), true) = (&targets, self.kind != TargetKind::Numbers) {
            let count = self.class_count();
            if let Some(sample) = classes.iter().position(|&class| class >= count) {
                let class = classes[sample];
                return Err(error(format!(
                    "sample {sample} has the class {class}, but there are {count} classes, from 0"
                ))
                .into());
            }
        }
        if targets.ignores() {
            let is_binary = self.kind == TargetKind::Binary && self.coding.width == 1 && self.sizes.len() > 1;
            if !(is_binary || self.kind == TargetKind::Classes && targets.has_pixel_classes(&self.sizes)) {
                return Err(misfit(TargetsError::NothingToIgnore).into());
            }
            check_pixel_weights(self.loss, "`ignore` leaves out", span)?;
        }
        if targets.has_pixel_classes(&self.sizes) {
            let classes = self.coding.width;
            let is_class = |value: f32| value >= 0.0 && value.fract() == 0.0 && value < classes as f32;
            if let Some((sample, pixel, value)) = first(&targets, is_class).map_err(unread)? {
                return Err(misfit(TargetsError::PixelClass { sample, pixel, value, classes }).into());
            }
            return Ok(targets);
        }
        if let Some((message, help)) = self.invalid_value(&targets).map_err(unread)? {
            return Err(error(message).help(help).into());
        }
        if self.kind == TargetKind::Binary && self.sizes == [1] {
            let mut classes = Vec::with_capacity(targets.len());
            let mut push = |row: &[f32]| classes.push(usize::from(row[0] > 0.5));
            targets
                .each_row(|_, row| {
                    push(row);
                    true
                })
                .map_err(unread)?;
            return Ok(if classes.is_empty() { targets } else { Targets::Classes(classes) });
        }
        Ok(targets)
    }

    /// The number of samples (of masks: pixels) of each class; none if the targets are not classes.
    ///
    /// # Errors
    /// Targets that cannot be read.
    pub fn class_counts(&self, targets: &Targets) -> std::result::Result<Option<Vec<usize>>, TableError> {
        let mut counts = vec![0; self.class_count()];
        if !self.is_labelled() {
            return Ok(None);
        }
        if let Some(classes) = targets.classes() {
            classes.into_iter().for_each(|class| counts[class] += 1);
            return Ok(Some(counts));
        }
        let (width, indices) = (self.coding.width, targets.has_pixel_classes(&self.sizes));
        let mut is_classes = true;
        targets.each_row(|_, row| {
            let len = if indices { 1 } else { width };
            for position in row.chunks_exact(len).filter(|position| !position[0].is_nan()) {
                let class = match position {
                    [one] if indices => Some(*one as usize),
                    [one] => Some(usize::from(*one > 0.5)),
                    several => hot(several),
                };
                match class.filter(|&class| class < counts.len()) {
                    Some(class) => counts[class] += 1,
                    None => is_classes = false,
                }
            }
            is_classes
        })?;
        Ok(is_classes.then_some(counts))
    }

    /// The first value that the loss does not take: message and help.
    fn invalid_value(&self, targets: &Targets) -> std::result::Result<Option<(String, String)>, TableError> {
        let name = self.loss.name();
        let describe = |(sample, _, value): (usize, usize, f32), takes: &str, help: &str| {
            (
                format!("the target {value} of sample {sample} does not fit {name}, which takes {takes}"),
                help.to_string(),
            )
        };
        match self.loss {
            Loss::CategoricalCrossentropy | Loss::CategoricalFocal { .. } | Loss::KlDivergence => {
                let is_distribution = |row: &[f32]| {
                    row.iter().all(|share| *share >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() <= ROUNDING
                };
                let mut wrong = None;
                targets.each_row(|sample, row| {
                    wrong = row
                        .chunks(self.coding.width)
                        .find(|position| !is_distribution(position))
                        .map(|position| (sample, position.to_vec()));
                    wrong.is_none()
                })?;
                Ok(wrong.map(|(sample, position)| {
                    let sum: f32 = position.iter().sum();
                    let what = match position.iter().find(|share| **share < 0.0) {
                        Some(negative) => format!("have the value {negative}"),
                        None => format!("sum to {sum}"),
                    };
                    let message = format!("the targets of sample {sample} {what}: {name} takes rows that sum to 1: one-hot or probabilities");
                    (message, "for samples with several classes or none, end the net with `Sigmoid` and use `binary_crossentropy`".to_string())
                }))
            }
            Loss::Contrastive { .. } => {
                let wrong = first(targets, |value| value == 0.0 || value == 1.0)?;
                Ok(wrong.map(|wrong| describe(wrong, "1 for similar pairs, 0 for others", "use `mse` for distances")))
            }
            Loss::BinaryCrossentropy | Loss::BinaryFocal { .. } | Loss::Dice { .. } => {
                let wrong = first(targets, |value| (0.0..=1.0).contains(&value))?;
                let is_all = |low, high| all(targets, |row| row.iter().all(|&value| value == low || value == high));
                let help = match (is_all(-1.0, 1.0)?, is_all(0.0, 255.0)?) {
                    (true, _) => "use `binary_hinge` after `Tanh` for -1 and 1, or write 0 for -1",
                    (_, true) => "write 1 for 255: divide the targets by 255 before they are stored",
                    _ => "use `mse` or `mae` for numbers",
                };
                Ok(wrong.map(|wrong| describe(wrong, "probabilities from 0 to 1", help)))
            }
            Loss::BinaryHinge => {
                let either = |no: f32| all(targets, |row| two_values(row, no));
                if either(0.0)? || either(-1.0)? {
                    return Ok(None);
                }
                let wrong = first(targets, |value| value == 0.0 || value == 1.0 || value == -1.0)?;
                let wrong = match wrong {
                    Some(wrong) => Some(wrong),
                    None => first(targets, |value| value != 0.0)?,
                };
                Ok(wrong.map(|wrong| describe(wrong, "-1 and 1, or 0 and 1", "use `mse` or `mae` for numbers")))
            }
            Loss::Msle | Loss::Rmsle => {
                let wrong = first(targets, |value| value >= 0.0)?;
                Ok(wrong.map(|wrong| describe(wrong, "numbers >= 0", "use `mse` or `mae` for negative numbers")))
            }
            _ => Ok(None),
        }
    }

    /// A warning for targets that likely are a mistake: values between 0 and 1 of a single probability, which are fine for
    /// probabilities but not for classes, and class indices that are learned as numbers.
    pub fn lint_targets(&self, targets: &Targets, span: Span) -> Option<Diagnostic> {
        let warning = |message: String| Diagnostic::new(Code::LossMismatch, message).at(span, "this data");
        let (width, numbers) = (self.coding.width, self.kind == TargetKind::Numbers);
        if numbers && width > 1 && self.loss.is_regression() && matches!(targets, Targets::Classes(_)) {
            let message = format!("the targets are class indices, which this net learns as {width} numbers, 0 and 1");
            let help = format!("end the net with `Softmax({width})` for classes, or name them by `labels`");
            return Some(warning(message).help(help));
        }
        let single = numbers && self.loss == Loss::BinaryCrossentropy && self.sizes == [1];
        if !single {
            return None;
        }
        let (sample, _, value) = first(targets, |value| value == 0.0 || value == 1.0).ok()??;
        let message = format!(
            "the target {value} of sample {sample} is neither 0 nor 1: the net learns probabilities, not classes"
        );
        Some(warning(message).help("this is right for known probabilities; accuracy means nothing then"))
    }
}

/// Refuses losses that cannot weight single pixels; `what` is the option that needs it, with its verb.
///
/// # Errors
/// A loss that is no mean over the pixels.
pub fn check_pixel_weights(loss: Loss, what: &str, span: Option<Span>) -> Result<()> {
    let of_all = match loss {
        Loss::Rmse | Loss::Rmsle => "the root of a mean over all pixels",
        loss if loss.is_whole() => "computed from all pixels at once",
        _ => return Ok(()),
    };
    let message = format!("{what} single pixels, and {} is {of_all}", loss.name());
    Err(data_error(message, span).help("leave `loss` out, or take `mse`").into())
}

/// Whether all rows of values satisfy a condition; true for classes.
fn all(targets: &Targets, condition: impl Fn(&[f32]) -> bool) -> std::result::Result<bool, TableError> {
    let mut all = true;
    targets.each_row(|_, row| {
        all = condition(row);
        all
    })?;
    Ok(all)
}

/// The first value, not NaN, that does not satisfy a condition: its sample, its position in the row, and the value.
fn first(
    targets: &Targets,
    condition: impl Fn(f32) -> bool,
) -> std::result::Result<Option<(usize, usize, f32)>, TableError> {
    let mut found = None;
    targets.each_row(|sample, row| {
        found =
            row.iter().position(|&value| !condition(value) && !value.is_nan()).map(|index| (sample, index, row[index]));
        found.is_none()
    })?;
    Ok(found)
}

/// Whether all values of a row are 1, `no` or NaN.
fn two_values(row: &[f32], no: f32) -> bool {
    row.iter().all(|&value| value == 1.0 || value == no || value.is_nan())
}
