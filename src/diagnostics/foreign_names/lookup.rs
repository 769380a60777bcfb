//! Look-up of a word in a table.

use crate::diagnostics::suggest;

/// The entry of a table with this word, else with one that differs from it by case and punctuation.
pub(super) fn same_name<'t, T>(table: &'t [T], word: &str, words: impl Fn(&T) -> &[&str]) -> Option<&'t T> {
    let folded = suggest::fold(word);
    let exact = table.iter().find(|entry| words(entry).contains(&word));
    exact.or_else(|| table.iter().find(|entry| words(entry).iter().any(|word| suggest::fold(word) == folded)))
}

/// The value of a word.
pub(super) fn look_up<T: Copy>(table: &[(&[&str], T)], word: &str) -> Option<T> {
    same_name(table, word, |(words, _)| words).map(|(_, entry)| *entry)
}

/// As [`look_up`], also if the word is mistyped.
pub(super) fn look_up_near<T: Copy>(table: &[(&[&str], T)], word: &str) -> Option<T> {
    look_up(table, word).or_else(|| {
        let words = table.iter().flat_map(|(words, _)| words.iter().copied());
        look_up(table, suggest::nearest(word, words)?)
    })
}
