//! Function multiversioning for auto-vectorised loops: each is compiled for the baseline and for AVX2.
//!
//! AVX2 only changes the vector width (FMA is not enabled, so no multiply-add is contracted): both versions give the same
//! bits.

/// Defines a function without result in two versions, baseline and AVX2, dispatched at each call.
///
/// Callees must be `#[inline(always)]`, or they are compiled for the baseline only.
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
                    // SAFETY: the feature was just detected.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*);
        }
    };
}

pub(crate) use multiversion;
