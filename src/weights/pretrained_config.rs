//! `config.json` beside weights of timm and of the Hugging Face hub: which photos they were trained with.

use crate::file::read_regular;
use crate::ops::input::preprocessing::{ChannelOrder, Crop, Interpolation, Preprocessing, Resize};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The name of the file.
const NAME: &str = "config.json";
/// The most bytes that are read of it.
const MAX_BYTES: u64 = 1 << 20;

/// How photos become the input of weights that were trained elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainedConfig {
    pub file: PathBuf,
    /// The mean and standard deviation of red, green and blue from 0 to 1.
    pub mean: [f32; 3],
    pub std: [f32; 3],
    /// The part of a resized photo that is used, along each side.
    pub crop: Option<f32>,
    pub interpolation: ConfiguredInterpolation,
}

/// What a configuration says of the filter of resizing.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfiguredInterpolation {
    Unsaid,
    Known(Interpolation),
    /// One that netc does not have: `lanczos`.
    Other(String),
}

impl ConfiguredInterpolation {
    fn of(word: Option<String>) -> Self {
        let Some(word) = word else { return Self::Unsaid };
        match Interpolation::WORDS.into_iter().find(|(known, _)| *known == word) {
            Some((_, interpolation)) => Self::Known(interpolation),
            None => Self::Other(word.chars().filter(|c| !c.is_control()).take(20).collect()),
        }
    }
}

#[derive(Deserialize)]
struct ConfigFile {
    /// Files of older versions of timm have its entries themselves.
    pretrained_cfg: Option<Entries>,
    #[serde(flatten)]
    own: Entries,
}

#[derive(Default, Deserialize)]
struct Entries {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    crop_pct: Option<f32>,
    crop_mode: Option<String>,
    interpolation: Option<String>,
}

impl PretrainedConfig {
    /// What stands beside a file of weights; none if nothing does, or if it says nothing of photos.
    pub fn beside(weights: &Path) -> Option<PretrainedConfig> {
        let file = weights.parent()?.join(NAME);
        let ConfigFile { pretrained_cfg, own } = serde_json::from_slice(&read_regular(&file, MAX_BYTES).ok()?).ok()?;
        let Entries { mean, std, crop_pct, crop_mode, interpolation } = pretrained_cfg.unwrap_or(own);
        let (mean, std) = (mean?, std?);
        let crop = crop_pct.filter(|part| (0.01..=1.0).contains(part));
        let is_center = crop_mode.is_none_or(|mode| mode == "center");
        let interpolation = ConfiguredInterpolation::of(interpolation);
        let config = PretrainedConfig { file, mean, std, crop: crop.filter(|_| is_center), interpolation };
        config.preprocessing(224).check().ok().map(|()| config)
    }

    /// It for an input whose shorter side has so many pixels. Where it does not say which part of a photo is used, all of it is.
    pub fn preprocessing(&self, side: usize) -> Preprocessing {
        let whole = (side as f32 / self.crop.unwrap_or(1.0)).floor() as u32;
        Preprocessing {
            resize: Resize::ShorterSide(whole.clamp(1, Preprocessing::MAX_RESIZE)),
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

    /// Whether another preprocessing gives the same values of an input whose shorter side has so many pixels: within a pixel of
    /// the size and a thousandth of the range of colours.
    pub fn agrees(&self, other: &Preprocessing, side: usize) -> bool {
        let own = self.preprocessing(side);
        let near = |channel: usize| {
            [0, 255].iter().all(|&pixel| (own.value(pixel, channel) - other.value(pixel, channel)).abs() < 5e-3)
        };
        let resized = match (self.crop, own.resize, other.resize) {
            (None, ..) => true,
            (_, Resize::ShorterSide(own), Resize::ShorterSide(other)) => own.abs_diff(other) <= 1,
            _ => false,
        };
        let interpolated = match self.interpolation {
            ConfiguredInterpolation::Known(known) => other.interpolation == known,
            _ => true,
        };
        other.order == ChannelOrder::Rgb && (0..3).all(near) && resized && interpolated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_preprocessing_agrees_and_others_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let weights = folder.path().join("model.safetensors");
        let of = |text: &str| {
            std::fs::write(folder.path().join("config.json"), text).expect("a file");
            PretrainedConfig::beside(&weights)
        };
        assert_eq!(PretrainedConfig::beside(&weights), None);
        assert_eq!(of("{\"hidden_size\": 768}"), None);
        assert_eq!(of("{\"mean\": [0.5, 0.5, 0.5], \"std\": [0, 1, 1]}"), None);
        let text = "{\"pretrained_cfg\": {\"mean\": [0.485, 0.456, 0.406], \"std\": [0.229, 0.224, 0.225], \"crop_pct\": 0.875}}";
        let bicubic = text.replace("0.875", "0.875, \"interpolation\": \"bicubic\"");
        let config = of(&bicubic).expect("a configuration");
        assert!(!config.agrees(&Preprocessing::torch(), 224) && config.agrees(&config.preprocessing(224), 224));
        let config = of(text).expect("a configuration");
        assert!(config.agrees(&Preprocessing::torch(), 224));
        assert!(!config.agrees(&Preprocessing::torch(), 288));
        assert!(!config.agrees(&Preprocessing::caffe(), 224) && !config.agrees(&Preprocessing::unit(), 224));
    }
}
