//! Layers along sequences, and attention as exporters write it out.

pub(super) mod attention;
pub(super) mod recurrent;
pub(super) mod view;
pub(super) mod views;
