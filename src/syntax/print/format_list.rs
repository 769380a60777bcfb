//! Formats lists in brackets.

use super::bracketed_list::{Element, Sequence};
use super::format::Formatter;
use super::inline::text_of;
use super::lines::{WIDTH, width};
use crate::syntax::ast::*;

impl Formatter<'_> {
    /// Writes a list in brackets, on one line or with lines of its own between the brackets.
    pub(crate) fn sequence(&mut self, sequence: &Sequence, indent: usize) {
        let elements = sequence.elements;
        let mut starts = vec![sequence.inside.start];
        starts.extend(elements.iter().map(|element| element.range().end));
        let apart: Vec<bool> =
            elements.iter().zip(&starts).map(|(element, &end)| self.breaks(end, element.range().start)).collect();
        let last = starts.last().copied().unwrap_or(sequence.inside.end);
        let values = || elements.iter().filter_map(|element| element.value());
        let holds_lines = values().any(|value| self.must_break(value));
        let flat: Vec<String> = elements.iter().map(|element| self.element_text(*element)).collect();
        let tall = |(element, text): (&Element, &String)| {
            let Some(value) = element.value() else { return false };
            let long = indent + 2 + width(text) > WIDTH && !self.must_break(value) && self.breaks_as_lines(value);
            long || self.hangs(value)
        };
        let hanging = elements.iter().zip(&flat).any(tall);
        let whole = format!("{}{}{}", sequence.open, flat.join(", "), sequence.close);
        let broken = apart.contains(&true) || hanging || self.page.has_comment(&(last..sequence.inside.end));
        if elements.is_empty() && !broken || !broken && !holds_lines && self.fits(&whole) {
            return self.page.push(if elements.is_empty() { whole.trim() } else { &whole });
        }
        let short: usize = elements
            .iter()
            .zip(&flat)
            .filter(|(element, _)| element.value().is_none_or(|value| !self.must_break(value)))
            .map(|(_, text)| width(text) + 2)
            .sum();
        if !broken && holds_lines && self.page.column() + short <= WIDTH {
            // An element of several lines, `f({ … })`, stays next to the brackets.
            for (index, element) in elements.iter().enumerate() {
                self.page.push(if index == 0 { sequence.open } else { ", " });
                self.element(*element, indent);
            }
            return self.page.push(sequence.close);
        }
        self.page.push(sequence.open.trim_end());
        let plain = elements.iter().all(|element| element.is_plain());
        for (index, element) in elements.iter().enumerate() {
            let range = element.range();
            // On the line of the previous element if the author wrote it there, or if all are plain values.
            let room = self.page.column() + 2 + width(&flat[index]) < WIDTH;
            let joins = index > 0
                && !apart[index]
                && room
                && !hanging
                && if apart.contains(&true) {
                    plain || !self.line_is_long(&apart, &flat, index, indent)
                } else {
                    plain
                };
            if joins {
                self.page.push(" ");
            } else {
                let end = if index == 0 { 0 } else { starts[index] };
                self.page.comments(end, range.start, indent + 2, false);
                self.page.next_line(indent + 2, false);
            }
            self.element(*element, indent + 2);
            if index + 1 < elements.len() || sequence.trailing {
                self.page.push(",");
            }
        }
        self.page.comments(if elements.is_empty() { 0 } else { last }, sequence.inside.end, indent + 2, false);
        self.page.next_line(indent, false);
        self.page.push(sequence.close.trim_start());
    }

    /// Whether the author's line around an element exceeds the line width.
    fn line_is_long(&self, apart: &[bool], flat: &[String], index: usize, indent: usize) -> bool {
        let start = (0..=index).rev().find(|&at| apart[at]).unwrap_or(0);
        let end = (index + 1..apart.len()).find(|&at| apart[at]).unwrap_or(apart.len());
        indent + 2 + flat[start..end].iter().map(|text| width(text) + 2).sum::<usize>() > WIDTH + 1
    }

    fn element(&mut self, element: Element, indent: usize) {
        let Some(value) =
            element.value().filter(|value| self.must_break(value) || !self.fits(&self.element_text(element)))
        else {
            let text = self.element_text(element);
            return self.page.push(&text);
        };
        match element {
            Element::Value(_) | Element::Argument(Argument { name: None, .. }) => self.expr(value, indent),
            Element::Argument(Argument { name: Some(name), .. }) | Element::Parameter(Parameter { name, .. }) => {
                self.page.push(&format!("{}=", name.text));
                self.value(value, "", indent);
            }
            Element::Pair((key, _)) => {
                self.expr(key, indent);
                self.page.push(" =");
                self.value(value, " ", indent);
            }
        }
    }

    fn element_text(&self, element: Element) -> String {
        text_of(|out| match element {
            Element::Value(value) => self.inline.expr(value, out),
            Element::Argument(argument) => self.inline.argument(argument, out),
            Element::Parameter(parameter) => self.inline.parameter(parameter, out),
            Element::Pair(pair) => self.inline.pair(pair, out),
        })
    }
}
