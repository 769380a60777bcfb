//! Help and completion for recipes, derived from the table of keys.

use super::keys::key::{Key, NamedChoice};
use super::keys::{self, KEYS};
use super::values::choice;
use crate::diagnostics::suggest;

/// The names that an entry of a recipe takes; none where it takes numbers, or there is no such entry.
pub fn choices(key: &str) -> Vec<NamedChoice> {
    keys::find(key).map_or_else(Vec::new, |key| (key.choices)())
}

/// The choice of a name, such as `Momentum` or `warm_up`, whatever its key.
pub fn find_choice(name: &str) -> Option<NamedChoice> {
    KEYS.iter().flat_map(|key| (key.choices)()).find(|choice| choice.name == name)
}

/// The names of the choices that [`documentation`] knows, in the order of the keys, each once.
pub fn names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for choice in KEYS.iter().flat_map(|key| (key.choices)()) {
        if !choice.summary.is_empty() && !names.contains(&choice.name) {
            names.push(choice.name);
        }
    }
    names
}

/// What `netc help NAME` prints of a key of recipes, or of a name that a key takes.
pub fn documentation(name: &str) -> Option<String> {
    if let Some(key) = keys::find(name) {
        let names: Vec<&str> = (key.choices)().iter().map(|choice| choice.name).collect();
        let takes = if names.is_empty() { String::new() } else { format!("Takes {}.\n", suggest::one_of(names)) };
        let (name, summary, default) = (key.name, key.summary, key.default);
        return Some(format!("{name}\n\nAn entry of recipes: {summary}.\n{takes}Default: {default}.\n"));
    }
    let of_key = |key: &Key| {
        let choice = (key.choices)().into_iter().find(|choice| choice.name == name)?;
        Some((key.name, choice)).filter(|_| !choice.summary.is_empty())
    };
    let found: Vec<(&str, NamedChoice)> = KEYS.iter().filter_map(of_key).collect();
    let &(_, first) = found.first()?;
    // A loss and a metric may have one name; others mean the same under each key.
    let mut lines: Vec<String> = Vec::new();
    for (key, choice) in &found {
        let line = match *key {
            "loss" => format!("A loss: {}", choice.summary),
            "metrics" => format!("A metric: {}", choice.summary),
            _ => choice.summary.to_string(),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Some(choice::documentation(first.name, &lines.join("\n"), first.arguments))
}
