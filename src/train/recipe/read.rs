//! Reads the recipes of a spec.

use super::definition::Recipe;
use super::keys;
use super::keys::key::{Entry, GivenEntry};
use super::settings::apply;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::elaborate::Spec;
use crate::syntax::ast::Ident;

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

/// The recipe of a net, with the settings of the command line.
///
/// # Errors
/// The net has none, or an entry has an invalid value; the errors of all entries are reported.
pub fn of(spec: &Spec, net: &str) -> Result<Recipe> {
    let Some((item, file)) = spec.project.recipes.get(net) else {
        let missing = Diagnostic::new(Code::Recipe, format!("there is no recipe for `{net}`"));
        return Err(missing
            .help(match &spec.cut_of {
                Some(whole) => format!("a cut is trained as a net of the file: `net NAME = {whole}[…]`, with a recipe"),
                None => format!("add one: `train {net} {{ data = images(\"folder\") }}`"),
            })
            .into());
    };
    let mut errors = Diagnostics::default();
    let mut entries = Vec::with_capacity(item.entries.len());
    for entry in &item.entries {
        let text = spec.sources.text(entry.value.span).split_whitespace().collect::<Vec<_>>().join(" ");
        match spec.value(&entry.value, *file) {
            Ok(value) => {
                let Ident { text: key, span: place } = entry.key.clone();
                entries.push(GivenEntry { key, place, text, value, file: *file });
            }
            Err(more) => errors.extend(more),
        }
    }
    for setting in &spec.settings {
        if let Err(more) = apply(spec, setting, *file, &mut entries) {
            errors.extend(more);
        }
    }
    let mut recipe = Recipe::new(item.net.span);
    for GivenEntry { key, place, text, value, file } in entries {
        // Unknown keys are reported by the check of keys.
        if let Some(key) = keys::find(&key) {
            let entry = Entry { key: key.name, value: &value, spec, file };
            if let Err(more) = (key.read)(entry, &mut recipe) {
                errors.extend(more);
            }
        }
        recipe.places.insert(key.clone(), place);
        recipe.entries.push((key, text));
    }
    recipe.settings = spec.settings.iter().map(|setting| setting.text.clone()).collect();
    if let Some(schedule) = recipe.optimizer.schedule.take() {
        recipe.schedule.0.extend(schedule.0);
    }
    errors.or_errors(recipe).map(|(recipe, _)| recipe)
}
