//! NumPy's `.npy` format (NEP 1): magic bytes, a version, a header that is a Python dictionary, the values.

use super::array_error::ArrayErrorKind;
use super::numpy_types::parse;
use crate::content::{Content, NPY as MAGIC};
use crate::element::Element;
use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder};
use std::cmp::Ordering;
use std::io::{self, Read, Write};

/// Headers of numeric arrays are not longer than this.
const MAX_HEADER: usize = 64 << 10;
/// The limit of NumPy.
const MAX_DIMENSIONS: usize = 64;

/// The header; `length` is the offset of the values.
#[derive(Debug, PartialEq)]
pub struct Header {
    pub element: Element,
    pub fortran: bool,
    pub shape: Vec<usize>,
    pub length: u64,
}

impl Header {
    /// Reads the header and nothing else.
    pub fn read(reader: &mut impl Read) -> Result<Self, ArrayErrorKind> {
        let mut start = [0; 8];
        fill(reader, &mut start)?;
        if !start.starts_with(MAGIC) {
            return Err(ArrayErrorKind::NotAnArray { looks_like: Content::of(&start, start.len() as u64).in_words() });
        }
        let (prefix, length) = match start[6] {
            1 => {
                let mut length = [0; 2];
                fill(reader, &mut length)?;
                (10, usize::from(u16::from_le_bytes(length)))
            }
            2 | 3 => {
                let mut length = [0; 4];
                fill(reader, &mut length)?;
                (12, u32::from_le_bytes(length) as usize)
            }
            version => return Err(ArrayErrorKind::Damaged(format!("unknown format version {version}"))),
        };
        if length > MAX_HEADER {
            return Err(ArrayErrorKind::Damaged(format!("its header claims {length} bytes")));
        }
        let mut text = vec![0; length];
        fill(reader, &mut text)?;
        let text =
            std::str::from_utf8(&text).map_err(|_| ArrayErrorKind::Damaged("its header is not text".to_owned()))?;
        Self::parse(text, (prefix + length) as u64)
    }

    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
    fn parse(text: &str, length: u64) -> Result<Self, ArrayErrorKind> {
        let damaged = || ArrayErrorKind::Damaged("its header is invalid".to_owned());
        let (mut element, mut fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{').and_then(|x| x.strip_suffix('}')).ok_or_else(damaged)?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or_else(damaged)?;
            let value = after.trim_start().strip_prefix(':').ok_or_else(damaged)?.trim_start();
            rest = match key {
                "descr" if value.starts_with('[') => {
                    return Err(ArrayErrorKind::Type { found: "records (a structured dtype)".to_owned() });
                }
                "descr" => {
                    let (text, after) = quoted(value).ok_or_else(damaged)?;
                    element = Some(parse(text)?);
                    after
                }
                "fortran_order" => {
                    let (order, after) = [("True", true), ("False", false)]
                        .into_iter()
                        .find_map(|(word, order)| Some((order, value.strip_prefix(word)?)))
                        .ok_or_else(damaged)?;
                    fortran = Some(order);
                    after
                }
                "shape" => {
                    let (list, after) = value.strip_prefix('(').and_then(|x| x.split_once(')')).ok_or_else(damaged)?;
                    shape = Some(sizes(list).ok_or_else(damaged)?);
                    after
                }
                _ => return Err(damaged()),
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
        }
        match (element, fortran, shape) {
            (Some(element), Some(fortran), Some(shape)) => Ok(Self { element, fortran, shape, length }),
            _ => Err(damaged()),
        }
    }

    /// The number of values of the shape.
    pub fn count(&self) -> Result<usize, ArrayErrorKind> {
        checked_count(&self.shape)
    }

    /// The number of values of the shape, if they take exactly the `available` bytes after the header.
    pub fn count_in(&self, available: u64) -> Result<usize, ArrayErrorKind> {
        let count = self.count()?;
        let declared = count as u64 * self.element.size() as u64;
        match declared.cmp(&available) {
            Ordering::Greater => Err(ArrayErrorKind::Truncated { declared, available }),
            Ordering::Equal => Ok(count),
            Ordering::Less => {
                let more = available - declared;
                Err(ArrayErrorKind::Damaged(format!("{more} bytes follow the values of its shape {:?}", self.shape)))
            }
        }
    }
}

/// The product of the sizes, unless it or its size as f32 overflows.
pub fn checked_count(shape: &[usize]) -> Result<usize, ArrayErrorKind> {
    // ndarray requires that the product without zeros does not overflow either.
    let product = shape.iter().filter(|&&size| size != 0).try_fold(1usize, |product, &size| product.checked_mul(size));
    match product {
        Some(product) if product <= isize::MAX as usize / 8 => Ok(if shape.contains(&0) { 0 } else { product }),
        _ => Err(ArrayErrorKind::Damaged(format!("its shape {shape:?} is impossible"))),
    }
}

/// A string in single or double quotes at the start of `text`, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The sizes in `2, 3` or `4,`; Python 2 wrote them as `2L`.
fn sizes(list: &str) -> Option<Vec<usize>> {
    let list = list.trim();
    let list = list.strip_suffix(',').unwrap_or(list);
    if list.is_empty() {
        return Some(Vec::new());
    }
    let sizes: Option<Vec<usize>> =
        list.split(',').map(|size| size.trim().trim_end_matches('L').parse().ok()).collect();
    sizes.filter(|sizes| sizes.len() <= MAX_DIMENSIONS)
}

/// The values after the header, as f32 in C order. It is an error, before any allocation, if the shape does not take exactly
/// the `available` bytes.
pub fn read_values(reader: &mut impl Read, header: &Header, available: u64) -> Result<ArrayD<f32>, ArrayErrorKind> {
    let count = header.count_in(available)?;
    let declared = count as u64 * header.element.size() as u64;
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| ArrayErrorKind::Memory { bytes: count as u64 * 4 })?;
    let mut buffer = vec![0; (declared as usize).min(64 << 10)];
    let mut left = declared as usize;
    while left > 0 {
        let part = left.min(buffer.len());
        let part = &mut buffer[..part];
        fill(reader, part)?;
        if let Some(value) = header.element.beyond_f32(part) {
            return Err(ArrayErrorKind::Range { value });
        }
        header.element.append(part, &mut values);
        left -= part.len();
    }
    let shape = IxDyn(&header.shape).set_f(header.fortran);
    let array = ArrayD::from_shape_vec(shape, values).map_err(|error| ArrayErrorKind::Damaged(error.to_string()))?;
    Ok(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
}

/// Writes the array as version 1.0, `<f4`, C order; the values start at a multiple of 64, as in NumPy.
pub fn write(writer: &mut impl Write, array: &ArrayViewD<f32>) -> io::Result<()> {
    let sizes: Vec<String> = array.shape().iter().map(|size| format!("{size},")).collect();
    let shape = match sizes.as_slice() {
        [one] => one.clone(),
        sizes => sizes.join(" ").trim_end_matches(',').to_owned(),
    };
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    writer.write_all(MAGIC)?;
    writer.write_all(&[1, 0])?;
    writer.write_all(&(header.len() as u16).to_le_bytes())?;
    writer.write_all(header.as_bytes())?;
    let mut buffer = Vec::with_capacity(64 << 10);
    for value in array {
        buffer.extend(value.to_le_bytes());
        if buffer.len() == buffer.capacity() {
            writer.write_all(&buffer)?;
            buffer.clear();
        }
    }
    writer.write_all(&buffer)
}

/// `read_exact`, with the end of the file as an error about its content.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), ArrayErrorKind> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ArrayErrorKind::Short,
        // Errors of zip and deflate about damaged data.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ArrayErrorKind::Damaged(error.to_string()),
        _ => ArrayErrorKind::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::seeded_rng::SeededRng;
    use ndarray::array;

    /// A file with this header text and these values.
    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
    }

    fn read(bytes: &[u8]) -> Result<ArrayD<f32>, ArrayErrorKind> {
        let mut reader = bytes;
        let header = Header::read(&mut reader)?;
        let available = reader.len() as u64;
        read_values(&mut reader, &header, available)
    }

    #[test]
    fn numbers_beyond_float32_are_refused() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n";
        let of = |values: [f64; 2]| read(&file(header, &values.map(f64::to_le_bytes).concat()));
        let error = of([1.0, -1e300]).expect_err("a number that f32 lacks").to_string();
        assert_eq!(error, "it contains -1e300, which is more than float32 can express");
        // Infinity is one, and what is small becomes zero.
        assert_eq!(of([f64::INFINITY, 1e-300]).expect("an array"), array![f32::INFINITY, 0.0].into_dyn());
    }

    #[test]
    fn header_variants() {
        let expected = Header { element: parse("<f4").unwrap(), fortran: true, shape: vec![2, 3], length: 0 };
        for text in [
            "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }    \n",
            "{\"shape\":(2L,3L),\"fortran_order\":True,\"descr\":\"<f4\"}",
        ] {
            assert_eq!(Header::parse(text, 0).unwrap(), expected);
        }
        for (shape, sizes) in [("()", vec![]), ("(5,)", vec![5]), ("(0, 4)", vec![0, 4])] {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
            assert_eq!(Header::parse(&text, 0).unwrap().shape, sizes);
        }
    }

    fn error(descr: &str, shape: &str, values: &[u8]) -> String {
        let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
        read(&file(&header, values)).unwrap_err().to_string()
    }

    #[test]
    fn errors_of_damaged_files() {
        assert_eq!(error("'|O'", "(1,)", b""), "it contains Python objects (|O) instead of numbers");
        assert_eq!(error("'<U5'", "(1,)", b""), "it contains text (<U5) instead of numbers");
        assert_eq!(error("'<c8'", "(1,)", b""), "it contains complex numbers (<c8) instead of numbers");
        assert_eq!(error("'<f3'", "(1,)", b""), "it contains an unknown type (<f3) instead of numbers");
        assert_eq!(error("[('a', '<f4')]", "(1,)", b""), "it contains records (a structured dtype) instead of numbers");
        let four = [0; 16];
        assert_eq!(error("'<f4'", "(5,)", &four), "truncated: its shape needs 20 bytes, the file has 16");
        assert_eq!(error("'<f4'", "(3,)", &four), "damaged: 4 bytes follow the values of its shape [3]");
        let bomb = "truncated: its shape needs 4000000000000 bytes, the file has 16";
        assert_eq!(error("'<f4'", "(1000000, 1000000)", &four), bomb);
        assert!(error("'<f4'", "(0, 99999999999, 99999999999)", b"").ends_with("is impossible"));
        assert!(error("'<f4'", "(99999999999, 99999999999)", b"").ends_with("is impossible"));
        assert_eq!(error("'<f4'", "(-1,)", b""), "damaged: its header is invalid");
        assert_eq!(
            read(b"GIF89a..").unwrap_err().to_string(),
            "not an array, but a GIF; arrays are .npy, .npz or HDF5"
        );
        assert_eq!(read(b"\x93NUM").unwrap_err().to_string(), "truncated: the file ends before the array does");
        assert_eq!(read(b"\x93NUMPY\x09\0").unwrap_err().to_string(), "damaged: unknown format version 9");
        let huge = [MAGIC, &[2, 0, 255, 255, 255, 255]].concat();
        assert_eq!(read(&huge).unwrap_err().to_string(), "damaged: its header claims 4294967295 bytes");
    }

    #[test]
    fn fortran_order_is_converted() {
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
        let array = read(&file(header, &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(array, array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn());
        assert!(array.is_standard_layout());
    }

    #[test]
    fn files_are_written_as_by_numpy() {
        let mut bytes = Vec::new();
        let array = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn();
        write(&mut bytes, &array.view()).unwrap();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\0\x76\0");
        assert_eq!(bytes[10..128], *format!("{header:<117}\n").as_bytes());
        assert_eq!(read(&bytes).unwrap(), array);
        for shape in [vec![], vec![0], vec![7], vec![3, 0, 2], vec![2; 9], vec![100, 257]] {
            let count = shape.iter().product();
            let array = ArrayD::from_shape_vec(shape, (0..count).map(|x| x as f32).collect()).unwrap();
            bytes.clear();
            write(&mut bytes, &array.t()).unwrap();
            assert_eq!(read(&bytes).unwrap(), array.t());
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        let whole = file(header, &[0; 24]);
        let mut rng = SeededRng::new([0; 4]);
        let mut random = |below: usize| rng.below(below);
        for round in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(4) {
                let at = 6 + random(bytes.len() - 6);
                bytes[at] = [b"'{}(),9 L:\0\xc3"[random(12)], random(256) as u8][round % 2];
            }
            bytes.truncate(if round % 4 == 0 { random(bytes.len()) } else { bytes.len() });
            let _ = read(&bytes);
        }
    }
}
