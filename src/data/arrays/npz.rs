//! NumPy's `.npz`: a zip archive of `.npy` files, stored (`savez`) or deflated (`savez_compressed`).

use super::array_error::{ArrayErrorKind, ArrayInfo, check_density, choose, within};
use super::npy;
use super::npy::Header;
use crate::size::MAX_EXPANSION;
use ndarray::{ArrayD, ArrayViewD};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// An open `.npz` file.
pub struct Npz<R> {
    archive: ZipArchive<R>,
    /// The size of the file: no entry is larger, whatever the directory claims.
    length: u64,
}

impl<R: Read + Seek> Npz<R> {
    /// Reads the directory of the archive.
    pub fn new(mut reader: R) -> Result<Self, ArrayErrorKind> {
        let length = reader.seek(SeekFrom::End(0)).map_err(ArrayErrorKind::Io)?;
        Ok(Self { archive: ZipArchive::new(reader).map_err(zip_error)?, length })
    }

    /// The names of the arrays as in NumPy, without `.npy`.
    fn names(&self) -> Vec<String> {
        self.archive.file_names().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect()
    }

    /// The arrays in the order of the archive.
    pub fn list(&mut self) -> Result<Vec<ArrayInfo>, ArrayErrorKind> {
        let mut found = Vec::new();
        for name in self.names() {
            let mut entry = self.archive.by_name(&format!("{name}.npy")).map_err(zip_error)?;
            let shape = within(&name, Header::read(&mut entry))?.shape;
            found.push(ArrayInfo { name, shape });
        }
        Ok(found)
    }

    /// The array `name`; without a name, the only one.
    pub fn read(&mut self, name: Option<&str>) -> Result<ArrayD<f32>, ArrayErrorKind> {
        let name = choose(name, self.names())?;
        let mut entry = self.archive.by_name(&format!("{name}.npy")).map_err(zip_error)?;
        let (declared, stored) = (entry.size(), entry.compressed_size().min(self.length));
        if declared > stored.saturating_mul(MAX_EXPANSION) {
            return within(&name, Err(ArrayErrorKind::Bomb { declared, stored }));
        }
        let result = Header::read(&mut entry).and_then(|header| {
            check_density(header.count()?, stored)?;
            let array = npy::read_values(&mut entry, &header, declared.saturating_sub(header.length))?;
            // The checksum is verified when the end is read.
            match entry.read(&mut [0]) {
                Ok(0) => Ok(array),
                Ok(_) => Err(ArrayErrorKind::Damaged("its entry is longer than the archive declares".to_owned())),
                Err(error) => Err(ArrayErrorKind::Damaged(error.to_string())),
            }
        });
        within(&name, result)
    }
}

/// Writes the named arrays uncompressed and without timestamps, so that the output is deterministic.
pub fn write<W: Write + Seek>(writer: W, arrays: &[(&str, ArrayViewD<f32>)]) -> io::Result<W> {
    let mut archive = ZipWriter::new(writer);
    for (name, array) in arrays {
        // Entries of 4 GiB and more need ZIP64.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(array.len() as u64 * 4 > u64::from(u32::MAX) - (1 << 20));
        archive.start_file(format!("{name}.npy"), options)?;
        let mut entry = BufWriter::new(&mut archive);
        npy::write(&mut entry, array)?;
        entry.flush()?;
    }
    Ok(archive.finish()?)
}

fn zip_error(error: ZipError) -> ArrayErrorKind {
    match error {
        ZipError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => ArrayErrorKind::Short,
        error => ArrayErrorKind::Damaged(error.to_string()),
    }
}
