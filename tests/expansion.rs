//! Short texts that expand a lot: the elaborator's budget ends every expansion. The tests count steps and measure no time.

mod random;

use netc::check;
use netc::diagnostics::Code;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use proptest::prelude::*;
use random::RandomChoices;
use std::collections::BTreeSet;
use std::path::Path;

/// A check starts no new net beyond 300 000 expanded layers, and one expansion ends at 1 000 000.
const MAX_EXPANDED: usize = 1_300_000;
/// Max layers of one net.
const MAX_LAYERS: usize = 100_000;

/// Generates random texts.
impl RandomChoices {
    /// Nets that use those after them, sometimes also themselves and those before.
    fn text(&mut self) -> String {
        let nets = 2 + self.below(12);
        let mut text = "net top = Input(4) >> f0\n".to_string();
        for net in 0..nets {
            let depth = 1 + self.below(3);
            let body = self.expression(net, nets, depth);
            text += &format!("net f{net}(n=\"a\", l=[1, 2], p=Relu) = {body}\n");
        }
        text
    }

    fn mention(&mut self, net: usize, nets: usize) -> String {
        let other = match self.below(60) {
            0 => self.below(nets),
            _ => net + 1,
        };
        if other >= nets {
            return self.pick(&["Relu", "Tanh", "p", "repeat x in l { p }"]).into();
        }
        let name = self.pick(&["n=n", "n=\"{n}{n}\"", "n=\"{n}b\""]);
        let list = self.pick(&["l=l", "l=[l, l]", "l=[l, 3]", "l=0..len(l)"]);
        let piece = self.pick(&["p=p", "p=p >> p", "p=(p | Relu) >> Add"]);
        format!("f{other}({name}, {list}, {piece})")
    }

    fn expression(&mut self, net: usize, nets: usize, depth: usize) -> String {
        if depth == 0 {
            return self.mention(net, nets);
        }
        let mut part = || self.expression(net, nets, depth - 1);
        let (a, b) = (part(), part());
        match self.below(8) {
            0 | 1 => format!("{a} >> {b}"),
            2 => format!("({a} | {b}) >> Add"),
            3 => {
                let count = self.pick(&["2", "3", "10", "1000", "10000", "1000000"]);
                format!("repeat({count}) {{ {a} }} >> {b}")
            }
            4 => format!("repeat x in [1, l, 2] {{ {a} }}"),
            5 => format!("({a}) as \"{{n}}\" >> {b}"),
            6 => format!("{{ let x = {a}  share y = {b}  (x >> y | x) >> Add }}"),
            _ => format!("if len(l) > 2 {{ {a} }} else {{ {b} }}"),
        }
    }
}

/// The text of a seed and the codes of its diagnostics; checks that its expansion stays within the limits.
fn expand(seed: u64) -> (String, BTreeSet<Code>) {
    let text = RandomChoices::new(seed).text();
    let spec = load_text(Path::new("top.net"), &text, &from_disk);
    assert!(spec.errors.is_empty(), "{text}");
    let checked = check::check(&spec, None);
    assert!(spec.expanded() <= MAX_EXPANDED, "{} layers\n{text}", spec.expanded());
    // Everything was counted: each layer once for every net that it belongs to, and names by their length.
    let nodes = || checked.graphs.iter().flat_map(|graph| &graph.nodes);
    let layers: usize = nodes().map(|node| node.origin.layers.len().max(1)).sum();
    let letters: usize = nodes().map(|node| node.name.len()).sum();
    assert!(layers <= spec.expanded(), "{layers} layers, {} counted\n{text}", spec.expanded());
    assert!(letters / 200 <= spec.expanded(), "{letters} letters, {} counted\n{text}", spec.expanded());
    assert!(checked.graphs.iter().all(|graph| graph.nodes.len() <= MAX_LAYERS), "{text}");
    (text, checked.diagnostics.iter().map(|error| error.code).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_budget_ends_every_expansion(seed: u64) {
        expand(seed);
    }
}

/// Some random texts reach the limits, and some stay within all of them.
#[test]
fn limits_are_reached_and_kept() {
    let results: Vec<(String, BTreeSet<Code>)> = (0..30).map(expand).collect();
    let count = |code: Code| results.iter().filter(|(_, codes)| codes.contains(&code)).count();
    let right = results.iter().filter(|(_, codes)| codes.iter().all(|code| code.is_lint())).count();
    assert!(right > 3 && count(Code::Limit) > 3 && count(Code::Recursion) > 0);
}
