//! Instruction sets, and run-time dispatch to the best one.

use super::vector::SimdOp;
use std::sync::OnceLock;

/// The vectors of the target's baseline instruction set.
#[cfg(not(target_arch = "x86_64"))]
type Baseline = super::portable::F32x4;
#[cfg(target_arch = "x86_64")]
type Baseline = super::sse2::F32x4;

/// The first letters of the vendor's name as `cpuid` gives them: "Auth" of "AuthenticAMD".
#[cfg(target_arch = "x86_64")]
const AMD: u32 = u32::from_le_bytes(*b"Auth");

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// The target's baseline: SSE2 on x86-64, plain arrays elsewhere.
    Portable,
    /// AVX2 and FMA: 8 floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F: 16 floats.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON: 4 floats.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// 16 floats in portable code with fused multiply-adds: stands in for AVX-512's shapes and bits on machines without it.
    #[cfg(test)]
    Wide,
}

impl Isa {
    /// The best set that this machine supports.
    pub fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| *Self::available().last().expect("portable code runs everywhere"))
    }

    /// The sets that this machine supports, in ascending order: the best is last.
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Self::Portable];
        #[cfg(test)]
        if cfg!(not(target_arch = "x86_64")) || Self::has_fma() {
            sets.push(Self::Wide);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                sets.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Self::Neon);
        sets
    }

    #[cfg(test)]
    fn has_fma() -> bool {
        #[cfg(target_arch = "x86_64")]
        return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether multiply-adds are fused (one rounding): all such sets give the same bits.
    pub fn is_fused(self) -> bool {
        self != Self::Portable
    }

    /// The best way to multiply bytes with this set and its extensions that the machine has.
    pub fn byte_dot(self) -> ByteDot {
        let is_allowed = |dot: &ByteDot| match dot {
            ByteDot::Portable => true,
            #[cfg(target_arch = "x86_64")]
            ByteDot::Avx2 | ByteDot::AvxVnni => !matches!(self, Self::Portable),
            #[cfg(target_arch = "x86_64")]
            ByteDot::Avx512Vnni => self == Self::Avx512,
            #[cfg(target_arch = "aarch64")]
            ByteDot::Neon => self == Self::Neon,
        };
        ByteDot::available().iter().rev().copied().find(is_allowed).unwrap_or(ByteDot::Portable)
    }

    /// Whether products of bf16 are faster than those of f32 with this set on this machine. Intel's cores take two cycles for one
    /// (their fast ones are AMX'), AMD's half a cycle, as for a multiply-add.
    pub fn has_fast_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            static IS_FAST: OnceLock<bool> = OnceLock::new();
            let is_amd = || is_x86_feature_detected!("avx512bf16") && std::arch::x86_64::__cpuid(0).ebx == AMD;
            self == Self::Avx512 && *IS_FAST.get_or_init(is_amd)
        }
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Runs the kernel with fast instructions for bf16, or with those of the baseline, which give the same up to rounding: callers
    /// have better available where there are none.
    ///
    /// # Safety
    /// As of [`Isa::dispatch`].
    pub unsafe fn dispatch_bf16<K: SimdOp>(self, kernel: K) {
        // SAFETY: the caller's promise; fast instructions were detected.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if self.has_fast_bf16() {
                return super::avx512::run_bf16(kernel);
            }
            kernel.run::<Baseline>();
        }
    }

    /// Runs the kernel compiled for this set.
    ///
    /// # Safety
    /// The machine must support the set, and the kernel's own preconditions must be met.
    pub unsafe fn dispatch<K: SimdOp>(self, kernel: K) {
        // SAFETY: the caller promises that the machine supports the set.
        unsafe {
            match self {
                Self::Portable => kernel.run::<Baseline>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => super::avx2::run(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => super::avx512::run(kernel),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => kernel.run::<super::neon::F32x4>(),
                #[cfg(test)]
                #[cfg(target_arch = "x86_64")]
                Self::Wide => super::avx2::run_wide(kernel),
                #[cfg(test)]
                #[cfg(not(target_arch = "x86_64"))]
                Self::Wide => kernel.run::<super::portable::Wide>(),
            }
        }
    }
}

/// How products of unsigned and signed bytes are added to sums of 32 bits. All available give the same sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteDot {
    /// Plain integers.
    Portable,
    /// AVX2: products of 16 bits, added in pairs.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-VNNI: four products of each of 8 lanes.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 VNNI: four products of each of 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// NEON: products of 16 bits.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl ByteDot {
    /// The available that this machine has, in ascending order: the best is last.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<ByteDot>> = OnceLock::new();
        AVAILABLE.get_or_init(Self::detect)
    }

    fn detect() -> Vec<Self> {
        let mut available = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if has_avx2 {
                available.push(Self::Avx2);
            }
            if has_avx2 && is_x86_feature_detected!("avxvnni") {
                available.push(Self::AvxVnni);
            }
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            if has_avx2 && has_avx512 && is_x86_feature_detected!("avx512vnni") {
                available.push(Self::Avx512Vnni);
            }
        }
        #[cfg(target_arch = "aarch64")]
        available.push(Self::Neon);
        available
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(test)]
            Self::Wide => "wide",
        })
    }
}
