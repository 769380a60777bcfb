//! Help and completion for recipes, derived from the table of keys.

use super::keys::key::{Key, NamedChoice};
use super::keys::{self, KEYS};
use super::values::choice;
use crate::diagnostics::suggest;
use std::fmt::Write;

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
        return Some(format!("{name}\n\nA key of recipes: {summary}.\n{takes}Default: {default}.\n"));
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

/// All keys and the names that they take, as a page in Markdown: `docs/recipes.md`.
pub fn page() -> String {
    let mut text = String::from(
        "# Recipes\n\nEvery key of a recipe, `train NAME { key = value … }`, and the names that it takes. \
         [Training](training.md) explains them by use.\n`netc help keep` prints one, `netc help --recipes` this page.\n\n\
         | key | what it sets | without it |\n|---|---|---|\n",
    );
    for Key { name, summary, default, .. } in KEYS.iter() {
        let _ = writeln!(text, "| [`{name}`](#{name}) | {} | {default} |", summary.replace('|', "\\|"));
    }
    // A name that several keys take is described under the first.
    let mut described: Vec<NamedChoice> = Vec::new();
    for key in KEYS.iter() {
        let (new, known): (Vec<NamedChoice>, Vec<NamedChoice>) =
            (key.choices)().into_iter().partition(|choice| !is_among(choice, &described));
        let _ = writeln!(text, "\n## {}\n\n{}. Without it: {}.", key.name, capitalised(key.summary), key.default);
        if !new.is_empty() {
            text.push('\n');
        }
        new.iter().for_each(|choice| text += &choice::item(choice.name, choice.summary, choice.arguments));
        if !known.is_empty() {
            let names: Vec<String> = known.iter().map(|choice| format!("`{}`", choice.name)).collect();
            let _ = writeln!(text, "\nAlso {}, as above.", names.join(", "));
        }
        described.extend(new);
    }
    text
}

fn is_among(choice: &NamedChoice, list: &[NamedChoice]) -> bool {
    list.iter().any(|known| known.name == choice.name && known.summary == choice.summary)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
