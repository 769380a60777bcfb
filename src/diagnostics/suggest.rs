//! Did you mean …?

/// The candidate that a mistyped word most likely meant: equal but for case, signs or a plural, or within an edit distance
/// of a third of its length (as rustc and Gleam do).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = if fold(candidate) == folded { 0 } else { strsim::damerau_levenshtein(word, candidate) };
            (distance <= word.chars().count().max(3) / 3).then_some((distance, candidate))
        })
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// The help line for a mistyped word, or none.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(question)
}

/// `did you mean …?`
pub fn question(word: &str) -> String {
    format!("did you mean `{word}`?")
}

fn fold(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A list for a sentence: `a`, `b` or `c`.
pub fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        let layers = ["Convolution", "Conv", "Dense", "MaxPooling"];
        assert_eq!(nearest("Covn", layers), Some("Conv"));
        assert_eq!(nearest("max_pooling", layers), Some("MaxPooling"));
        assert_eq!(nearest("dropout-2", ["dropout-1", "dropout-2x", "relu-1"]), Some("dropout-1"));
        assert_eq!(nearest("Quux", layers), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
