//! Products by OpenBLAS, on the calling thread and in a buffer of its own.
//!
//! The bundled library is the one that build.rs compiles: its core is chosen here, by [`Isa::detect`], and it neither
//! starts threads nor allocates. A system's library chooses its core itself, and is told to stay on the calling thread.

use super::Block;

#[cfg(openblas)]
mod library {
    use super::Block;
    use crate::kernels::simd::isa::Isa;
    use std::sync::OnceLock;

    /// A core's product: `(transpose a, transpose b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, buffer)`, column-major.
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

    /// The kernels that OpenBLAS has for a family of processors.
    pub struct Core {
        name: &'static str,
        /// The instruction set that it needs.
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
            /// All cores of the build, from the least to the best.
            static CORES: &[Core] =
                &[$(Core { name: $name, isa: Isa::$isa, sgemm: $sgemm, buffer_len: $buffer_len },)*];
        };
    }

    // Those that build.rs compiled.
    include!(concat!(env!("OUT_DIR"), "/cores.rs"));

    impl Core {
        /// Whether this machine can run it.
        fn runs(&self) -> bool {
            #[cfg(target_arch = "x86_64")]
            match self.isa {
                Isa::Portable => return is_x86_feature_detected!("sse3"),
                // Its kernels are compiled for the first AVX-512 servers, whose set is larger than our tiles'.
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

    /// The core that is used: the one that `OPENBLAS_CORETYPE` names if the machine can run it, else the best.
    fn core() -> Option<&'static Core> {
        static CORE: OnceLock<Option<&Core>> = OnceLock::new();
        *CORE.get_or_init(|| {
            let wanted = std::env::var("OPENBLAS_CORETYPE").unwrap_or_default();
            let named = CORES.iter().find(|core| core.name.eq_ignore_ascii_case(&wanted) && core.runs());
            named.or_else(|| CORES.iter().rev().find(|core| core.runs()))
        })
    }

    pub fn is_there() -> bool {
        core().is_some()
    }

    pub fn name() -> Option<String> {
        core().map(|core| format!("OpenBLAS 0.3.20, {}", core.name))
    }

    /// The floats of the buffer that [`sgemm`] needs.
    pub fn buffer_len() -> usize {
        // SAFETY: it gives a constant.
        core().map_or(0, |core| unsafe { (core.buffer_len)() } as usize)
    }

    /// # Safety
    /// As [`super::tile`], with a buffer of [`buffer_len`] floats; there must be a core.
    pub(super) unsafe fn sgemm(block: &Block, buffer: &mut [f32]) {
        let Some(core) = core() else { unreachable!("no product goes here without a core") };
        assert!(buffer.len() >= buffer_len(), "the buffer is too small");
        let int = |size: usize| isize::try_from(size).expect("sizes of slices");
        // Row-major C = A B is column-major C' = B' A'.
        // SAFETY: the caller's promise; the machine has the core's instruction set.
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
    use super::Block;
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

    pub fn is_there() -> bool {
        true
    }

    pub fn name() -> Option<String> {
        // SAFETY: the library gives a constant text.
        let core = unsafe { CStr::from_ptr(openblas_get_corename()) };
        Some(format!("the system's OpenBLAS, {}", core.to_string_lossy()))
    }

    pub fn buffer_len() -> usize {
        0
    }

    /// # Safety
    /// As [`super::tile`].
    pub(super) unsafe fn sgemm(block: &Block, _: &mut [f32]) {
        static ONCE: Once = Once::new();
        // SAFETY: the function takes any positive count.
        ONCE.call_once(|| unsafe { openblas_set_num_threads(1) });
        let int = |size: usize| c_int::try_from(size).expect("sizes that OpenBLAS can count");
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
    use super::Block;

    pub fn is_there() -> bool {
        false
    }

    pub fn name() -> Option<String> {
        None
    }

    pub fn buffer_len() -> usize {
        0
    }

    /// # Safety
    /// Nobody calls it.
    pub(super) unsafe fn sgemm(_: &Block, _: &mut [f32]) {
        unreachable!("this build has no BLAS");
    }
}

/// The library and the core that it uses on this machine; none in a build without, and where no core runs.
pub fn name() -> Option<String> {
    library::name()
}

/// Whether there is one.
pub fn is_there() -> bool {
    library::is_there()
}

/// The floats of the buffer that a thread needs: what OpenBLAS packs of both operands, at most 3 MiB.
pub fn buffer_len() -> usize {
    library::buffer_len()
}

/// One product.
///
/// # Safety
/// The block's addresses must be valid for its sizes, and [`name`] give a library.
pub(super) unsafe fn tile(block: &Block, buffer: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { library::sgemm(block, buffer) }
}
