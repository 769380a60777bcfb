//! The web page: one file with its style and script, which load nothing from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page.html");

/// The page, and the policy that lets a browser run it and nothing else.
#[derive(Debug)]
pub struct Page {
    pub html: &'static str,
    /// `Content-Security-Policy`: the style and the script by their digests.
    pub policy: String,
}

impl Page {
    pub fn new() -> Self {
        let digest = |tag: &str| {
            let content = element(HTML, tag).unwrap_or_default();
            format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
        };
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src 'self' blob: data:; connect-src 'self'; \
             form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
            digest("script"),
            digest("style")
        );
        Page { html: HTML, policy }
    }
}

/// The content of the only element with this tag.
fn element<'h>(html: &'h str, tag: &str) -> Option<&'h str> {
    let (_, rest) = html.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>")).map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(element(HTML, "script").is_some_and(|script| script.contains("fetch(")));
        assert!(element(HTML, "style").is_some_and(|style| style.contains("prefers-color-scheme")));
        for outside in ["http:", "https:", "src=\"//", "@import", "url(", "style=\"", "onclick"] {
            assert!(!HTML.contains(outside), "{outside}");
        }
    }
}
