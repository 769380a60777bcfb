//! Suggestions for mistyped words and file names.

use std::path::Path;

/// The candidate closest to a mistyped word: equal except for case and punctuation, the only one that a word of at least three
/// letters abbreviates, or within an edit distance of a third of its length (as in rustc and Gleam).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let is_abbreviation = folded.len() >= 3 && folded.chars().all(char::is_alphabetic);
    let mut longer = candidates.iter().filter(|candidate| is_abbreviation && fold(candidate).starts_with(&folded));
    if let (Some(only), None) = (longer.next(), longer.next()) {
        return Some(only);
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = if fold(candidate) == folded { 0 } else { strsim::damerau_levenshtein(word, candidate) };
            (distance <= word.chars().count().max(3) / 3).then_some((distance, candidate))
        })
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// The help line for a mistyped word; `None` without a close candidate.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(question)
}

/// The help line for the name of a family or of a variant: all candidates that begin with it, and those that it begins with; without
/// any, as [`did_you_mean`].
pub fn did_you_mean_family<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let folded = fold(word);
    let is_relative = |candidate: &&str| {
        let candidate = fold(candidate);
        folded.len() >= 3 && candidate.starts_with(&folded) || candidate.len() >= 3 && folded.starts_with(&candidate)
    };
    let family: Vec<&str> = candidates.iter().copied().filter(is_relative).collect();
    match family.is_empty() {
        false => Some(format!("did you mean {}?", one_of(family))),
        true => did_you_mean(word, candidates),
    }
}

/// The help line for a missing file: a file with a similar name in its folder or, if the folder is missing too, a folder with
/// a similar name.
pub fn did_you_mean_file(path: &Path) -> Option<String> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let path = missing.last().unwrap_or(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(10_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    did_you_mean(&wanted, names.iter().map(String::as_str).filter(|name| *name != wanted))
}

/// `did you mean …?`
pub fn question(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// Letters and digits in lower case: names that differ by case and punctuation alone have the same.
pub fn fold(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A list of alternatives for a sentence: `a`, `b` or `c`.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    list(words, "or")
}

/// A list for a sentence: `a`, `b` and `c`.
pub fn all_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    list(words, "and")
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>, conjunction: &str) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} {conjunction} {last}", others.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_words_are_suggested() {
        let layers = ["Convolution", "Conv", "Dense", "MaxPooling"];
        assert_eq!(nearest("Covn", layers), Some("Conv"));
        assert_eq!(nearest("max_pooling", layers), Some("MaxPooling"));
        assert_eq!(nearest("dropout-2", ["dropout-1", "dropout-2x", "relu-1"]), Some("dropout-1"));
        assert_eq!(nearest("Quux", layers), None);
    }

    #[test]
    fn families_are_suggested() {
        let nets = ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "resnext50", "unet"];
        let said = |word: &str| did_you_mean_family(word, nets).unwrap_or_default();
        assert_eq!(said("mobilenet-v3"), "did you mean `mobilenet_v3_small` or `mobilenet_v3_large`?");
        assert_eq!(said("resnext50_32x4d"), "did you mean `resnext50`?");
        assert_eq!(said("unett"), "did you mean `unet`?");
        assert_eq!(did_you_mean_family("vit", nets), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
