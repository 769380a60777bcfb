//! Numbers in messages and tables: counts and sizes have one form everywhere.

/// A count with its noun: `1 step`, `5,130 parameters`.
pub fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", thousands(count as u64))
}

/// `134,301,514`
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size in memory or on disk: `9,216 bytes`, `17.5 KiB`, `681.2 MiB`.
pub fn bytes(count: u64) -> String {
    let in_units = |power: i32| count as f64 / 1024f64.powi(power);
    match count {
        0..10_240 => counted(count as usize, "byte"),
        10_240..1_048_576 => format!("{:.1} KiB", in_units(1)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", in_units(2)),
        _ => format!("{:.1} GiB", in_units(3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(134_301_514), "134,301,514");
    }

    #[test]
    fn counts_have_nouns() {
        assert_eq!(counted(1, "step"), "1 step");
        assert_eq!(counted(5130, "parameter"), "5,130 parameters");
    }

    #[test]
    fn sizes_have_units_of_1024() {
        let cases =
            [(1, "1 byte"), (9216, "9,216 bytes"), (17_920, "17.5 KiB"), (1 << 20, "1.0 MiB"), (3 << 29, "1.5 GiB")];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
