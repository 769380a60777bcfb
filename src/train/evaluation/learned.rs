//! What an output learns: classes, yes or no, or numbers. One rule for recipes, whose data is not read yet, and for data.

use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use std::convert::Infallible;

/// What an output predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The class of a sample, or of each of its pixels.
    Classes,
    /// With each value one of two classes.
    Binary,
    /// Numbers.
    Numbers,
}

impl TargetKind {
    /// Whether the labels of a net name the classes of an output of this many values (of an image: channels).
    pub fn is_labelled(self, width: usize) -> bool {
        match self {
            TargetKind::Classes => true,
            TargetKind::Binary => width == 1,
            TargetKind::Numbers => false,
        }
    }

    /// The number of class names: 2 for single values, also if there are several of them.
    pub fn class_count(self, width: usize) -> usize {
        if self == TargetKind::Binary { 2 } else { width }
    }
}

/// What decides, besides its targets, what an output learns.
#[derive(Clone, Copy, Debug)]
pub struct LearningOutput<'a> {
    /// Without the batch.
    pub sizes: &'a [usize],
    pub kind: OutputKind,
    pub loss: Loss,
    /// Whether the classes of the data or the net have names.
    pub has_names: bool,
}

/// The forms of targets that are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// A class index for each sample.
    Class,
    /// A class index for each pixel or step.
    PixelClasses,
    /// Rows with a single 1, else 0.
    OneHot,
    /// 0 and 1.
    ZeroOne,
    /// -1 and 1.
    Signs,
    Numbers,
}

impl TargetForm {
    /// The forms that arrays of targets can have which fit an output of these sizes.
    pub fn of_arrays(sizes: &[usize]) -> Vec<TargetForm> {
        let indices = match sizes {
            [] | [_] => Some(TargetForm::Class),
            [.., channels] => (*channels > 1).then_some(TargetForm::PixelClasses),
        };
        let values = [TargetForm::OneHot, TargetForm::ZeroOne, TargetForm::Signs, TargetForm::Numbers];
        indices.into_iter().chain(values).collect()
    }
}

impl LearningOutput<'_> {
    /// The number of values for a sample, or for each of its pixels.
    pub fn width(&self) -> usize {
        self.sizes.last().copied().unwrap_or(1)
    }

    /// The kind of the values, as the loss takes them: what a binary crossentropy takes are probabilities.
    pub fn taken_kind(&self) -> OutputKind {
        if self.is_independent() { OutputKind::Probabilities } else { self.kind }
    }

    fn is_independent(&self) -> bool {
        matches!(self.loss, Loss::BinaryCrossentropy | Loss::BinaryFocal { .. })
    }

    /// What is learned from targets: whether they are `Class` or `PixelClasses` is known from their shape, `is_one_hot` and
    /// `has_two_values` (1 and either 0 or the given value) look at each of them, and are called where they decide.
    ///
    /// # Errors
    /// Those of the two functions.
    pub fn learns<E>(
        &self,
        indices: Option<TargetForm>,
        is_one_hot: impl FnOnce() -> Result<bool, E>,
        has_two_values: impl FnOnce() -> Result<bool, E>,
    ) -> Result<TargetKind, E> {
        let LearningOutput { loss, has_names, .. } = *self;
        let (width, kind) = (self.width(), self.taken_kind());
        let is_mask = matches!(loss, Loss::Dice { .. }) && kind == OutputKind::Probabilities;
        let binary = self.is_independent() || is_mask || loss == Loss::BinaryHinge;
        // Distances, directions and embeddings are no classes, whatever the targets are.
        let is_geometric = matches!(loss, Loss::Contrastive { .. } | Loss::Cosine | Loss::Triplet { .. });
        // Plain numbers, of which nothing says that they stand for classes: indices are trained as one-hot rows.
        let is_regression = loss.is_regression() && kind == OutputKind::Numbers && !has_names;
        let is_class = indices == Some(TargetForm::Class);
        Ok(match indices {
            _ if is_geometric => TargetKind::Numbers,
            Some(TargetForm::PixelClasses) if width > 1 => TargetKind::Classes,
            _ if width > 1 && loss.is_categorical() => TargetKind::Classes,
            _ if is_class && is_regression => TargetKind::Numbers,
            _ if is_class && width > 1 => TargetKind::Classes,
            _ if is_class && (has_names || binary) => TargetKind::Binary,
            _ if is_class => TargetKind::Numbers,
            _ if width > 1 && (has_names || binary || kind == OutputKind::Classes) && is_one_hot()? => {
                TargetKind::Classes
            }
            _ if loss == Loss::BinaryHinge || (binary || has_names && width == 1) && has_two_values()? => {
                TargetKind::Binary
            }
            _ => TargetKind::Numbers,
        })
    }

    /// What is learned from targets of a form.
    pub fn learns_from(&self, form: TargetForm) -> TargetKind {
        let two_values = match form {
            TargetForm::OneHot | TargetForm::ZeroOne => true,
            TargetForm::Signs => self.loss == Loss::BinaryHinge,
            _ => false,
        };
        let indices = Some(form).filter(|form| matches!(form, TargetForm::Class | TargetForm::PixelClasses));
        let learned = self.learns::<Infallible>(indices, || Ok(form == TargetForm::OneHot), || Ok(two_values));
        match learned {
            Ok(kind) => kind,
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(kind: OutputKind, loss: Loss, sizes: &[usize], has_names: bool) -> Vec<TargetKind> {
        let output = LearningOutput { sizes, kind, loss, has_names };
        TargetForm::of_arrays(sizes).into_iter().map(|form| output.learns_from(form)).collect()
    }

    #[test]
    fn names_decide_whether_plain_numbers_are_classes() {
        use TargetKind::{Binary, Classes, Numbers};
        let plain = OutputKind::Numbers;
        assert_eq!(learned(plain, Loss::Mse, &[4], false), [Numbers; 5]);
        assert_eq!(learned(plain, Loss::Mse, &[4], true), [Classes, Classes, Numbers, Numbers, Numbers]);
        assert_eq!(learned(plain, Loss::Huber { delta: 1.0 }, &[1], false), [Numbers; 5]);
        assert_eq!(learned(plain, Loss::Mse, &[1], true), [Binary, Binary, Binary, Numbers, Numbers]);
        // The classes of pixels are told by their shape.
        assert_eq!(learned(plain, Loss::Mse, &[2, 2, 4], false)[0], Classes);
    }

    #[test]
    fn losses_of_classes_decide_alone() {
        use TargetKind::{Binary, Classes, Numbers};
        let softmax = OutputKind::Classes;
        assert_eq!(learned(softmax, Loss::CategoricalCrossentropy, &[4], false), [Classes; 5]);
        assert_eq!(learned(softmax, Loss::Mse, &[4], false), [Classes, Classes, Numbers, Numbers, Numbers]);
        assert_eq!(learned(OutputKind::Numbers, Loss::BinaryHinge, &[1], false), [Binary; 5]);
        let sigmoid = OutputKind::Probabilities;
        assert_eq!(learned(sigmoid, Loss::BinaryCrossentropy, &[1], false), [Binary, Binary, Binary, Numbers, Numbers]);
        assert_eq!(learned(OutputKind::Numbers, Loss::Cosine, &[4], true), [Numbers; 5]);
    }
}
