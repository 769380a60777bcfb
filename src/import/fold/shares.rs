//! Layers that a model applies several times with one set of parameters, as `share`.

use super::pieces::{self, Piece, chains};
use crate::elaborate::identifier;
use crate::import::tree::{Chain, Expr, Net, Part, Text, plain_text};
use crate::onnx::twins::Twin;
use crate::ops;
use crate::syntax::KEYWORDS;
use std::collections::{BTreeSet, HashMap};

/// The most layers of a chain that stands in the `share` itself.
const MAX_INLINE: usize = 3;

/// Makes shared layers of the equal pieces of a net whose layers are twins. Long ones become nets, which are returned.
pub(in crate::import) fn shares(net: &mut Net, twins: &HashMap<String, Twin>, taken: &BTreeSet<String>) -> Vec<Net> {
    let mut sharer = Sharer { twins, taken: taken.clone(), parts: Vec::new() };
    while let Some(places) = sharer.find(&net.body) {
        let chain = sharer.first_names(places[0].slice(std::slice::from_ref(&net.body)));
        let word = sharer.word(&chain, places.len());
        for place in places.iter().rev() {
            place.replace(std::slice::from_mut(&mut net.body), Expr::Value(word.clone()));
        }
        let chain = sharer.named(chain);
        net.shares.push((word, chain));
    }
    // What follows a block goes into it: the net's own braces are those of the block then.
    if !net.shares.is_empty() && matches!(net.body.first(), Some(Expr::Block { .. })) {
        let rest = net.body.split_off(1);
        if let Some(Expr::Block { result, .. }) = net.body.first_mut() {
            result.extend(rest);
        }
    }
    sharer.parts
}

struct Sharer<'t> {
    twins: &'t HashMap<String, Twin>,
    taken: BTreeSet<String>,
    parts: Vec<Net>,
}

/// An element of a chain: the path to the chain, its place there, and what it is with the names of first layers.
struct Element<'c> {
    path: Vec<(usize, usize)>,
    at: usize,
    expr: &'c Expr,
    key: String,
}

impl Sharer<'_> {
    /// The places of the first piece that stands in several, in the order of the text.
    fn find(&self, body: &Chain) -> Option<Vec<Piece>> {
        let mut all = Vec::new();
        self.elements(body, &mut Vec::new(), &mut all);
        let places = all.iter().enumerate().map(|(at, element)| ((&element.path[..], element.at), at));
        let place: HashMap<_, usize> = places.collect();
        // The element that is so many after, or before, others.
        let moved = |starts: &[usize], by: isize| -> Option<Vec<usize>> {
            let one = |&start: &usize| {
                let Element { path, at, .. } = &all[start];
                place.get(&(&path[..], at.checked_add_signed(by)?)).copied()
            };
            let found: Vec<usize> = starts.iter().map(one).collect::<Option<_>>()?;
            let first = &all[found[0]];
            let fits = |&at: &usize| all[at].key == first.key && !pieces::is_bound(all[at].expr, &[]);
            (!is_input(first.expr) && found.iter().all(fits)).then_some(found)
        };
        for start in 0..all.len() {
            if !self.is_certain(all[start].expr) {
                continue;
            }
            let starts: Vec<usize> = (start..all.len()).filter(|&at| all[at].key == all[start].key).collect();
            if starts.len() < 2 || moved(&starts, 0).is_none() {
                continue;
            }
            // Pieces in one chain are apart.
            let gaps = starts.iter().flat_map(|&a| starts.iter().map(move |&b| (a, b)));
            let gaps = gaps.filter(|&(a, b)| all[a].path == all[b].path && all[a].at < all[b].at);
            let most = gaps.map(|(a, b)| all[b].at - all[a].at).min().unwrap_or(usize::MAX);
            let mut length = 1;
            while length < most && moved(&starts, length as isize).is_some() {
                length += 1;
            }
            // Layers before that are twins too, if they are in all places.
            let mut before = 0;
            for step in 1.. {
                if length + step > most {
                    break;
                }
                let Some(found) = moved(&starts, -(step as isize)) else { break };
                if self.is_twin(all[found[0]].expr) {
                    before = step;
                }
            }
            let (first, chain) = (all[start].at - before, self.chain_of(body, &all[start].path));
            let mut piece = &chain[first..first + before + length];
            // Branches without what joins them are no net.
            while let [rest @ .., Expr::Branches(_)] = piece {
                piece = rest;
            }
            if !piece.iter().any(|expr| self.is_certain(expr)) {
                continue;
            }
            let length = piece.len();
            let of = |&at: &usize| Piece::at(all[at].path.clone(), all[at].at - before, length);
            return Some(starts.iter().map(of).collect());
        }
        None
    }

    fn chain_of<'c>(&self, body: &'c Chain, path: &[(usize, usize)]) -> &'c Chain {
        path.iter().fold(body, |chain, &(element, inner)| chains(&chain[element]).nth(inner).unwrap_or(chain))
    }

    /// Every element of a chain and of those in it, the outer ones first.
    fn elements<'c>(&self, chain: &'c Chain, path: &mut Vec<(usize, usize)>, out: &mut Vec<Element<'c>>) {
        for (at, expr) in chain.iter().enumerate() {
            let key = format!("{:?}", self.first_names(std::slice::from_ref(expr)));
            out.push(Element { path: path.clone(), at, expr, key });
            for (inner, chain) in chains(expr).enumerate() {
                path.push((at, inner));
                self.elements(chain, path, out);
                path.pop();
            }
        }
    }

    fn twin(&self, name: &Text) -> Option<&Twin> {
        let [Part::Literal(name)] = &name[..] else { return None };
        self.twins.get(name)
    }

    /// Whether all layers with names in an element are twins, at least one of them.
    fn is_twin(&self, expr: &Expr) -> bool {
        let (mut named, mut twins) = (0, 0);
        pieces::calls(std::slice::from_ref(expr), &mut |call| {
            named += usize::from(call.name.is_some());
            twins += usize::from(call.name.as_ref().is_some_and(|name| self.twin(name).is_some()));
        });
        named > 0 && named == twins
    }

    fn is_certain(&self, expr: &Expr) -> bool {
        let mut found = false;
        pieces::calls(std::slice::from_ref(expr), &mut |call| {
            found |= call.name.as_ref().and_then(|name| self.twin(name)).is_some_and(|twin| twin.is_certain);
        });
        found
    }

    /// The elements with the names of the first layers that have their parameters.
    fn first_names(&self, chain: &[Expr]) -> Chain {
        pieces::with_leaves(chain, &mut Clone::clone, &mut |name| match self.twin(name) {
            Some(twin) => vec![Part::Literal(twin.first.clone())],
            None => name.clone(),
        })
    }

    /// What shared layers are called: as the module that all are in, or the one layer.
    fn word(&mut self, chain: &Chain, places: usize) -> String {
        let mut names: Vec<String> = Vec::new();
        pieces::calls(chain, &mut |call| names.extend(call.name.as_ref().map(plain_text)));
        let parts = |name: &str| -> Vec<String> { name.split(['.', '/']).map(str::to_string).collect() };
        let mut common = names.first().map(|name| parts(name)).unwrap_or_default();
        for name in &names {
            let same = common.iter().zip(parts(name)).take_while(|(a, b)| *a == b).count();
            common.truncate(same);
        }
        let is_word = |word: &&String| word.len() > 2 && word.starts_with(|c: char| c.is_ascii_alphabetic());
        let word = common.iter().rev().find(is_word).map(|word| identifier(word));
        let word = word.filter(|word| !KEYWORDS.contains(&word.as_str()) && ops::find(word).is_none());
        self.free(&word.unwrap_or_else(|| if places == 2 { "twin".into() } else { "shared".into() }))
    }

    /// A name that is not taken yet, and is now.
    fn free(&mut self, base: &str) -> String {
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let found = std::iter::once(base.to_string()).chain(numbered).find(|name| !self.taken.contains(name));
        let found = found.unwrap_or_default();
        self.taken.insert(found.clone());
        found
    }

    /// A long chain as the mention of a net.
    fn named(&mut self, chain: Chain) -> Chain {
        if chain.len() <= MAX_INLINE && chain.iter().all(|expr| matches!(expr, Expr::Call(_))) {
            return chain;
        }
        let name = self.free("encoder");
        self.parts.push(Net::new(name.clone(), Vec::new(), chain));
        vec![Expr::Call(crate::import::tree::Call { function: name, arguments: Vec::new(), name: None })]
    }
}

fn is_input(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(call) if call.is(&["Input"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::printing::Printer;
    use crate::import::tree::{Call, Val};

    fn conv(name: &str) -> Expr {
        let call = Call::layer("Conv").with("size", Val::Sizes(vec![3, 3])).with("filters", Val::Int(8));
        Expr::Call(call.named(Some(name)))
    }

    fn plain(layer: &str) -> Expr {
        Expr::Call(Call::layer(layer))
    }

    fn norm(name: &str) -> Expr {
        Expr::Call(Call::layer("BatchNorm").named(Some(name)))
    }

    /// The text of a net whose layers `x-2`, `x-3` have the parameters of `x`.
    fn shared(body: Chain) -> Vec<String> {
        let mut twins = HashMap::new();
        pieces::calls(&body, &mut |call| {
            let name = call.name.as_ref().map(plain_text).unwrap_or_default();
            if let Some((first, _)) = name.split_once('-') {
                let twin = Twin { first: first.into(), is_certain: call.is(&["Conv"]) };
                twins.insert(first.to_string(), twin.clone());
                twins.insert(name, twin);
            }
        });
        let mut net = Net::new("main", Vec::new(), body);
        let parts = shares(&mut net, &twins, &BTreeSet::new());
        let printer = Printer { nets: &parts };
        let words = |net: &Net| printer.net(net).split_whitespace().collect::<Vec<_>>().join(" ");
        std::iter::once(&net).chain(&parts).map(words).collect()
    }

    #[test]
    fn what_branches_have_in_common_is_shared() {
        let branch = |call: &str| {
            vec![
                plain("Tanh"),
                norm(&format!("twin.bn{call}")),
                conv(&format!("twin.a{call}")),
                plain("Relu"),
                conv(&format!("twin.b{call}")),
            ]
        };
        let body = vec![Expr::Branches(vec![branch(""), branch("-2")]), plain("Subtract"), conv("head")];
        assert_eq!(
            shared(body),
            [
                "net main = { share twin = encoder (Tanh >> twin | Tanh >> twin) >> Subtract >> Conv(3x3, 8) as head }",
                "net encoder = BatchNorm as twin.bn >> Conv(3x3, 8) as twin.a >> Relu >> Conv(3x3, 8) as twin.b",
            ]
        );
    }

    #[test]
    fn a_layer_that_is_applied_again_is_shared_with_what_always_follows() {
        let step = |call: &str| [conv(&format!("step{call}")), plain("Relu")];
        let body = [vec![conv("first")], step("").to_vec(), step("-2").to_vec(), step("-3").to_vec()].concat();
        assert_eq!(
            shared(body),
            ["net main = { share step = Conv(3x3, 8) as step >> Relu Conv(3x3, 8) as first >> step >> step >> step }"]
        );
    }

    /// Two normalisations may have equal values.
    #[test]
    fn a_normalisation_alone_is_not_shared() {
        let body = vec![norm("a"), conv("b"), norm("a-2"), conv("c")];
        assert!(!shared(body)[0].contains("share"));
    }
}
