//! The extension module `netc._netc`: the Python package's functions that call the library. Values without behaviour are
//! classes of `netc/_values.py`, errors of `netc/_diagnostics.py`.

mod arguments;
mod arrays;
mod compile;
mod errors;
mod inspect;
mod model;
mod photos;
mod program;
mod training;
mod values;

/// As in the program: a refused allocation is reported with its size.
#[global_allocator]
static ALLOCATOR: netc::cli::out_of_memory::Allocator = netc::cli::out_of_memory::Allocator;

#[pyo3::pymodule]
mod _netc {
    #[pymodule_export]
    use crate::compile::{build, load, verify};
    #[pymodule_export]
    use crate::inspect::{check, show};
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::program::run_program;
    #[pymodule_export]
    use crate::training::{Training, train};

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // Python's name.
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
