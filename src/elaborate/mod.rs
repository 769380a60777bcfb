//! Elaboration, from syntax trees to graphs: resolves names, instantiates nets and repeats, applies cuts and infers shapes.
//!
//! [`load`] reads a spec with all the files it uses, [`Spec::graph`] expands one of its nets.

mod argument;
mod budget;
mod elaborator;
mod environment;
pub(crate) mod expand;
mod expected_signature;
pub mod generic;
mod graph_builder;
pub mod names;
pub mod project;
pub mod requests;
pub mod settings;
mod spec;

pub use argument::cut_of_file;
pub use spec::{Setting, Spec, identifier, load, load_stored, load_text};
