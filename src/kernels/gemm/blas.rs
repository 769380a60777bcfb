//! The OpenBLAS backend, single-threaded and in a caller-provided packing buffer.
//!
//! The bundled library is compiled by build.rs; it neither starts threads nor allocates, and its core is selected here by
//! CPU features. A system library selects its core itself, and is set to a single thread.

use super::block::Block;

#[cfg(openblas)]
mod library {
    use crate::kernels::gemm::block::Block;
    use crate::kernels::simd::isa::Isa;
    use std::sync::OnceLock;

    /// A core's GEMM, column-major: `(transpose a, transpose b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, buffer)`.
    type Sgemm = unsafe extern "C" fn(
        i32,
        i32,
        isize,
        isize,
        isize,
        f32,
        *const f32,
        isize,
        *const f32,
        isize,
        f32,
        *mut f32,
        isize,
        *mut f32,
    );

    /// OpenBLAS' kernels for one processor family (its "core").
    pub struct Core {
        name: &'static str,
        /// The instruction set that it requires.
        isa: Isa,
        sgemm: Sgemm,
        buffer_len: unsafe extern "C" fn() -> isize,
    }

    macro_rules! cores {
        ($($name:literal $isa:ident $sgemm:ident $buffer_len:ident,)*) => {
            unsafe extern "C" {
                $(
                    fn $sgemm(
                        _: i32, _: i32, _: isize, _: isize, _: isize, _: f32, _: *const f32, _: isize, _: *const f32,
                        _: isize, _: f32, _: *mut f32, _: isize, _: *mut f32,
                    );
                    fn $buffer_len() -> isize;
                )*
            }
            /// All cores of the build, in ascending order of capability.
            static CORES: &[Core] =
                &[$(Core { name: $name, isa: Isa::$isa, sgemm: $sgemm, buffer_len: $buffer_len },)*];
        };
    }

    // The cores that build.rs compiled.
    include!(concat!(env!("OUT_DIR"), "/cores.rs"));

    impl Core {
        /// Whether this machine supports it.
        fn is_supported(&self) -> bool {
            #[cfg(target_arch = "x86_64")]
            match self.isa {
                Isa::Portable => return is_x86_feature_detected!("sse3"),
                // OpenBLAS compiles these for Skylake-X, which has more extensions than our AVX-512F kernels need.
                Isa::Avx512 => {
                    return is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512dq")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512cd");
                }
                _ => {}
            }
            Isa::available().contains(&self.isa)
        }
    }

    /// The selected core: the one named by `OPENBLAS_CORETYPE` if the machine supports it, else the best.
    fn selected_core() -> Option<&'static Core> {
        static CORE: OnceLock<Option<&Core>> = OnceLock::new();
        *CORE.get_or_init(|| {
            let requested = std::env::var("OPENBLAS_CORETYPE").unwrap_or_default();
            let named = CORES.iter().find(|core| core.name.eq_ignore_ascii_case(&requested) && core.is_supported());
            named.or_else(|| CORES.iter().rev().find(|core| core.is_supported()))
        })
    }

    pub fn is_available() -> bool {
        selected_core().is_some()
    }

    pub fn name() -> Option<String> {
        selected_core().map(|core| format!("OpenBLAS 0.3.20, {}", core.name))
    }

    /// Floats of the packing buffer that [`sgemm`] needs.
    pub fn buffer_len() -> usize {
        // SAFETY: it returns a constant.
        selected_core().map_or(0, |core| unsafe { (core.buffer_len)() } as usize)
    }

    /// # Safety
    /// As [`super::multiply`], with a buffer of [`buffer_len`] floats; a core must be available.
    pub(super) unsafe fn sgemm(block: &Block, buffer: &mut [f32]) {
        let Some(core) = selected_core() else { unreachable!("BLAS is called without a supported core") };
        assert!(buffer.len() >= buffer_len(), "the packing buffer is too small");
        let int = |size: usize| isize::try_from(size).expect("sizes of slices");
        // Row-major C = A B is column-major C' = B' A'.
        // SAFETY: the caller's promise; the machine supports the core's instruction set.
        unsafe {
            (core.sgemm)(
                i32::from(block.transpose_b),
                i32::from(block.transpose_a),
                int(block.columns),
                int(block.rows),
                int(block.depth),
                block.alpha,
                block.b,
                int(block.ldb.max(1)),
                block.a,
                int(block.lda.max(1)),
                block.beta,
                block.c,
                int(block.ldc),
                buffer.as_mut_ptr(),
            );
        }
    }
}

#[cfg(all(feature = "system", not(openblas)))]
mod library {
    use crate::kernels::gemm::block::Block;
    use std::ffi::{CStr, c_char, c_int};
    use std::sync::Once;

    unsafe extern "C" {
        fn openblas_set_num_threads(count: c_int);
        fn openblas_get_corename() -> *const c_char;
        fn cblas_sgemm(
            layout: c_int,
            transpose_a: c_int,
            transpose_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: f32,
            a: *const f32,
            lda: c_int,
            b: *const f32,
            ldb: c_int,
            beta: f32,
            c: *mut f32,
            ldc: c_int,
        );
    }

    pub fn is_available() -> bool {
        true
    }

    pub fn name() -> Option<String> {
        // SAFETY: the library returns a static string.
        let core = unsafe { CStr::from_ptr(openblas_get_corename()) };
        Some(format!("the system's OpenBLAS, {}", core.to_string_lossy()))
    }

    pub fn buffer_len() -> usize {
        0
    }

    /// # Safety
    /// As [`super::multiply`].
    pub(super) unsafe fn sgemm(block: &Block, _: &mut [f32]) {
        static ONCE: Once = Once::new();
        // SAFETY: the function takes any positive count.
        ONCE.call_once(|| unsafe { openblas_set_num_threads(1) });
        let int = |size: usize| c_int::try_from(size).expect("sizes fit OpenBLAS' integers");
        const ROW_MAJOR: c_int = 101;
        let flag = |transposed: bool| if transposed { 112 } else { 111 };
        // SAFETY: the caller's promise.
        unsafe {
            cblas_sgemm(
                ROW_MAJOR,
                flag(block.transpose_a),
                flag(block.transpose_b),
                int(block.rows),
                int(block.columns),
                int(block.depth),
                block.alpha,
                block.a,
                int(block.lda.max(1)),
                block.b,
                int(block.ldb.max(1)),
                block.beta,
                block.c,
                int(block.ldc),
            );
        }
    }
}

#[cfg(not(any(openblas, feature = "system")))]
mod library {
    use crate::kernels::gemm::block::Block;

    pub fn is_available() -> bool {
        false
    }

    pub fn name() -> Option<String> {
        None
    }

    pub fn buffer_len() -> usize {
        0
    }

    /// # Safety
    /// Never called: [`is_available`] is false.
    pub(super) unsafe fn sgemm(_: &Block, _: &mut [f32]) {
        unreachable!("this build has no BLAS");
    }
}

/// The library and the core that it uses on this machine; none in a build without BLAS, or if no core is supported.
pub fn name() -> Option<String> {
    library::name()
}

/// Whether a BLAS is available: in the build, and with a core for this machine.
pub fn is_available() -> bool {
    library::is_available()
}

/// Floats of a thread's packing buffer, for OpenBLAS' packed blocks of both operands: at most 3 MiB.
pub fn buffer_len() -> usize {
    library::buffer_len()
}

/// Computes one block of C.
///
/// # Safety
/// The block's addresses must be valid for its sizes, and a BLAS [available](is_available).
pub(super) unsafe fn multiply(block: &Block, buffer: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { library::sgemm(block, buffer) }
}
