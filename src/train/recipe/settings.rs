//! Applies the settings of the command line to the entries of a recipe.

use super::keys;
use super::keys::key::GivenEntry;
use super::values::choice::likely;
use crate::diagnostics::{Code, Diagnostic, Result, suggest};
use crate::elaborate::Setting;
use crate::elaborate::Spec;
use crate::graph::{Argument, Value, ValueKind};
use crate::request::RecipeKey;
use crate::source::FileId;
use crate::syntax::ast::Ident;

/// Sets an entry, or an argument or entry within its value. Names in the value are those of the spec's `file`.
///
/// # Errors
/// A value that cannot be evaluated, or a part that the entry's value does not have.
pub(super) fn apply(spec: &Spec, setting: &Setting, file: FileId, entries: &mut Vec<GivenEntry>) -> Result<()> {
    let value = spec.value(&setting.value, file)?;
    let key = &setting.key.text;
    let at = entries.iter().position(|entry| entry.key == *key);
    let Some(part) = &setting.part else {
        let text = value.to_string();
        let entry = GivenEntry { key: key.clone(), place: setting.key.span, text, value, file: setting.file };
        match at {
            Some(at) => entries[at] = entry,
            None => entries.push(entry),
        }
        return Ok(());
    };
    if keys::find(key).is_none() {
        // Reported by the check of keys.
        return Ok(());
    }
    let at = match at {
        Some(at) => at,
        None => {
            let Some(value) = default_value(setting) else {
                let message = format!("the recipe has no `{key}` to set `{}` of", part.text);
                let help = format!("set all of it: `--set {key}=…`");
                return Err(Diagnostic::new(Code::Recipe, message)
                    .at(setting.key.span, "is not in the recipe")
                    .help(help)
                    .into());
            };
            let place = setting.key.span;
            entries.push(GivenEntry { key: key.clone(), place, text: String::new(), value, file });
            entries.len() - 1
        }
    };
    let entry = &mut entries[at];
    set_part(key, &mut entry.value, part, value)?;
    entry.text = entry.value.to_string();
    Ok(())
}

/// The value of an absent entry that has arguments.
fn default_value(setting: &Setting) -> Option<Value> {
    let kind = match &setting.key.text {
        key if key == RecipeKey::Optimizer.name() => ValueKind::Word("Momentum".into()),
        _ => return None,
    };
    Some(Value { kind, span: setting.key.span })
}

/// The arguments of a value by its name: those of a choice of the key.
fn arguments_of(key: &str, name: &str) -> &'static [Argument] {
    let choices = keys::find(key).map_or_else(Vec::new, |key| (key.choices)());
    choices.iter().find(|choice| choice.name == name).map_or(&[], |choice| choice.arguments)
}

/// The names of the parts of a value that can be set.
fn parts(key: &str, value: &Value) -> Vec<String> {
    match &value.kind {
        ValueKind::Word(name) | ValueKind::Construct { name, .. } => {
            arguments_of(key, name).iter().map(|argument| argument.name.to_string()).collect()
        }
        ValueKind::List(list) => list.iter().flat_map(|value| parts(key, value)).collect(),
        ValueKind::Map(entries) => entries.iter().filter_map(|(key, _)| key_text(key)).collect(),
        _ => Vec::new(),
    }
}

/// The key of a map's entry, as a setting writes it.
fn key_text(key: &Value) -> Option<String> {
    match &key.kind {
        ValueKind::Text(text) | ValueKind::Word(text) => Some(text.clone()),
        ValueKind::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

fn set_part(key: &str, value: &mut Value, part: &Ident, to: Value) -> Result<()> {
    match &mut value.kind {
        ValueKind::Map(entries) => {
            match entries.iter_mut().find(|(name, _)| key_text(name).is_some_and(|name| name == part.text)) {
                Some((_, old)) => *old = to,
                None => {
                    let name = match part.text.parse() {
                        Ok(number) => ValueKind::Int(number),
                        Err(_) => ValueKind::Text(part.text.clone()),
                    };
                    entries.push((Value { kind: name, span: part.span }, to));
                }
            }
            return Ok(());
        }
        // Of a list, the one value that has such an argument.
        ValueKind::List(list) => {
            let mut having = list.iter_mut().filter(|value| parts(key, value).contains(&part.text));
            if let (Some(one), None) = (having.next(), having.next()) {
                return set_part(key, one, part, to);
            }
        }
        ValueKind::Word(name) | ValueKind::Construct { name, .. } => {
            let known = arguments_of(key, name);
            if let Some(place) = known.iter().position(|argument| argument.name == part.text) {
                let name = name.clone();
                let mut arguments = match &mut value.kind {
                    ValueKind::Construct { arguments, .. } => std::mem::take(arguments),
                    _ => Vec::new(),
                };
                let is_named = |name: &Option<(String, _)>| name.as_ref().is_some_and(|(name, _)| *name == part.text);
                let by_position = arguments.iter().take_while(|(name, _)| name.is_none()).count();
                match arguments.iter().position(|(name, _)| is_named(name)).or((place < by_position).then_some(place)) {
                    Some(at) => arguments[at].1 = to,
                    None => arguments.push((Some((part.text.clone(), part.span)), to)),
                }
                value.kind = ValueKind::Construct { name, arguments };
                return Ok(());
            }
        }
        _ => {}
    }
    let known = parts(key, value);
    let names = || known.iter().map(String::as_str);
    let label = match known.is_empty() {
        true => format!("`{key}` is `{value}`, which has no arguments or entries"),
        false => format!("it has {}", suggest::all_of(names())),
    };
    let diagnostic = Diagnostic::new(Code::Recipe, format!("`{key}` has no `{}` to set", part.text));
    let meant = crate::diagnostics::foreign_names::option(&part.text, &names().collect::<Vec<_>>());
    Err(diagnostic
        .at(part.span, label)
        .and(value.span, "the value in the recipe")
        .suggest_name(part.span, &part.text, meant.or_else(|| likely(&part.text, names())))
        .into())
}
