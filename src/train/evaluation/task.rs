//! What a net is asked to say of each sample, by its end, its loss and its targets; and whether these targets can be said.

use super::metric_accumulator::MetricAccumulator;
use super::metrics::Counted;
use crate::data::samples::targets::hot;
use crate::data::{Coding, TableError, Targets, TargetsError};
use crate::diagnostics::{Code, Diagnostic, Result};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::source::Span;

/// What an output is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Of a sample, or of each of its pixels, which of several classes it is.
    Classes,
    /// By each of its values, which of two classes it is.
    Either,
    /// Numbers.
    Numbers,
}

/// What a net is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningTask {
    pub says: TargetKind,
    /// How one value tells two classes apart.
    pub ending: OutputKind,
    pub coding: Coding,
    loss: Loss,
    /// The sizes of the output.
    sizes: Vec<usize>,
}

/// What is wrong with data, and where it is named, if a spec names it.
pub(crate) fn data_error(message: impl Into<String>, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::Dataset, message);
    match place {
        Some(span) => diagnostic.at(span, "this data"),
        None => diagnostic,
    }
}

/// Rows that are to sum to one may be rounded.
const ROUNDING: f32 = 1e-3;

impl LearningTask {
    /// What an output of these sizes, which ends so, is asked by these targets. `named` is for data whose classes have
    /// names, or a net whose classes have.
    ///
    /// # Errors
    /// Targets that cannot be read.
    pub fn of(
        sizes: &[usize],
        ending: OutputKind,
        loss: Loss,
        named: bool,
        targets: &Targets,
    ) -> std::result::Result<LearningTask, TableError> {
        let ending = if loss == Loss::BinaryCrossentropy { OutputKind::Probabilities } else { ending };
        let width = sizes.last().copied().unwrap_or(1);
        let binary = matches!(loss, Loss::BinaryCrossentropy | Loss::BinaryHinge);
        let is_hot = || all(targets, |row| row.chunks(width).all(|place| hot(place).is_some()));
        let is_either =
            || all(targets, |row| two_values(row, 0.0) || loss == Loss::BinaryHinge && two_values(row, -1.0));
        let says = match targets {
            _ if width > 1 && (loss.is_categorical() || targets.has_pixel_classes(sizes)) => TargetKind::Classes,
            Targets::Classes(_) if width > 1 => TargetKind::Classes,
            Targets::Classes(_) if named || binary => TargetKind::Either,
            Targets::Classes(_) => TargetKind::Numbers,
            _ if width > 1 && (named || binary || ending == OutputKind::Classes) && is_hot()? => TargetKind::Classes,
            _ if loss == Loss::BinaryHinge || (binary || named && width == 1) && is_either()? => TargetKind::Either,
            _ => TargetKind::Numbers,
        };
        let by_sign = loss == Loss::BinaryHinge || says == TargetKind::Either && ending == OutputKind::Numbers;
        let coding = Coding { no: if by_sign { -1.0 } else { 0.0 }, ..Coding::of(sizes) };
        Ok(LearningTask { says, ending, coding, loss, sizes: sizes.to_vec() })
    }

    /// How many names the classes have that the output tells apart: of one value two, which may be the two of many values.
    pub fn names(&self) -> usize {
        if self.says == TargetKind::Either { 2 } else { self.coding.width }
    }

    /// Whether the labels of the net are names of the classes that are told apart.
    pub fn is_labelled(&self) -> bool {
        match self.says {
            TargetKind::Classes => true,
            TargetKind::Either => self.coding.width == 1,
            TargetKind::Numbers => false,
        }
    }

    /// What counts the predictions for it.
    pub fn accumulator(&self, labels: Option<&[String]>) -> MetricAccumulator {
        let named = labels.filter(|_| self.is_labelled()).map(<[String]>::to_vec);
        let labels = named.unwrap_or_else(|| (0..self.names()).map(|class| class.to_string()).collect());
        match self.says {
            TargetKind::Numbers => MetricAccumulator::numbers(self.coding.width),
            TargetKind::Either => MetricAccumulator::classes(1, labels, self.ending, self.counted()),
            TargetKind::Classes => MetricAccumulator::classes(self.coding.width, labels, self.ending, self.counted()),
        }
    }

    /// What each answer is of that is right or wrong.
    pub fn counted(&self) -> Counted {
        match self.sizes.len() {
            _ if self.says == TargetKind::Either && self.coding.width > 1 => Counted::Values,
            0 | 1 => Counted::Samples,
            2 => Counted::Steps,
            _ => Counted::Pixels,
        }
    }

    /// The targets as the loss takes them; `place` is where the data is named.
    ///
    /// # Errors
    /// The first target that the net cannot say, or the loss cannot take.
    pub fn fit(&self, targets: Targets, place: Option<Span>) -> Result<Targets> {
        let error = |message: String| data_error(message, place);
        let unread = |table: TableError| error(table.to_string());
        let misfit = |misfit: TargetsError| error(misfit.to_string());
        targets.check(&self.sizes).map_err(misfit)?;
        let targets = match self.says {
            TargetKind::Numbers => targets.into_numbers(self.sizes.iter().product()).map_err(misfit)?,
            _ => targets,
        };
        if let (Targets::Classes(classes), true) = (&targets, self.says != TargetKind::Numbers) {
            let count = self.names();
            if let Some(sample) = classes.iter().position(|&class| class >= count) {
                let class = classes[sample];
                return Err(error(format!("sample {sample} is of class {class}, and there are {count}, from 0")).into());
            }
        }
        if targets.ignores() {
            let of_one = self.says == TargetKind::Either && self.coding.width == 1 && self.sizes.len() > 1;
            if !(of_one || self.says == TargetKind::Classes && targets.has_pixel_classes(&self.sizes)) {
                return Err(misfit(TargetsError::NothingToIgnore).into());
            }
            self.check_means("`ignore` leaves out", place)?;
        }
        if targets.has_pixel_classes(&self.sizes) {
            let classes = self.coding.width;
            let is_class = |value: f32| value >= 0.0 && value.fract() == 0.0 && value < classes as f32;
            if let Some((sample, pixel, value)) = first(&targets, is_class).map_err(unread)? {
                return Err(misfit(TargetsError::PixelClass { sample, pixel, value, classes }).into());
            }
            return Ok(targets);
        }
        if let Some(wrong) = self.wrong_value(&targets).map_err(unread)? {
            return Err(error(wrong.0).help(wrong.1).into());
        }
        if self.says == TargetKind::Either && self.sizes == [1] {
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

    /// How many samples, or of masks how many pixels, are of each class; none where the targets are no classes.
    ///
    /// # Errors
    /// Targets that cannot be read.
    pub fn class_counts(&self, targets: &Targets) -> std::result::Result<Option<Vec<usize>>, TableError> {
        let mut counts = vec![0; self.names()];
        if !self.is_labelled() {
            return Ok(None);
        }
        if let Some(classes) = targets.classes() {
            classes.into_iter().for_each(|class| counts[class] += 1);
            return Ok(Some(counts));
        }
        let (width, indices) = (self.coding.width, targets.has_pixel_classes(&self.sizes));
        let mut whole = true;
        targets.each_row(|_, row| {
            let each = if indices { 1 } else { width };
            for place in row.chunks_exact(each).filter(|place| !place[0].is_nan()) {
                let class = match place {
                    [one] if indices => Some(*one as usize),
                    [one] => Some(usize::from(*one > 0.5)),
                    several => hot(several),
                };
                match class.filter(|&class| class < counts.len()) {
                    Some(class) => counts[class] += 1,
                    None => whole = false,
                }
            }
            whole
        })?;
        Ok(whole.then_some(counts))
    }

    /// Refuses losses in which single pixels cannot count more or less than others.
    ///
    /// # Errors
    /// The root of a mean over all of them.
    pub fn check_means(&self, what: &str, place: Option<Span>) -> Result<()> {
        if !matches!(self.loss, Loss::Rmse | Loss::Rmsle) {
            return Ok(());
        }
        let message = format!("{what} single pixels, and {} is a root over all of them", self.loss.name());
        Err(data_error(message, place).help("leave `loss` out, or take `mse`").into())
    }

    /// The first value that the loss cannot take, and what to do about it.
    fn wrong_value(&self, targets: &Targets) -> std::result::Result<Option<(String, String)>, TableError> {
        let name = self.loss.name();
        let told = |(sample, _, value): (usize, usize, f32), takes: &str, help: &str| {
            (
                format!("the target {value} of sample {sample} cannot be learnt by {name}: it takes {takes}"),
                help.to_string(),
            )
        };
        match self.loss {
            Loss::CategoricalCrossentropy => {
                let is_share = |place: &[f32]| {
                    place.iter().all(|share| *share >= 0.0) && (place.iter().sum::<f32>() - 1.0).abs() <= ROUNDING
                };
                let mut wrong = None;
                targets.each_row(|sample, row| {
                    wrong = row
                        .chunks(self.coding.width)
                        .find(|place| !is_share(place))
                        .map(|place| (sample, place.to_vec()));
                    wrong.is_none()
                })?;
                Ok(wrong.map(|(sample, place)| {
                    let sum: f32 = place.iter().sum();
                    let what = match place.iter().find(|share| **share < 0.0) {
                        Some(negative) => format!("hold {negative}"),
                        None => format!("sum to {sum}"),
                    };
                    let message = format!("the targets of sample {sample} {what}: {name} takes rows that sum to 1, one-hot or shares");
                    (message, "where a sample is of several classes at once, or of none, end the net with `Sigmoid` and learn by \
                              `binary_crossentropy`".to_string())
                }))
            }
            Loss::BinaryCrossentropy => {
                let wrong = first(targets, |value| (0.0..=1.0).contains(&value))?;
                let is_all = |low, high| all(targets, |row| row.iter().all(|&value| value == low || value == high));
                let help = match (is_all(-1.0, 1.0)?, is_all(0.0, 255.0)?) {
                    (true, _) => "-1 and 1 are learnt by `binary_hinge` behind `Tanh`, or write 0 for -1",
                    (_, true) => "write 1 for 255: divide them by 255 before they are stored",
                    _ => "numbers are learnt by `mse` or `mae`",
                };
                Ok(wrong.map(|wrong| told(wrong, "0, 1 and shares between", help)))
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
                Ok(wrong.map(|wrong| told(wrong, "-1 and 1, or 0 and 1", "numbers are learnt by `mse` or `mae`")))
            }
            Loss::Msle | Loss::Rmsle => {
                let wrong = first(targets, |value| value >= 0.0)?;
                Ok(wrong.map(|wrong| told(wrong, "numbers from 0", "`mse` and `mae` take any number")))
            }
            _ => Ok(None),
        }
    }

    /// Targets between the two that one probability tells apart: right for a share, and likely a slip for a class.
    pub fn doubt(&self, targets: &Targets, span: Span) -> Option<Diagnostic> {
        let single = self.says == TargetKind::Numbers && self.loss == Loss::BinaryCrossentropy && self.sizes == [1];
        let (sample, _, value) = first(targets, |value| value == 0.0 || value == 1.0).ok()?.filter(|_| single)?;
        let message =
            format!("the target {value} of sample {sample} is neither 0 nor 1: shares are learnt, and no classes");
        Some(
            Diagnostic::new(Code::LossMismatch, message)
                .at(span, "this data")
                .help("that is right where a probability itself is known; accuracy is of no meaning then"),
        )
    }
}

/// Whether all rows of values are so; classes are.
fn all(targets: &Targets, is_so: impl Fn(&[f32]) -> bool) -> std::result::Result<bool, TableError> {
    let mut all = true;
    targets.each_row(|_, row| {
        all = is_so(row);
        all
    })?;
    Ok(all)
}

/// The first value that is not so, of those that say something: its sample, its place in it, and itself.
fn first(
    targets: &Targets,
    is_so: impl Fn(f32) -> bool,
) -> std::result::Result<Option<(usize, usize, f32)>, TableError> {
    let mut found = None;
    targets.each_row(|sample, row| {
        found = row.iter().position(|&value| !is_so(value) && !value.is_nan()).map(|place| (sample, place, row[place]));
        found.is_none()
    })?;
    Ok(found)
}

/// Whether a row holds nothing but 1 and this, where it says something.
fn two_values(row: &[f32], no: f32) -> bool {
    row.iter().all(|&value| value == 1.0 || value == no || value.is_nan())
}
