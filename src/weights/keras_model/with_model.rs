//! A store with the model that its file describes.

use super::model::Model;
use crate::request::Layout;
use crate::weights::store::{Entry, Store, StoreError};
use std::ops::Range;

/// A store with a model configuration.
#[derive(Debug)]
struct WithModel {
    store: Box<dyn Store>,
    model: Model,
}

/// Attaches the model configuration to the store.
pub(crate) fn with_model(store: Box<dyn Store>, model: Option<Model>) -> Box<dyn Store> {
    match model {
        Some(model) => Box::new(WithModel { store, model }),
        None => store,
    }
}

impl Store for WithModel {
    fn layout(&self) -> Layout {
        self.store.layout()
    }

    fn has_names(&self) -> bool {
        self.store.has_names()
    }

    fn entries(&self) -> &[Entry] {
        self.store.entries()
    }

    fn read_rows(&self, index: usize, rows: Range<usize>) -> Result<Vec<f32>, StoreError> {
        self.store.read_rows(index, rows)
    }

    fn model(&self) -> Option<&Model> {
        Some(&self.model)
    }
}
