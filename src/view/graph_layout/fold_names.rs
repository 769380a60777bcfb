//! The names of blocks that are drawn once: what their layers' names have in common, with a `*` for the rest.

use super::boxes::LayerBox;
use crate::view::scopes::scopes;

/// Names with one part that differs: `blocks.0.norm1` and `blocks.1.norm1` have `blocks.*.norm1` in common.
struct Pattern {
    before: String,
    after: String,
    /// The part that differs, of each name.
    parts: Vec<String>,
}

/// The pattern of names; none if they are equal or have too little in common.
fn pattern(names: &[&str]) -> Option<Pattern> {
    let first: Vec<char> = names.first()?.chars().collect();
    let common = |other: &str, reversed: bool| {
        let equal = |(a, b): &(char, char)| a == b;
        match reversed {
            false => first.iter().copied().zip(other.chars()).take_while(equal).count(),
            true => first.iter().rev().copied().zip(other.chars().rev()).take_while(equal).count(),
        }
    };
    let mut before = names.iter().map(|name| common(name, false)).min()?;
    if before == first.len() && names.iter().all(|name| name.chars().count() == before) {
        return None;
    }
    // Numbers are not split.
    while before > 0 && first[before - 1].is_ascii_digit() {
        before -= 1;
    }
    let shortest = names.iter().map(|name| name.chars().count()).min()?;
    let mut after = names.iter().map(|name| common(name, true)).min()?.min(shortest - before);
    while after > 0 && first[first.len() - after].is_ascii_digit() {
        after -= 1;
    }
    let text = |characters: &[char]| characters.iter().collect::<String>();
    let parts: Vec<String> = names
        .iter()
        .map(|name| {
            let characters: Vec<char> = name.chars().collect();
            text(&characters[before..characters.len() - after])
        })
        .collect();
    let (before, after) = (text(&first[..before]), text(&first[first.len() - after..]));
    let separated = parts.iter().any(|part| part.is_empty() || part.contains(['/', '.']));
    let has_more = !before.is_empty() || !after.is_empty();
    (has_more && !separated).then_some(Pattern { before, after, parts })
}

impl Pattern {
    fn text(&self, between: &str) -> String {
        format!("{}{between}{}", self.before, self.after)
    }
}

/// `0–11`, `b, c`
fn range(parts: &[String]) -> String {
    let numbers: Vec<Option<u64>> = parts.iter().map(|part| part.parse().ok()).collect();
    let counts_up = numbers.windows(2).all(|pair| matches!(pair, [Some(a), Some(b)] if *b == a + 1));
    match parts {
        [first, .., last] if counts_up && parts.len() > 2 => format!("{first}–{last}"),
        [first, _, _, .., last] if parts.len() > 4 => format!("{first} … {last}"),
        parts => parts.join(", "),
    }
}

/// The names of the same box in all blocks, if the text gave them.
fn names<'b>(blocks: &[&'b [LayerBox]], position: usize) -> Vec<&'b str> {
    blocks
        .iter()
        .map(|block| &block[position])
        .filter(|one| !one.has_generated_name)
        .map(|one| one.name.as_str())
        .collect()
}

/// What the blocks of a fold are called together: the scope of each, `blocks.0–11`, or what differs in their names.
pub(super) fn label(blocks: &[&[LayerBox]]) -> String {
    let period = blocks.first().map_or(0, |block| block.len());
    let patterns = (0..period).map(|position| names(blocks, position)).filter(|names| names.len() == blocks.len());
    let Some(pattern) = patterns.filter_map(|names| pattern(&names)).next() else { return String::new() };
    // The part that differs is of a scope if a separator follows.
    match pattern.after.find(['/', '.']) {
        Some(end) => format!("{}{}{}", pattern.before, range(&pattern.parts), &pattern.after[..end]),
        None => format!("* = {}", range(&pattern.parts)),
    }
}

/// Names the boxes of the first block of a fold by what they have in common with those of the others.
pub(super) fn name_blocks(list: &mut [LayerBox], start: usize, period: usize, count: usize) {
    let blocks: Vec<&[LayerBox]> = list[start..start + period * count].chunks(period).collect();
    let new_names: Vec<Option<String>> = (0..period)
        .map(|position| {
            let one = &blocks[0][position];
            if one.has_generated_name {
                // Without its number.
                return one.name.rsplit_once('-').map(|(name, _)| name.to_string());
            }
            let pattern = pattern(&names(&blocks, position))?;
            Some(if period > 1 { pattern.text("*") } else { pattern.text(&range(&pattern.parts)) })
        })
        .collect();
    for (one, name) in list[start..].iter_mut().zip(new_names) {
        let Some(name) = name else { continue };
        if !one.has_generated_name {
            one.scopes = scopes(&name);
        }
        one.name = name;
    }
}
