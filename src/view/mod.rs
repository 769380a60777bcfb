//! Graphs for people: tables, drawings, pages.

pub mod svg;
pub mod table;
