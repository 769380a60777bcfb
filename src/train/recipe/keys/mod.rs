//! The keys of a recipe.

pub mod key;
mod key_definitions;

use crate::request::RecipeKey;
use key::Key;
use key_definitions::definition;
use std::sync::LazyLock;

/// Every key.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| RecipeKey::ALL.iter().map(|&key| definition(key)).collect());

/// The key of a name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
