//! A compiler for neural networks written as text.
//!
//! ```text
//! bird.net ──parse──▶ Ast ──elaborate──▶ Graph ──bind──▶ Graph + weights ──passes──▶ Graph ──lower──▶ Plan ──▶ bird.netb ──▶ Session
//!   text      (pest)         (names, nets,  (typed,    (HDF5 …)             (fused)             (steps, arena,  (artifact)   (runs)
//!                             cuts, shapes)  in order)                                           constants)
//! ```
//!
//! Each arrow is one function from one type to the next: [`syntax::parse`], [`elaborate::Spec::graph`], [`weights::bind::bind`],
//! [`passes::optimize`], [`lower::lower`], [`compile::Build::write`], [`artifact::Artifact::open`], [`runtime::Session::run`].
//! [`compile::build`] runs the whole pipeline. Each type has a deterministic text form, which `netc build --emit`
//! prints.
//!
//! A module uses only modules below it: `cli`, `lsp`, `serve`, `view`, `import`, `export`, `check`, `train`, `compile`,
//! `data`, `runtime`, `artifact`, `lower`, `passes`, `weights`, `elaborate`, `syntax`, `request`, `ops`, `graph`,
//! `plan`, `kernels`, `diagnostics`, `h5`, `onnx`, `content`, `file`, `source`, `tensor`, `element` and `size`.
//!
//! ```
//! use netc::{compile, elaborate, runtime::Session};
//! use std::sync::Arc;
//!
//! let spec = elaborate::load("specs/squeezenet1_1.net", &elaborate::project::source_files::from_disk).expect("the spec is there");
//! let (build, _) = compile::build(&spec, &compile::BuildOptions::default()).expect("it is right");
//! let mut session = Session::new(Arc::new(build.in_memory().expect("its weights can be read")), 2);
//! let (photo, mut probabilities) = (vec![0.0; 227 * 227 * 3], vec![0.0; 1000]);
//! session.run(1, &[&photo], &mut [&mut probabilities]).expect("sizes fit");
//! ```

#![deny(unsafe_code)] // Allowed by name: kernels, a session's arena, an artifact's map, the program's allocator.

// Asks the linker for the BLAS that kernels call.
#[cfg(feature = "blas")]
extern crate blas_src as _;

pub mod artifact;
pub mod check;
pub mod cli;
pub mod compile;
pub mod content;
pub mod data;
pub mod diagnostics;
pub mod elaborate;
pub mod element;
pub mod export;
pub mod file;
pub mod graph;
pub mod h5;
pub mod import;
#[allow(unsafe_code)]
pub mod kernels;
pub mod lower;
pub mod lsp;
pub mod onnx;
pub mod ops;
pub mod passes;
pub mod plan;
pub mod request;
pub mod runtime;
#[cfg(feature = "serve")]
pub mod serve;
pub mod size;
pub mod source;
pub mod syntax;
pub mod tensor;
pub mod train;
pub mod view;
pub mod weights;
