//! Expressions to layers and values.

mod apply;
mod contract;
mod cut;
mod evaluate;
mod insert;
mod is_closed;
mod keyword_value;
mod reference;
