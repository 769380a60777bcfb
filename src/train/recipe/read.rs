//! Reads the recipes of a spec.

use super::definition::Recipe;
use super::keys::{self, Entry};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::elaborate::Spec;

/// The errors of all recipes of a spec.
pub fn check(spec: &Spec) -> Diagnostics {
    let mut errors = Diagnostics::default();
    for net in spec.project.recipes.keys() {
        if let Err(more) = of(spec, net) {
            errors.extend(more);
        }
    }
    errors
}

/// The recipe of a net.
///
/// # Errors
/// The net has none, or an entry has an invalid value; the errors of all entries are reported.
pub fn of(spec: &Spec, net: &str) -> Result<Recipe> {
    let Some((item, file)) = spec.project.recipes.get(net) else {
        return Err(Diagnostic::new(Code::Recipe, format!("there is no recipe for `{net}`"))
            .help(format!("add one: `train {net} {{ data = images(\"folder\") }}`"))
            .into());
    };
    let mut errors = Diagnostics::default();
    let mut recipe = Recipe::new(item.net.span);
    for entry in &item.entries {
        let written = spec.sources.text(entry.value.span).split_whitespace().collect::<Vec<_>>().join(" ");
        recipe.entries.push((entry.key.text.clone(), written));
        let read = spec.value(&entry.value, *file).and_then(|value| match keys::find(&entry.key.text) {
            Some(key) => (key.read)(Entry { key: key.name, value: &value, spec, file: *file }, &mut recipe),
            // Reported by the check of keys.
            None => Ok(()),
        });
        if let Err(more) = read {
            errors.extend(more);
        }
    }
    if let Some(schedule) = recipe.optimizer.schedule.take() {
        recipe.schedule.0.extend(schedule.0);
    }
    errors.or_errors(recipe).map(|(recipe, _)| recipe)
}
