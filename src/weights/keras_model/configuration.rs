//! The configuration as it stands in a file.

use super::super::store::StoreError;
use super::Model;
use serde_json::Value;

/// The JSON of a model, and the version of Keras that wrote it, if the file says it.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub value: Value,
    pub version: Option<String>,
    /// Where it stands, for messages.
    pub location: String,
}

impl Configuration {
    /// Parses the text at `location`.
    ///
    /// # Errors
    /// If it is not JSON, or too long.
    pub fn parse(text: &str, version: Option<String>, location: impl Into<String>) -> Result<Self, StoreError> {
        let location = location.into();
        Ok(Configuration { value: Model::parse(text, &location)?, version, location })
    }

    /// Whether Keras 3 wrote it, which redefines some functions.
    pub fn is_keras3(&self) -> bool {
        self.version.as_deref().is_some_and(|version| version.starts_with('3'))
    }

    /// Its layers.
    ///
    /// # Errors
    /// If it has too many.
    pub fn model(&self) -> Result<Model, StoreError> {
        Model::read(&self.value, self.version.as_deref(), &self.location)
    }
}
