//! Commands that compile a net, or run a compiled one.

pub mod bench;
pub mod build;
pub mod embed;
pub mod inspect;
pub mod predict;
#[cfg(feature = "serve")]
pub mod serve;
pub mod verify;
#[cfg(not(feature = "serve"))]
pub mod without_serve;

#[cfg(not(feature = "serve"))]
pub use without_serve as serve;
