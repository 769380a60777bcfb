//! Scopes, which stand in the names of layers: `fire2/squeeze1x1` is in `fire2`, and so is `fire2.squeeze1x1`, as PyTorch's modules
//! are named.

/// What divides a scope from what is in it.
pub const SEPARATORS: [char; 2] = ['/', '.'];

/// Whether a layer has this name or is in the scope of this name.
pub fn is_in(layer: &str, name: &str) -> bool {
    layer.strip_prefix(name).is_some_and(|after| after.is_empty() || after.starts_with(SEPARATORS))
}

/// A layer's name and the scopes that it is in.
pub fn scopes(layer: &str) -> impl Iterator<Item = &str> {
    layer.match_indices(SEPARATORS).map(move |(at, _)| &layer[..at]).chain([layer])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_divided_by_slashes_and_dots() {
        assert!(is_in("blocks.11.norm1", "blocks.11") && is_in("fire2/expand1x1", "fire2") && is_in("fire2", "fire2"));
        assert!(!is_in("blocks.11.norm1", "blocks.1") && !is_in("fire2", "fire2/expand1x1"));
        assert_eq!(scopes("a/b.c").collect::<Vec<_>>(), ["a", "a/b", "a/b.c"]);
    }
}
