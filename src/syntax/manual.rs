//! The words of the language: sections of the book's chapter `docs/language.md`, for `netc help` and editors.

/// The chapter, whose sections start with `` ### `word` ``.
const CHAPTER: &str = include_str!("../../docs/language.md");

/// The section of a word, as text for a terminal: a paragraph is one line, and examples are indented.
pub fn section(word: &str) -> Option<String> {
    let body = sections().find(|(name, _)| *name == word)?.1;
    let (mut is_code, mut is_paragraph) = (false, false);
    let mut text = format!("{word}\n");
    for line in body.trim().lines() {
        if line.starts_with("```") {
            (is_code, is_paragraph) = (!is_code, false);
            continue;
        }
        let continues = is_paragraph && !line.is_empty() && !line.starts_with(['-', '|', '#']);
        text.push(if continues { ' ' } else { '\n' });
        if is_code && !line.is_empty() {
            text.push_str("    ");
        }
        text.push_str(if continues { line.trim_start() } else { line });
        is_paragraph = !is_code && !line.is_empty() && !line.starts_with(['|', '#']);
    }
    text.push('\n');
    Some(text)
}

/// The section of a word in Markdown, for hover.
pub fn markdown(word: &str) -> Option<&'static str> {
    sections().find(|(name, _)| *name == word).map(|(_, body)| body.trim())
}

/// The words that have a section, in the order of the chapter.
pub fn words() -> impl Iterator<Item = &'static str> {
    sections().map(|(name, _)| name)
}

/// Each word, with the text up to the next heading.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    CHAPTER.split("\n### `").skip(1).filter_map(|section| {
        let (word, body) = section.split_once("`\n")?;
        Some((word, body.split("\n## ").next().unwrap_or(body)))
    })
}

/// The terms that are netc's own: the rows of `| term | meaning |`.
const GLOSSARY: &str = include_str!("../../docs/glossary.md");

/// The meaning of a term of the glossary; a row may have several, and say of what.
pub fn term(word: &str) -> Option<&'static str> {
    GLOSSARY.lines().find_map(|line| {
        let (terms, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        let mut terms = terms.split(", ").map(|term| term.split(" (").next().unwrap_or(term));
        (meaning != "meaning" && terms.any(|term| term == word)).then_some(meaning)
    })
}

#[cfg(test)]
mod tests {
    use super::{markdown, section, term, words};
    use crate::syntax::KEYWORDS;

    #[test]
    fn every_reserved_word_has_a_section() {
        for word in KEYWORDS {
            assert!(markdown(word).is_some_and(|text| !text.is_empty()), "{word}");
        }
    }

    #[test]
    fn terms_of_a_row_have_its_meaning() {
        assert_eq!(term("fragment"), Some("a net without `Input`: it takes any input that fits"));
        assert!(term("contract").is_some() && term("contract") == term("signature"));
        assert!(term("layout").is_some_and(|meaning| meaning.starts_with("how a file")));
        assert_eq!((term("term"), term("net without")), (None, None));
    }

    #[test]
    fn a_section_reads_in_a_terminal() {
        insta::assert_snapshot!(section("repeat").unwrap_or_default() + &section("cut").unwrap_or_default());
        assert_eq!(words().last(), Some("comment"));
        assert!(section("values").is_some_and(|text| !text.contains("## ")));
    }
}
