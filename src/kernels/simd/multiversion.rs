//! Inner loops compiled twice: for the machine the program is built for, and for one with wider vectors.
//!
//! The loops are plain Rust that the compiler vectorises. AVX2 changes how many lanes a register holds and nothing
//! else (no multiplication is contracted with an addition), so both versions give the same bits.

/// Defines a function without result whose body also exists for AVX2, chosen when it is called.
///
/// What the body calls must be `#[inline(always)]`, else the callee stays narrow.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) {
                    body($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature has just been found.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*);
        }
    };
}

pub(crate) use multiversion;
