//! Expansion of expressions into layers and values: the methods of [`Elaborator`](super::elaborator::Elaborator).

mod apply;
mod contract;
mod cut;
mod evaluate;
mod foreign_layer;
mod foreign_place;
mod insert;
mod keyword_value;
mod reference;
mod starts_at_input;
