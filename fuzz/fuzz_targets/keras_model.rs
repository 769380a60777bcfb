#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netc_fuzz::targets::keras_model(bytes));
