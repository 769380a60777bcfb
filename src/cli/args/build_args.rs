//! The arguments that decide how a spec is compiled.

use crate::artifact::Manifest;
use crate::compile::int8::CalibrationSource;
use crate::compile::{BuildOptions, Precision};
use crate::diagnostics::suggest::all_of;
use crate::diagnostics::{Code, Diagnostic};
use crate::source::in_shell;
use clap::builder::PossibleValue;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The options of a build; commands that compile a spec first take them too.
#[derive(clap::Args, Clone, Debug)]
pub struct BuildArgs {
    /// The net of the spec
    #[arg(long, value_name = "NAME")]
    pub net: Option<String>,
    /// A weights file to use instead of the spec's
    #[arg(long, value_name = "NET=FILE", value_parser = net_and_file)]
    pub weights: Vec<(String, PathBuf)>,
    /// Compile even if parameters come from no file (they are initialised randomly)
    #[arg(long)]
    pub allow_untrained: bool,
    /// Use only algorithms that round like the direct convolution
    #[arg(long)]
    pub exact: bool,
    /// Do not bind the weights that `netc train` has written (NAME.h5 next to the spec)
    #[arg(long)]
    pub fresh: bool,
    /// Memory limit for constants, arena and scratch, such as 512M, for batches of 8 images on 4 threads
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub max_memory: Option<u64>,
    /// The number format of weights and products; default: f32
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
    /// Photos on which `--precision int8` measures the ranges of activations: a folder, searched at any depth
    #[arg(long, value_name = "FOLDER")]
    pub calibrate: Option<PathBuf>,
}

impl clap::ValueEnum for Precision {
    fn value_variants<'a>() -> &'a [Self] {
        &Precision::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.description()))
    }
}

/// A size of at least one byte, as [`byte_count`] reads it.
///
/// # Errors
/// As [`byte_count`], and for 0.
#[cfg(feature = "serve")]
pub fn byte_size(text: &str) -> Result<u64, String> {
    match byte_count(text)? {
        0 => Err("expected at least one byte".into()),
        bytes => Ok(bytes),
    }
}

/// Parses a number of bytes: `1000000`, `512M` and `512MiB` (powers of 1024), `512MB` (powers of 1000).
fn byte_count(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1.0),
        "k" | "kib" => Some(1024f64),
        "m" | "mib" => Some(1024f64.powi(2)),
        "g" | "gib" => Some(1024f64.powi(3)),
        "kb" => Some(1e3),
        "mb" => Some(1e6),
        "gb" => Some(1e9),
        _ => None,
    };
    match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) if number.is_finite() => Ok((number * factor) as u64),
        _ => Err("expected a number of bytes, such as 400000000, 512M or 1.5G".into()),
    }
}

pub fn net_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((net, file)) if !net.is_empty() && !file.is_empty() => Ok((net.to_string(), PathBuf::from(file))),
        _ => Err("expected NET=FILE, such as vgg16=vgg16.h5".into()),
    }
}

/// Refuses options that would change nothing.
///
/// # Errors
/// If there are any.
pub fn check_effect(given: &[String], why: &str) -> Result<(), Diagnostic> {
    match given {
        [] => Ok(()),
        _ => Err(Diagnostic::new(Code::Option, format!("{} has no effect: {why}", names(given))).help("leave it out")),
    }
}

/// The options of a list that were given.
pub fn given<const N: usize>(options: [(&str, bool); N]) -> Vec<String> {
    options.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name.to_string()).collect()
}

impl BuildArgs {
    /// The options that were given and decide where weights come from, as on the command line.
    pub fn of_weights(&self) -> Vec<String> {
        let files = self.weights.iter().map(|(net, file)| format!("--weights {net}={}", file.display()));
        files.chain(self.fresh.then(|| "--fresh".to_string())).collect()
    }

    /// The options that were given and decide how a net is compiled.
    pub fn of_compilation(&self) -> Vec<String> {
        let options = [
            self.exact.then(|| "--exact".to_string()),
            self.max_memory.map(|bytes| format!("--max-memory {bytes}")),
            self.precision.map(|precision| format!("--precision {}", precision.name())),
            self.calibrate.as_ref().map(|folder| format!("--calibrate {}", folder.display())),
        ];
        options.into_iter().flatten().collect()
    }

    /// The options that were given and decide what a net computes.
    pub fn given(&self) -> Vec<String> {
        [self.of_weights(), self.of_compilation()].concat()
    }

    /// Checks that the options do not contradict an artifact, which was compiled with its own. `--allow-untrained` allows, whatever the
    /// net.
    ///
    /// # Errors
    /// The options that do.
    pub fn check_artifact(&self, path: &str, manifest: &Manifest) -> Result<(), Diagnostic> {
        let (net, path) = (&manifest.net, in_shell(path));
        let source = format!("`netc inspect {path} --source` prints the spec that it was built from");
        if let Some(other) = self.net.as_ref().filter(|other| *other != net) {
            let message = format!("{path} contains only the net `{net}`, not `{other}`");
            return Err(Diagnostic::new(Code::Option, message).help(source));
        }
        let given = self.given();
        if given.is_empty() {
            return Ok(());
        }
        let message = format!("{path} is compiled already: {} cannot change it", names(&given));
        Err(Diagnostic::new(Code::Option, message)
            .note("its weights, its number format and its algorithms were chosen when it was built")
            .help(format!("build it again: `netc build SPEC {} -o {path}`", given.join(" ")))
            .help(source))
    }

    pub fn options(&self) -> BuildOptions {
        BuildOptions {
            net: self.net.clone(),
            weights: self.weights.iter().cloned().collect::<BTreeMap<_, _>>(),
            allow_untrained: self.allow_untrained,
            allow_missing: false,
            exact: self.exact,
            fresh: self.fresh,
            max_memory: self.max_memory,
            precision: self.precision.unwrap_or_default(),
            calibration: self.calibrate.clone().map(CalibrationSource::Folder).unwrap_or_default(),
        }
    }
}

/// The names of options that have values, for a sentence.
pub fn names(given: &[String]) -> String {
    all_of(given.iter().map(|option| option.split(' ').next().unwrap_or(option)))
}
