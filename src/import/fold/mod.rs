//! Repeated structure becomes nets with parameters, and runs of equal calls become `repeat`.
//!
//! Greedy grammar compression: of all pieces of chains that occur several times with the same layers and the same pattern of names,
//! the one that saves most is made a net, until none saves anything. What differs between its places becomes its parameters.

mod pieces;
mod repeats;
mod shares;
mod texts;
mod unify;

use super::tree::{Chain, Expr, Net};
use crate::syntax::KEYWORDS;
use pieces::{Piece, Search};
pub(super) use shares::shares;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Chains with more elements in all stay as they are.
const MAX_ELEMENTS: usize = 4_000;
/// The longest piece, in elements of a chain.
const MAX_PIECE: usize = 24;
/// So many of the pieces that seem to save most are looked at.
const MAX_TRIED: usize = 24;
/// The most nets that are made.
const MAX_NETS: usize = 40;

/// The chain of the main net with its repetitions folded, and the nets that it uses, of which `nets` were there before.
pub(super) fn fold(main: &Net, nets: Vec<Net>, taken: &BTreeSet<String>) -> (Chain, Vec<Net>) {
    let bodies: Vec<Chain> =
        std::iter::once(main.body.clone()).chain(nets.iter().map(|net| net.body.clone())).collect();
    let mut folder = Folder { bodies, nets, taken: taken.clone() };
    if folder.bodies.iter().map(pieces::elements).sum::<usize>() <= MAX_ELEMENTS {
        // Runs become repeats before they are parts of larger pieces, which may then have runs of several lengths.
        for any_numbers in [false, true] {
            let search = Search { longest: MAX_PIECE, any_numbers };
            while folder.nets.len() < MAX_NETS && folder.extract(&search) {
                folder.bodies.iter_mut().for_each(repeats::find);
            }
        }
        folder.bodies.iter_mut().for_each(repeats::find);
    }
    folder.finish(&main.shares)
}

struct Folder {
    /// The chain of the main net, then those of `nets`.
    bodies: Vec<Chain>,
    nets: Vec<Net>,
    taken: BTreeSet<String>,
}

impl Folder {
    /// Makes a net of the piece that saves most; whether there was one.
    fn extract(&mut self, search: &Search) -> bool {
        let mut found: HashMap<pieces::Key, Vec<Piece>> = HashMap::new();
        for (body, chain) in self.bodies.iter().enumerate() {
            pieces::of(body, chain, search, &mut |key, piece| found.entry(key).or_default().push(piece));
        }
        let mut candidates: Vec<(i64, Vec<Piece>)> = Vec::new();
        for mut places in found.into_values() {
            places.sort();
            let apart = pieces::apart(places);
            // Those whose activations may differ, but do not, are found as others too.
            if let [first, ..] = &apart[..]
                && !first.activations.is_empty()
                && apart.iter().all(|piece| piece.activations == first.activations)
            {
                continue;
            }
            let (count, weight) = (apart.len() as i64, apart.first().map_or(0, |piece| piece.weight as i64));
            let saved = count * weight - (count + weight + 1);
            if count >= 2 && weight >= 2 && saved > 0 {
                candidates.push((saved, apart));
            }
        }
        // Deterministic: by what is saved, then the longer, then the first.
        candidates.sort_by(|(a, x), (b, y)| b.cmp(a).then(y[0].length.cmp(&x[0].length)).then(x.cmp(y)));
        let best = candidates
            .iter()
            .take(MAX_TRIED)
            .filter_map(|(saved, places)| {
                let chains: Vec<&[Expr]> = places.iter().map(|place| place.slice(&self.bodies)).collect();
                let unified = unify::unify(&chains, &self.nets);
                // Many parameters are no help to a reader, unless a whole module has them; nor is an activation that most have.
                let free = if places.iter().all(|place| place.is_module) { 7 } else { 4 };
                let activations = unified.parameters.iter().filter(|(name, _)| pieces::is_activation_parameter(name));
                let costs = (unified.parameters.len() as i64 - free).max(0) + activations.count() as i64;
                let cost = places.len() as i64 * costs;
                (saved - cost > 0).then_some((saved - cost, places, unified))
            })
            .max_by_key(|(saved, places, _)| (*saved, places[0].length));
        let Some((_, places, unified)) = best else { return false };
        let name = self.name(&unified.body);
        let calls = unified.calls(&name);
        for (place, call) in places.iter().zip(calls).rev() {
            place.replace(&mut self.bodies, Expr::Call(call));
        }
        self.bodies.push(unified.body.clone());
        self.nets.push(Net { parameters: unified.parameters, ..Net::new(name, Vec::new(), Vec::new()) });
        true
    }

    /// What a net is called: by its layers, or by how it joins branches.
    fn name(&mut self, body: &Chain) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut joins = None;
        // What a block of `let`s is, its end says.
        let body = match &body[..] {
            [Expr::Block { result, .. }] => result,
            _ => body,
        };
        for expr in body {
            match expr {
                Expr::Repeat { .. } => joins = Some("stage"),
                Expr::Call(call) if call.is(&["Add"]) => joins = joins.or(Some("residual")),
                Expr::Call(call) if call.is(&["Multiply"]) => joins = joins.or(Some("gated")),
                Expr::Call(call) if call.is(&["Concatenate"]) => joins = joins.or(Some("joined")),
                Expr::Call(call) if pieces::is_activation_parameter(&call.function) => {}
                Expr::Call(call) => words.push(word(&call.function)),
                _ => {}
            }
        }
        let base = match joins {
            Some(joins) => joins.to_string(),
            None if (1..=3).contains(&words.len()) && words.join("_").split('_').count() <= 3 => words.join("_"),
            None => "block".into(),
        };
        let free = |name: &String| !self.taken.contains(name) && !KEYWORDS.contains(&name.as_str());
        let name = std::iter::once(base.clone())
            .chain((2..).map(|number| format!("{base}_{number}")))
            .find(free)
            .unwrap_or(base);
        self.taken.insert(name.clone());
        name
    }

    /// The nets in the order in which they are mentioned, first by the layers that the main net shares.
    fn finish(self, shares: &[(String, Chain)]) -> (Chain, Vec<Net>) {
        let Folder { mut bodies, mut nets, .. } = self;
        let main = bodies.remove(0);
        for (net, body) in nets.iter_mut().zip(bodies) {
            net.body = body;
        }
        let mut by_name: BTreeMap<String, Net> = nets.into_iter().map(|net| (net.name.clone(), net)).collect();
        let mut ordered = Vec::new();
        let mut open: Vec<Chain> = shares.iter().map(|(_, chain)| chain.clone()).chain([main.clone()]).collect();
        while !open.is_empty() {
            let mut next = Vec::new();
            for chain in open {
                pieces::calls(&chain, &mut |call| {
                    if let Some(net) = by_name.remove(&call.function) {
                        next.push(net.body.clone());
                        next.extend(net.shares.iter().map(|(_, chain)| chain.clone()));
                        ordered.push(net);
                    }
                });
            }
            open = next;
        }
        ordered.extend(by_name.into_values());
        (main, ordered)
    }
}

/// A layer in the name of a net.
fn word(function: &str) -> String {
    match function {
        "BatchNorm" => "bn".into(),
        "DepthwiseConv" => "dw".into(),
        _ => function.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::printing::Printer;
    use crate::import::tree::{Call, Val};

    fn conv(filters: i64, name: &str) -> Expr {
        let call = Call::layer("Conv").with("size", Val::Sizes(vec![3, 3])).with("filters", Val::Int(filters));
        Expr::Call(call.named(Some(name)))
    }

    fn relu() -> Expr {
        Expr::Call(Call::layer("Relu"))
    }

    fn folded(chain: Chain) -> Vec<String> {
        let (body, mut nets) = fold(&Net::new("main", Vec::new(), chain), Vec::new(), &BTreeSet::new());
        nets.insert(0, Net::new("main", Vec::new(), body));
        let printer = Printer { nets: &nets };
        nets.iter().map(|net| printer.net(net).split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn runs_become_repeats_and_what_differs_becomes_parameters() {
        let mut chain = Vec::new();
        for (block, filters, count) in [(1, 64, 2), (2, 128, 2), (3, 256, 4), (4, 512, 3)] {
            for at in 1..=count {
                chain.extend([conv(filters, &format!("conv{block}_{at}")), relu()]);
            }
            chain.push(Expr::Call(Call::layer("MaxPool").with("size", Val::Sizes(vec![2, 2]))));
        }
        assert_eq!(
            folded(chain),
            [
                "net main = stage(\"conv1\", 2, 64) >> stage(\"conv2\", 2, 128) >> stage(\"conv3\", 4, 256) >> stage(\"conv4\", 3, 512)",
                "net stage(name, count, filters) = repeat i in 1..=count { conv_relu(\"{name}_{i}\", filters) } >> MaxPool(2x2)",
                "net conv_relu(name, filters) = Conv(3x3, filters) as \"{name}\" >> Relu",
            ]
        );
    }

    #[test]
    fn numbers_in_names_may_count_by_themselves() {
        let part = |at: i64| {
            [conv(8, &format!("a{}", 2 * at)), conv(9, &format!("b{at}")), conv(8, &format!("a{}", 2 * at + 1)), relu()]
        };
        let text = folded((0..4).flat_map(part).collect());
        assert!(text[0].contains("block(2, 1)"), "{text:?}");
        assert!(text[1].contains("\"a{n + 1}\"") && text[1].contains("\"b{n_2}\""), "{text:?}");
    }

    #[test]
    fn a_chain_without_repetition_stays() {
        assert_eq!(
            folded(vec![conv(8, "a"), relu(), conv(9, "b")]),
            ["net main = Conv(3x3, 8) as a >> Relu >> Conv(3x3, 9) as b"]
        );
    }
}
