//! How much is printed, and whether in colour: the options `-q`, `-v` and `--color` of every command.

use clap::ValueEnum;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::sync::OnceLock;

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

const HEADING: &str = "Output";

/// The options of output, which every command takes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Style {
    /// Print errors and results only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = HEADING)]
    quiet: bool,
    /// Print complete lists, and the time of each stage
    #[arg(short, long, global = true, help_heading = HEADING)]
    verbose: bool,
    /// When to colour output
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", help_heading = HEADING)]
    color: Color,
}

static STYLE: OnceLock<Style> = OnceLock::new();

/// Sets the style of this process, once.
pub fn set(style: Style) {
    let _ = STYLE.set(style);
}

/// Sets the colours of arguments that are wrong otherwise.
pub fn set_color(arguments: &[OsString]) {
    set(Style { color: color_of(arguments), ..Style::default() });
}

/// The value of the last `--color WHEN` or `--color=WHEN`.
fn color_of(arguments: &[OsString]) -> Color {
    let mut color = Color::default();
    let mut words = arguments.iter().filter_map(|word| word.to_str()).peekable();
    while let Some(word) = words.next() {
        let when = match word {
            "--color" => words.peek().copied(),
            _ => word.strip_prefix("--color="),
        };
        color = when.and_then(|when| Color::from_str(when, false).ok()).unwrap_or(color);
    }
    color
}

fn style() -> Style {
    STYLE.get().copied().unwrap_or_default()
}

/// Whether only errors and results are printed.
pub fn is_quiet() -> bool {
    style().quiet
}

/// Whether lists are complete and stages timed.
pub fn is_verbose() -> bool {
    style().verbose
}

/// Whether to colour what goes to this stream.
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    coloured(style().color, stream.is_terminal(), std::env::var_os("NO_COLOR"), std::env::var_os("TERM"))
}

/// The conventions of NO_COLOR (no-color.org: set and not empty) and of TERM.
fn coloured(choice: Color, terminal: bool, no_color: Option<OsString>, term: Option<OsString>) -> bool {
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            terminal && no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|value| value != "dumb")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Color, color_of, coloured};

    #[test]
    fn colours_follow_the_conventions_of_terminals() {
        let auto = |terminal, no_color: Option<&str>, term: Option<&str>| {
            coloured(Color::Auto, terminal, no_color.map(Into::into), term.map(Into::into))
        };
        assert!(auto(true, None, Some("xterm")) && auto(true, Some(""), None));
        assert!(!auto(false, None, Some("xterm")));
        assert!(!auto(true, Some("1"), Some("xterm")));
        assert!(!auto(true, None, Some("dumb")));
        assert!(coloured(Color::Always, false, Some("1".into()), Some("dumb".into())));
        assert!(!coloured(Color::Never, true, None, None));
    }

    #[test]
    fn the_option_is_found_among_wrong_arguments() {
        let of = |words: &[&str]| color_of(&words.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(of(&["netc", "--color", "never", "--wrong"]), Color::Never);
        assert_eq!(of(&["netc", "show", "--color=always"]), Color::Always);
        assert_eq!(of(&["netc", "--color", "--wrong"]), Color::Auto);
    }
}
