//! `config.json` beside weights of timm and of the Hugging Face hub: which photos they were trained with, and on which classes.

mod entries;

use crate::file::read_regular;
use crate::ops::input::preprocessing::{ChannelOrder, Crop, Interpolation, Preprocessing, Resize};
use entries::{Entries, Said};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The name of the file.
const NAME: &str = "config.json";
/// The most bytes that are read of it: one with the names of 22,000 classes has about two million.
const MAX_BYTES: u64 = 8 << 20;

/// What a file beside weights that were trained elsewhere says of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PretrainedConfig {
    pub file: PathBuf,
    /// How photos become their input; none if it does not say.
    pub photos: Option<Photos>,
    /// The number of classes; none if it does not say, or if they are of a net without a classifier.
    pub classes: Option<usize>,
    /// The number of names of classes.
    pub labels: Option<usize>,
    /// The layers that give the classes, by their names in the file of weights.
    pub classifiers: Vec<String>,
    /// Channels, height and width of the inputs that they were trained and tested with.
    pub inputs: Vec<[usize; 3]>,
    /// Why the file cannot be read, or entries that mean nothing.
    pub problems: Vec<String>,
}

/// How photos become the input of weights that were trained elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Photos {
    /// The mean and standard deviation of red, green and blue from 0 to 1.
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// The part of a resized photo that is used, along each side.
    pub crop: Option<f32>,
    pub crop_mode: CropMode,
    pub interpolation: ConfiguredInterpolation,
}

/// How a photo is resized and cut.
#[derive(Clone, Debug, PartialEq)]
pub enum CropMode {
    /// The shorter side is resized, and the middle used.
    Center,
    /// Both sides are resized, and the middle used.
    Squash,
    /// One that netc does not have: `border`.
    Other(String),
}

/// What a configuration says of the filter of resizing.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfiguredInterpolation {
    Unsaid,
    Known(Interpolation),
    /// One that netc does not have: `lanczos`.
    Other(String),
}

impl PretrainedConfig {
    /// What stands beside a file of weights; none if nothing does.
    pub fn beside(weights: &Path) -> Option<PretrainedConfig> {
        let file = weights.parent()?.join(NAME);
        let unreadable = |what: String| PretrainedConfig {
            file: file.clone(),
            problems: vec![format!("it cannot be read: {what}")],
            ..PretrainedConfig::default()
        };
        let text = match read_regular(&file, MAX_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => return Some(unreadable(crate::source::plain(&error))),
            Ok(text) => text,
        };
        match serde_json::from_slice::<Entries>(&text) {
            Err(error) => Some(unreadable(error.to_string())),
            Ok(entries) => Some(PretrainedConfig { file, ..PretrainedConfig::of(entries) }),
        }
    }

    fn of(mut own: Entries) -> PretrainedConfig {
        let mut config = PretrainedConfig::default();
        let inner = own.pretrained_cfg.take();
        // As timm reads it: what the file itself says of the classes counts before its `pretrained_cfg`.
        let of_classes = |own: Said, inner: Option<&Said>| match (own, inner) {
            (Said::Nothing, Some(inner)) => inner.clone(),
            (own, _) => own,
        };
        let classes = of_classes(own.num_classes.clone(), inner.as_ref().map(|inner| &inner.num_classes));
        let labels = of_classes(own.label_names.clone(), inner.as_ref().map(|inner| &inner.label_names));
        let entries = inner.map_or(own, |inner| *inner);
        config.classes = match classes {
            Said::Nothing => None,
            Said::Number(count) if whole(count).is_some() => whole(count).filter(|&count| count > 0),
            other => config.strange("num_classes", &other, "not a number of classes"),
        };
        config.labels = match labels {
            Said::Nothing => None,
            Said::List { count, texts, .. } if !texts.is_empty() || count == 0 => Some(count),
            other => config.strange("label_names", &other, "not a list of names"),
        };
        config.classifiers = match entries.classifier.clone() {
            Said::Nothing => Vec::new(),
            Said::Text(name) => vec![name],
            Said::List { texts, .. } => texts,
            other => config.strange("classifier", &other, "not the name of a layer").unwrap_or_default(),
        };
        let sizes = [("input_size", &entries.input_size), ("test_input_size", &entries.test_input_size)];
        let inputs: Vec<Option<[usize; 3]>> = sizes.map(|(name, said)| config.size(name, said)).into();
        config.inputs = inputs.into_iter().flatten().collect();
        config.photos = config.photos_of(&entries);
        config
    }

    /// Remarks that an entry means nothing.
    fn strange<T>(&mut self, name: &str, said: &Said, what: &str) -> Option<T> {
        self.problems.push(format!("its `{name}` is {said}, {what}"));
        None
    }

    fn size(&mut self, name: &str, said: &Said) -> Option<[usize; 3]> {
        if *said == Said::Nothing {
            return None;
        }
        match said.numbers() {
            Some(&[channels, height, width]) if [channels, height, width].iter().all(|&size| whole(size) > Some(0)) => {
                Some([channels, height, width].map(|size| size as usize))
            }
            _ => self.strange(name, said, "not channels, height and width"),
        }
    }

    fn photos_of(&mut self, entries: &Entries) -> Option<Photos> {
        if (&entries.mean, &entries.std) == (&Said::Nothing, &Said::Nothing) {
            return None;
        }
        let mean = self.colours("mean", &entries.mean);
        let std = self.colours("std", &entries.std);
        let crop = match &entries.crop_pct {
            Said::Nothing => None,
            Said::Number(part) if (0.01..=1.0).contains(part) => Some(*part as f32),
            other => self.strange("crop_pct", other, "not a part of a photo, from 0.01 to 1"),
        };
        let crop_mode = match &entries.crop_mode {
            Said::Nothing => CropMode::Center,
            Said::Text(mode) => match mode.as_str() {
                "center" => CropMode::Center,
                "squash" => CropMode::Squash,
                mode => CropMode::Other(mode.into()),
            },
            other => self.strange("crop_mode", other, "not a way to crop")?,
        };
        let interpolation = match &entries.interpolation {
            Said::Nothing => ConfiguredInterpolation::Unsaid,
            Said::Text(word) => match Interpolation::WORDS.into_iter().find(|(known, _)| known == word) {
                Some((_, interpolation)) => ConfiguredInterpolation::Known(interpolation),
                None => ConfiguredInterpolation::Other(word.clone()),
            },
            other => self.strange("interpolation", other, "not a filter")?,
        };
        let photos = Photos { mean: mean?, std: std?, crop, crop_mode, interpolation };
        if photos.preprocessing(224).check().is_err() {
            self.problems.push("its `mean` and `std` give no finite numbers: a standard deviation is 0".into());
            return None;
        }
        Some(photos)
    }

    /// A number for each of red, green and blue, or one for an input of one channel.
    fn colours(&mut self, name: &str, said: &Said) -> Option<[f32; 3]> {
        let is_grey = self.inputs.first().is_some_and(|[channels, ..]| *channels == 1);
        match said.numbers() {
            Some(&[red, green, blue]) => Some([red, green, blue].map(|value| value as f32)),
            Some(&[grey]) if is_grey => Some([grey as f32; 3]),
            _ => self.strange(name, said, "not one number for each of red, green and blue"),
        }
    }
}

/// A count.
fn whole(number: f64) -> Option<usize> {
    (number.fract() == 0.0 && (0.0..1e9).contains(&number)).then_some(number as usize)
}

impl Photos {
    /// It for an input whose shorter side has so many pixels. Where it does not say which part of a photo is used, all of it is.
    pub fn preprocessing(&self, side: usize) -> Preprocessing {
        let whole = (side as f32 / self.crop.unwrap_or(1.0)).floor() as u32;
        Preprocessing {
            resize: match self.crop_mode {
                CropMode::Squash => Resize::Squash,
                _ => Resize::ShorterSide(whole.clamp(1, Preprocessing::MAX_RESIZE)),
            },
            interpolation: match self.interpolation {
                ConfiguredInterpolation::Known(known) => known,
                _ => Interpolation::default(),
            },
            crop: Crop::CenterEven,
            order: ChannelOrder::Rgb,
            scale: 1.0 / 255.0,
            mean: self.mean,
            std: self.std,
        }
    }

    /// What of it netc does not have.
    pub fn unsupported(&self) -> Vec<String> {
        let mut list = Vec::new();
        if let ConfiguredInterpolation::Other(way) = &self.interpolation {
            list.push(format!("it resizes photos by `{way}` interpolation, which netc does not have"));
        }
        match (&self.crop_mode, self.crop) {
            (CropMode::Other(mode), _) => {
                list.push(format!("its `crop_mode` is `{mode}`, which netc does not have"));
            }
            (CropMode::Squash, Some(part)) if part != 1.0 => {
                list.push(format!("it squashes photos and uses {part} of them, where netc uses all"));
            }
            _ => {}
        }
        list
    }

    /// Whether another preprocessing gives the same values of an input whose shorter side has so many pixels: within a pixel of
    /// the size and a thousandth of the range of colours.
    pub fn agrees(&self, other: &Preprocessing, side: usize) -> bool {
        let own = self.preprocessing(side);
        let near = |channel: usize| {
            [0, 255].iter().all(|&pixel| (own.value(pixel, channel) - other.value(pixel, channel)).abs() < 5e-3)
        };
        let resized = match (self.crop, own.resize, other.resize) {
            (_, Resize::Squash, Resize::Squash) => true,
            (None, Resize::ShorterSide(_), _) => true,
            (_, Resize::ShorterSide(own), Resize::ShorterSide(other)) => own.abs_diff(other) <= 1,
            _ => false,
        };
        let interpolated = match self.interpolation {
            ConfiguredInterpolation::Known(known) => other.interpolation == known,
            _ => true,
        };
        let has_all = self.unsupported().is_empty();
        other.order == ChannelOrder::Rgb && (0..3).all(near) && resized && interpolated && has_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> PretrainedConfig {
        let folder = tempfile::tempdir().expect("a folder");
        let weights = folder.path().join("model.safetensors");
        assert_eq!(PretrainedConfig::beside(&weights), None);
        std::fs::write(folder.path().join("config.json"), text).expect("a file");
        PretrainedConfig::beside(&weights).expect("a configuration")
    }

    #[test]
    fn the_usual_preprocessing_agrees_and_others_do_not() {
        let config = of("{\"hidden_size\": 768, \"layers\": [{\"mean\": 1}]}");
        assert_eq!((config.photos, config.problems.len()), (None, 0));
        let text = "{\"pretrained_cfg\": {\"mean\": [0.485, 0.456, 0.406], \"std\": [0.229, 0.224, 0.225], \"crop_pct\": 0.875}}";
        let photos = |text: &str| of(text).photos.expect("photos");
        let bicubic = photos(&text.replace("0.875", "0.875, \"interpolation\": \"bicubic\""));
        assert!(!bicubic.agrees(&Preprocessing::torch(), 224) && bicubic.agrees(&bicubic.preprocessing(224), 224));
        let usual = photos(text);
        assert!(usual.agrees(&Preprocessing::torch(), 224));
        assert!(!usual.agrees(&Preprocessing::torch(), 288));
        assert!(!usual.agrees(&Preprocessing::caffe(), 224) && !usual.agrees(&Preprocessing::unit(), 224));
        for (entry, word) in [("\"interpolation\": \"random\"", "`random`"), ("\"crop_mode\": \"border\"", "`border`")]
        {
            let photos = photos(&text.replace("0.875", &format!("0.875, {entry}")));
            assert!(!photos.agrees(&Preprocessing::torch(), 224));
            assert!(photos.unsupported()[0].contains(word), "{:?}", photos.unsupported());
        }
        let squashed = photos(&text.replace("0.875", "1.0, \"crop_mode\": \"squash\""));
        let squash = Preprocessing { resize: Resize::Squash, ..Preprocessing::torch() };
        assert!(squashed.agrees(&squash, 224) && !squashed.agrees(&Preprocessing::torch(), 224));
        assert!(!photos(&text.replace("0.875", "0.875, \"crop_mode\": \"squash\"")).agrees(&squash, 224));
    }

    #[test]
    fn what_means_nothing_is_told() {
        let usual = "\"mean\": [0.5, 0.5, 0.5], \"std\": [0.5, 0.5, 0.5]";
        for (text, word) in [
            (String::from("{\"mean\": [0.5"), "line 1"),
            (String::from("[1]"), "cannot be read"),
            (format!("{{{usual}, \"mean\": [0, 0, 0]}}"), "duplicate field `mean`"),
            (format!("{{{usual}, \"a\": {}1", "[".repeat(100_000)), "cannot be read"),
            (String::from("{\"mean\": [0.5, 0.5, 0.5], \"std\": [0, 1, 1]}"), "deviation is 0"),
            (String::from("{\"mean\": 0.5, \"std\": [1, 1, 1]}"), "`mean` is 0.5"),
            (String::from("{\"mean\": [0.5], \"std\": [1, 1, 1]}"), "`mean` is [0.5]"),
            (String::from("{\"mean\": [0.5, 0.5, 0.5]}"), "`std` is null"),
            (format!("{{{usual}, \"crop_pct\": 2}}"), "`crop_pct` is 2"),
            (format!("{{{usual}, \"crop_pct\": -1}}"), "`crop_pct` is -1"),
            (format!("{{{usual}, \"crop_mode\": 1}}"), "`crop_mode` is 1"),
            (format!("{{{usual}, \"interpolation\": {{}}}}"), "`interpolation` is neither"),
            (String::from("{\"num_classes\": 2.5}"), "`num_classes` is 2.5"),
            (String::from("{\"label_names\": \"a\"}"), "`label_names` is \"a\""),
            (String::from("{\"input_size\": [3, 224]}"), "`input_size` is [3.0, 224.0]"),
        ] {
            let config = of(&text);
            assert!(config.problems.iter().any(|problem| problem.contains(word)), "{text:.99}: {:?}", config.problems);
        }
        let grey = of("{\"input_size\": [1, 8, 8], \"mean\": [0.5], \"std\": [0.25]}");
        assert_eq!((grey.photos.expect("photos").std, grey.problems.len()), ([0.25; 3], 0));
    }

    #[test]
    fn classes_of_the_file_count_before_those_of_the_pretraining() {
        let config =
            of("{\"num_classes\": 3, \"label_names\": [\"a\", \"b\"], \"pretrained_cfg\": {\"num_classes\": 1000, \
            \"classifier\": [\"head\", \"head_dist\"], \"input_size\": [3, 32, 48], \"test_input_size\": null}}");
        assert_eq!((config.classes, config.labels), (Some(3), Some(2)));
        assert_eq!((config.classifiers.len(), &config.inputs[..]), (2, &[[3, 32, 48]][..]));
        assert_eq!(of("{\"num_classes\": 0}").classes, None);
    }
}
