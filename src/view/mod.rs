//! Graphs for people: tables, drawings, pages.
