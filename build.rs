//! Compiles the product of OpenBLAS from the sources in the crate `openblas-src`, for a fixed list of cores.
//!
//! OpenBLAS' own makefiles look at the machine that builds, need make and perl, and read some thirty variables of the
//! environment. netc needs one function of it, `sgemm` on one thread: for each core ten files, compiled here with the
//! definitions that the makefiles would give. So every builder gets the same kernels, and a CPU that OpenBLAS does not
//! know is no obstacle.

#[cfg(feature = "bundled")]
mod openblas {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// The version of the crate that brings the sources, as pinned in Cargo.toml.
    const CRATE: &str = "openblas-src-0.10.5";

    /// What a core's kernels are made of.
    pub struct Core {
        /// OpenBLAS' name of it.
        name: &'static str,
        /// The variant of `Isa` that it needs.
        isa: &'static str,
        definitions: &'static [&'static str],
        flags: &'static [&'static str],
        /// Where its sources stand below `kernel`.
        folder: &'static str,
        /// [`FUNCTIONS`], as the core's `KERNEL` file names them.
        sources: [&'static str; 6],
    }

    /// The functions of a core that the driver calls.
    const FUNCTIONS: [&str; 6] =
        ["sgemm_kernel", "sgemm_beta", "sgemm_incopy", "sgemm_itcopy", "sgemm_oncopy", "sgemm_otcopy"];
    /// The driver for each pair of operands, as they stand or transposed.
    const DRIVERS: [&str; 4] = ["NN", "TN", "NT", "TT"];

    const X86_64: &[Core] = &[
        Core {
            name: "Prescott",
            isa: "Portable",
            definitions: &["PENTIUM4", "CORE_PRESCOTT"],
            flags: &["-msse3"],
            folder: "x86_64",
            sources: [
                "gemm_kernel_8x4_sse3.S",
                "gemm_beta.S",
                "../generic/gemm_ncopy_8.c",
                "../generic/gemm_tcopy_8.c",
                "gemm_ncopy_4.S",
                "gemm_tcopy_4.S",
            ],
        },
        Core {
            name: "Haswell",
            isa: "Avx2",
            definitions: &["HASWELL", "HAVE_AVX", "HAVE_AVX2", "HAVE_FMA3"],
            flags: &["-mavx2", "-mfma"],
            folder: "x86_64",
            sources: [
                "sgemm_kernel_8x4_haswell_2.c",
                "sgemm_beta_skylakex.c",
                "../generic/gemm_ncopy_8.c",
                "../generic/gemm_tcopy_8.c",
                "sgemm_ncopy_4_skylakex.c",
                "../generic/gemm_tcopy_4.c",
            ],
        },
        Core {
            name: "SkylakeX",
            isa: "Avx512",
            definitions: &["SKYLAKEX", "HAVE_AVX", "HAVE_AVX2", "HAVE_FMA3", "HAVE_AVX512VL"],
            flags: &["-march=skylake-avx512"],
            folder: "x86_64",
            sources: [
                "sgemm_kernel_16x4_skylakex_3.c",
                "sgemm_beta_skylakex.c",
                "../generic/gemm_ncopy_16.c",
                "sgemm_tcopy_16_skylakex.c",
                "sgemm_ncopy_4_skylakex.c",
                "../generic/gemm_tcopy_4.c",
            ],
        },
    ];

    const AARCH64: &[Core] = &[Core {
        name: "ARMV8",
        isa: "Neon",
        definitions: &["ARMV8"],
        flags: &[],
        folder: "arm64",
        sources: [
            "sgemm_kernel_16x4.S",
            "sgemm_beta.S",
            "../generic/gemm_ncopy_16.c",
            "sgemm_tcopy_16.S",
            "sgemm_ncopy_4.S",
            "../generic/gemm_tcopy_4.c",
        ],
    }];

    /// Compiles the library for the target, where it is one that OpenBLAS has cores for here.
    pub fn build() {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
        let (cores, architecture) = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
            Ok("x86_64") => (X86_64, "ARCH_X86_64"),
            Ok("aarch64") => (AARCH64, "ARCH_ARM64"),
            _ => return,
        };
        println!("cargo:rustc-cfg=openblas");
        println!("cargo:rerun-if-changed=src/kernels/gemm/openblas.c");
        let source = source();
        std::fs::write(out.join("config.h"), config(architecture)).expect("the output folder is writable");
        let mut library = cc::Build::new();
        // What `kernels::gemm::blas` makes its table of.
        let mut table = String::new();
        for core in cores {
            core.compile(&source, &out, &mut library);
            let (sgemm, buffer_len) = (core.symbol("sgemm"), core.symbol("sgemm_buffer_len"));
            table += &format!("    \"{}\" {} {sgemm} {buffer_len},\n", core.name, core.isa);
        }
        std::fs::write(out.join("cores.rs"), format!("cores! {{\n{table}}}\n")).expect("as above");
        // `openblas-src` asks the linker for a library of this name, which it finds here.
        library.compile("openblas");
    }

    impl Core {
        fn compile(&self, source: &Path, out: &Path, library: &mut cc::Build) {
            let kernels = source.join("kernel").join(self.folder);
            for (function, file) in FUNCTIONS.iter().zip(self.sources) {
                library.objects(self.unit(function, source, out).file(kernels.join(file)).compile_intermediates());
            }
            for driver in DRIVERS {
                let mut unit = self.unit(&format!("sgemm_{}", driver.to_lowercase()), source, out);
                unit.define(driver, None).file(source.join("driver/level3/gemm.c"));
                library.objects(unit.compile_intermediates());
            }
            let mut unit = self.unit("sgemm", source, out);
            for driver in DRIVERS {
                let name = self.symbol(&format!("sgemm_{}", driver.to_lowercase()));
                unit.define(&format!("PRODUCT_{driver}"), name.as_str());
            }
            unit.define("PRODUCT", self.symbol("sgemm").as_str());
            unit.define("BUFFER_LEN", self.symbol("sgemm_buffer_len").as_str());
            library.objects(unit.file("src/kernels/gemm/openblas.c").compile_intermediates());
        }

        /// The name of a function of this core's.
        fn symbol(&self, function: &str) -> String {
            format!("netc_{function}_{}", self.name.to_lowercase())
        }

        /// A compilation of a file that holds one function, whose name and flags are this core's.
        fn unit(&self, function: &str, source: &Path, out: &Path) -> cc::Build {
            let name = self.symbol(function);
            let mut unit = cc::Build::new();
            // The same file is compiled under several names: each has a folder of its own.
            unit.out_dir(out.join(&name)).include(out).include(source);
            unit.opt_level(2).debug(false).warnings(false).extra_warnings(false).pic(true);
            for definition in self.definitions {
                unit.define(definition, None);
            }
            for flag in self.flags {
                unit.flag(flag);
            }
            for (key, value) in [("ASMNAME", &*name), ("CNAME", &name), ("CHAR_NAME", "\"\""), ("CHAR_CNAME", "\"\"")] {
                unit.define(key, value);
            }
            for key in ["ASMFNAME", "NAME"] {
                unit.define(key, format!("{name}_").as_str());
            }
            for function in FUNCTIONS.iter().chain(&["sgemm_p", "sgemm_r"]).filter(|other| **other != function) {
                unit.define(function, self.symbol(function).as_str());
            }
            unit
        }
    }

    /// What OpenBLAS' `getarch` would find out. The caches' sizes decide nothing that is used here; the local buffer is a
    /// block of the oldest core's right operand, on the stack.
    fn config(architecture: &str) -> String {
        format!(
            "#define OS_LINUX 1\n#define {architecture} 1\n#define C_GCC 1\n#define __64BIT__ 1\n\
             #define NO_AFFINITY 1\n#define NO_WARMUP 1\n#define MAX_CPU_NUMBER 1\n#define MAX_PARALLEL_NUMBER 1\n\
             #define BUNDERSCORE _\n#define NEEDBUNDERSCORE 1\n#define L1_DATA_SIZE 32768\n#define L1_DATA_LINESIZE 64\n\
             #define L2_SIZE 524288\n#define L2_LINESIZE 64\n#define DTB_DEFAULT_ENTRIES 64\n#define DTB_SIZE 4096\n\
             #define GEMM_MULTITHREAD_THRESHOLD 4\n#define MAX_STACK_ALLOC 2048\n#define SLOCAL_BUFFER_SIZE 16384\n#define VERSION \"\"\n"
        )
    }

    /// The folder of OpenBLAS' sources: beside this package where Cargo keeps or vendors packages, in Cargo's home, or
    /// where Cargo says.
    fn source() -> PathBuf {
        let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
        let mut places: Vec<PathBuf> = package.parent().map(|folder| folder.join(CRATE)).into_iter().collect();
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::home_dir().map(|folder| folder.join(".cargo")));
        let registries = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
        places.extend(registries.into_iter().flatten().flatten().map(|registry| registry.path().join(CRATE)));
        let listed = || asked(&package).into_iter();
        let found = places.into_iter().map(|place| place.join("source")).chain(std::iter::once_with(listed).flatten());
        let mut found = found.filter(|source| source.join("common.h").is_file());
        found.next().unwrap_or_else(|| {
            panic!("the sources of {CRATE} are not where Cargo keeps packages; `--no-default-features` builds without")
        })
    }

    /// Where `cargo metadata` says that the crate stands: for vendored packages and other places.
    fn asked(package: &Path) -> Option<PathBuf> {
        let cargo = env::var_os("CARGO")?;
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // The one path in it that ends like this; a JSON parser would be one more crate to build.
        let end = text.find("openblas-src/src/lib.rs").or_else(|| text.find(&format!("{CRATE}/src/lib.rs")))?;
        let begin = text[..end].rfind('"')? + 1;
        let path = text[begin..].split('"').next()?;
        Path::new(path).parent()?.parent().map(|folder| folder.join("source"))
    }
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(openblas)");
    #[cfg(feature = "bundled")]
    openblas::build();
}
