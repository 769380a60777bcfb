//! Builds items, names, cuts and strings.

use super::{Builder, Built};
use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::ast::*;
use crate::syntax::grammar::Rule;
use crate::syntax::parse::literals::{escape, int};
use pest::iterators::Pair;

impl Builder {
    /// Builds an `item` pair; its documentation is in comments, which pest skips.
    pub fn item(&self, pair: Pair<Rule>, docs: Vec<String>) -> Built<Item> {
        let span = self.span(&pair);
        let item = pair.into_inner().next().ok_or_else(|| self.missing(span))?;
        let kind = match item.as_rule() {
            Rule::use_item => match self.parts(item).next() {
                Some(text) => ItemKind::Use(self.text(text, 0)?),
                None => return Err(self.missing(span)),
            },
            Rule::net_item => ItemKind::Net(self.net(item)?),
            Rule::weights_item => {
                let (net, file, options) = self.binding_item(item)?;
                ItemKind::Weights(WeightsItem { net, file: file.ok_or_else(|| self.missing(span))?, options })
            }
            Rule::labels_item => {
                let (net, source, _) = self.binding_item(item)?;
                ItemKind::Labels(LabelsItem { net, source: source.ok_or_else(|| self.missing(span))? })
            }
            Rule::train_item => {
                let (net, _, entries) = self.binding_item(item)?;
                ItemKind::Train(TrainItem { net, entries })
            }
            Rule::expect_item => ItemKind::Expect(self.expectation(item)?),
            _ => return Err(self.missing(span)),
        };
        Ok(Item { docs, kind, span })
    }

    fn net(&self, pair: Pair<Rule>) -> Built<NetItem> {
        let span = self.span(&pair);
        let (mut name, mut parameters, mut signature, mut body) = (None, Vec::new(), None, None);
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::parameters => {
                    parameters = self.parts(part).map(|part| self.parameter(part)).collect::<Built<_>>()?;
                }
                Rule::signature => signature = Some(self.signature(part)?),
                _ => body = Some(self.expr(part, 0)?),
            }
        }
        match (name, body) {
            (Some(name), Some(body)) => Ok(NetItem { name, parameters, signature, body }),
            _ => Err(self.missing(span)),
        }
    }

    fn parameter(&self, pair: Pair<Rule>) -> Built<Parameter> {
        let span = self.span(&pair);
        let mut parts = self.parts(pair);
        let name = parts.next().map(|part| self.ident(&part)).ok_or_else(|| self.missing(span))?;
        let default = parts.next().map(|part| self.expr(part, 0)).transpose()?;
        Ok(Parameter { name, default })
    }

    fn signature(&self, pair: Pair<Rule>) -> Built<Signature> {
        let span = self.span(&pair);
        let mut sides = self.parts(pair).map(|side| self.shapes(side));
        match (sides.next().transpose()?, sides.next().transpose()?) {
            (Some(inputs), Some(outputs)) => Ok(Signature { inputs, outputs, span }),
            _ => Err(self.missing(span)),
        }
    }

    fn shapes(&self, pair: Pair<Rule>) -> Built<Vec<ShapePattern>> {
        self.parts(pair)
            .map(|shape| {
                let span = self.span(&shape);
                Ok(ShapePattern { sizes: self.exprs(shape, 0)?, span })
            })
            .collect()
    }

    /// `NAME` with an optional expression and optional entries: the form of `weights`, `labels` and `train`.
    fn binding_item(&self, pair: Pair<Rule>) -> Built<(Ident, Option<Expr>, Vec<Entry>)> {
        let span = self.span(&pair);
        let (mut net, mut value, mut entries) = (None, None, Vec::new());
        for part in self.parts(pair) {
            match part.as_rule() {
                Rule::ident => net = Some(self.ident(&part)),
                Rule::entries => entries = self.parts(part).map(|part| self.entry(part)).collect::<Built<_>>()?,
                _ => value = Some(self.expr(part, 0)?),
            }
        }
        Ok((net.ok_or_else(|| self.missing(span))?, value, entries))
    }

    fn entry(&self, pair: Pair<Rule>) -> Built<Entry> {
        let span = self.span(&pair);
        let mut parts = self.parts(pair);
        match (parts.next(), parts.next()) {
            (Some(key), Some(value)) => Ok(Entry { key: self.ident(&key), value: self.expr(value, 0)? }),
            _ => Err(self.missing(span)),
        }
    }

    fn expectation(&self, pair: Pair<Rule>) -> Built<ExpectItem> {
        let span = self.span(&pair);
        let mut net = None;
        for part in self.parts(pair) {
            match (part.as_rule(), net.take()) {
                (Rule::ident, _) => net = Some(self.ident(&part)),
                (Rule::signature, Some(net)) => {
                    return Ok(ExpectItem::Signature { net, signature: self.signature(part)? });
                }
                _ => return Ok(ExpectItem::Condition(self.expr(part, 0)?)),
            }
        }
        Err(self.missing(span))
    }

    /// The `[…]` of a cut.
    pub fn cut(&self, pair: Pair<Rule>, depth: usize) -> Built<CutRange> {
        let span = self.span(&pair);
        let (mut start, mut range, mut end) = (None, None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::range => range = Some(part.as_str() == "..="),
                Rule::cut_end if range.is_none() => start = Some(self.cut_end(part, depth)?),
                Rule::cut_end => end = Some(self.cut_end(part, depth)?),
                _ => {}
            }
        }
        match (range, start, end) {
            (None, Some(one), _) => Ok(CutRange::One(one)),
            (Some(true), _, None) => Err(Diagnostic::new(Code::Syntax, "`..=` needs an end")
                .at(span, "the end after `..=` is missing")
                .help("name the last layer, `[..=conv1]`, or leave out the `=`: `[conv1..]` goes to the end")),
            (Some(inclusive), start, end) => Ok(CutRange::Range { start, end, inclusive }),
            (None, None, _) => Err(Diagnostic::new(Code::Syntax, "this cut is empty")
                .at(span, "a layer or a range is missing")
                .help("write the name of a layer or a range: `[conv1]`, `[..dropout-2]`, `[-3..]`")),
        }
    }

    fn cut_end(&self, pair: Pair<Rule>, depth: usize) -> Built<CutEnd> {
        let span = self.span(&pair);
        let part = pair.into_inner().next().ok_or_else(|| self.missing(span))?;
        match part.as_rule() {
            Rule::index => {
                let sign = if part.as_str().starts_with('-') { -1 } else { 1 };
                Ok(CutEnd::Index(sign * int(part.as_str().trim_start_matches('-'), span)?, span))
            }
            _ => Ok(CutEnd::Name(self.layer_name(part, depth)?)),
        }
    }

    /// Builds a `layer_name` pair.
    pub fn layer_name(&self, pair: Pair<Rule>, depth: usize) -> Built<LayerName> {
        let span = self.span(&pair);
        let part = pair.into_inner().next().ok_or_else(|| self.missing(span))?;
        match part.as_rule() {
            Rule::text => Ok(LayerName { text: self.text(part, depth)?, quoted: true }),
            _ => {
                let parts = vec![TextPart::Literal(part.as_str().to_string())];
                Ok(LayerName { text: Text { parts, span }, quoted: false })
            }
        }
    }

    /// Builds a `text` pair: escapes are resolved, adjacent characters become one part.
    pub fn text(&self, pair: Pair<Rule>, depth: usize) -> Built<Text> {
        let span = self.span(&pair);
        let mut parts = Vec::new();
        let mut literal = String::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::chars => literal.push_str(part.as_str()),
                Rule::brace => literal.push_str(&part.as_str()[..1]),
                Rule::escape => literal.push(escape(part.as_str(), self.span(&part))?),
                _ => {
                    if !literal.is_empty() {
                        parts.push(TextPart::Literal(std::mem::take(&mut literal)));
                    }
                    let span = self.span(&part);
                    let value = self.parts(part).next().ok_or_else(|| self.missing(span))?;
                    parts.push(TextPart::Value(self.expr(value, self.deeper(depth, 1, span)?)?));
                }
            }
        }
        if !literal.is_empty() {
            parts.push(TextPart::Literal(literal));
        }
        Ok(Text { parts, span })
    }
}
