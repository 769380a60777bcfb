//! Photos and labels from a CSV file.

use super::dataset::{Dataset, DatasetError, OutputTargets, Policy, RowError, Samples};
use super::photo_paths;
use super::photo_paths::{InputKind, Skipped};
use super::table::Table;
use super::targets::Targets;
use crate::diagnostics::counted;
use crate::file::{open_regular, read_regular};
use crate::source::shown;
use csv::{ReaderBuilder, StringRecord, Trim};
use ndarray::{ArrayD, IxDyn};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Headers of the path column.
const PATH_HEADERS: [&str; 7] = ["path", "file", "image", "photo", "filename", "file_name", "filepath"];
/// Headers of the label column, if there are several columns.
const LABEL_HEADERS: [&str; 5] = ["label", "class", "target", "category", "species"];

/// The maximum size of a list: a million photos take less.
const MAX_BYTES: u64 = 256 << 20;

/// More than a row takes.
const MAX_ROW_BYTES: u64 = 1 << 20;

/// The maximum number of row errors collected under [`Policy::Refuse`].
const MAX_ERRORS: usize = 10_000;
/// The most bytes of a photo's path, as of operating systems.
const MAX_PATH: usize = 4096;

/// A row that is valid so far.
struct Row {
    line: u64,
    photo: PathBuf,
    /// The labels for each output.
    labels: Vec<Vec<String>>,
}

/// The meaning of the columns.
struct Columns {
    path: usize,
    /// The labels for each output.
    labels: Vec<Vec<usize>>,
    /// The number of columns.
    count: usize,
}

/// Whether a file is a list of photos, by its ending.
pub fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

impl Dataset {
    /// The photos in a CSV file with rows `path,label`; paths are relative to the folder of the file.
    ///
    /// The first row is a header if one of its fields is path, file, image, photo or filename and its first field is not a file.
    /// Labels are class indices if all of them are integers, else class names (classes are sorted by name). Numbers that are
    /// not integers, or several columns of numbers, are numeric targets: [`Targets::Values`].
    ///
    /// # Errors
    /// A file that cannot be read or is not such a list; under [`Policy::Refuse`] also unusable rows.
    pub fn csv(path: &Path, policy: Policy) -> Result<Dataset, DatasetError> {
        read(path, policy, None)
    }

    /// As [`Dataset::csv`] with a header, for nets with several outputs: `columns` are the names of the columns that hold the
    /// targets of each.
    ///
    /// # Errors
    /// As [`Dataset::csv`]; a list without a header or without these columns.
    pub fn csv_of_outputs(path: &Path, policy: Policy, columns: &[Vec<String>]) -> Result<Dataset, DatasetError> {
        read(path, policy, Some(columns))
    }

    /// The number of labels of a row for each output, by the first row of a list; none if it does not tell.
    ///
    /// # Errors
    /// A file that cannot be read, and a first row that is not the header which `columns` need.
    pub fn label_counts(path: &Path, columns: Option<&[Vec<String>]>) -> Result<Option<Vec<usize>>, DatasetError> {
        let io = |source| DatasetError::Io { path: path.to_owned(), source };
        let (file, _) = open_regular(path).map_err(io)?;
        // A file that is no list may have no line ends.
        let mut reader = reader(file.take(MAX_ROW_BYTES));
        let mut record = StringRecord::new();
        if !reader.read_record(&mut record).unwrap_or(false) {
            return Ok(None);
        }
        let counts = |columns: &Columns| columns.labels.iter().map(Vec::len).collect();
        Ok(first_row(&record, path, columns)?.map(|(columns, _)| counts(&columns)))
    }
}

fn reader<R: Read>(from: R) -> csv::Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(from)
}

/// The columns by the first row, and whether it is a header; none for a row that does not determine the number of columns.
fn first_row(
    record: &StringRecord,
    path: &Path,
    outputs: Option<&[Vec<String>]>,
) -> Result<Option<(Columns, bool)>, DatasetError> {
    let whole = |error: String| DatasetError::List { path: path.to_owned(), error };
    match header(record, path.parent().unwrap_or(Path::new("")), outputs) {
        Some(header) => Ok(Some((header.map_err(whole)?, true))),
        None if outputs.is_some() => {
            Err(whole("its first row is not a header, which names the columns: `path,species,box`".to_owned()))
        }
        None if record.len() < 2 => Ok(None),
        None => Ok(Some((Columns { path: 0, labels: vec![(1..record.len()).collect()], count: record.len() }, false))),
    }
}

fn read(path: &Path, policy: Policy, outputs: Option<&[Vec<String>]>) -> Result<Dataset, DatasetError> {
    let whole = |error: String| DatasetError::List { path: path.to_owned(), error };
    let bytes = read_regular(path, MAX_BYTES).map_err(|source| DatasetError::Io { path: path.to_owned(), source })?;
    let mut reader = reader(&bytes[..]);
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut columns = None;
    let mut record = StringRecord::new();
    // A file that is not a list has an error in every line; the first ones are enough.
    while policy != Policy::Refuse || errors.len() < MAX_ERRORS {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(source) => return Err(DatasetError::Io { path: path.to_owned(), source }),
                csv::ErrorKind::Utf8 { pos, .. } => {
                    let line = pos.map_or(line, |pos| pos.line());
                    errors.push(RowError { line, error: "not UTF-8 text; save the file as UTF-8".to_owned() });
                    continue;
                }
                kind => return Err(whole(format!("line {line}: {kind:?}"))),
            },
        }
        // The position of the reader is before the empty lines that it skips.
        let from = record.position().map_or(0, |position| position.byte() as usize);
        let blanks = bytes.get(from..).unwrap_or_default().iter().take_while(|byte| b"\r\n".contains(byte));
        let line = line + blanks.filter(|&&byte| byte == b'\n').count() as u64;
        let known = match columns.take() {
            Some(known) => known,
            None => match first_row(&record, path, outputs)? {
                Some((header, true)) => {
                    columns = Some(header);
                    continue;
                }
                Some((known, false)) => known,
                None => {
                    let first = record.get(0).unwrap_or_default();
                    let error = match first.chars().find(|sign| [';', '\t'].contains(sign)) {
                        Some(';') => "columns are separated by commas, not semicolons: `owl/1.jpg,owl`".to_owned(),
                        Some(_) => "columns are separated by commas, not tabs: `owl/1.jpg,owl`".to_owned(),
                        None if first.starts_with('#') => "a list cannot have comments".to_owned(),
                        None => one_column(),
                    };
                    errors.push(RowError { line, error });
                    continue;
                }
            },
        };
        match row(&record, &known, folder, line) {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(RowError { line, error }),
        }
        columns = Some(known);
    }
    if rows.is_empty() && errors.is_empty() {
        return Err(whole("it has no rows; each row is a photo and its label: `owl/1.jpg,owl`".to_owned()));
    }
    let outputs = targets(&mut rows, &mut errors);
    errors.sort_by_key(|error| error.line);
    if policy == Policy::Refuse && !errors.is_empty() || rows.is_empty() {
        return Err(DatasetError::Rows { path: path.to_owned(), rows: errors });
    }
    let skipped = errors
        .into_iter()
        .map(|row| Skipped { path: PathBuf::from(format!("{}:{}", path.display(), row.line)), reason: row.error });
    let samples = Samples::Photos(rows.into_iter().map(|row| row.photo).collect());
    let mut outputs = outputs.into_iter();
    let none = || OutputTargets { targets: Targets::Classes(Vec::new()), classes: None };
    let OutputTargets { targets, classes } = outputs.next().unwrap_or_else(none);
    Ok(Dataset { samples, targets, classes, further: outputs.collect(), skipped: skipped.collect() })
}

/// The columns by the header; `None` if the first row is not a header.
fn header(record: &StringRecord, folder: &Path, outputs: Option<&[Vec<String>]>) -> Option<Result<Columns, String>> {
    let named =
        |names: &[&str]| record.iter().position(|field| names.iter().any(|name| field.eq_ignore_ascii_case(name)));
    let path = named(&PATH_HEADERS)?;
    if record.get(0).is_some_and(|first| folder.join(first).is_file()) {
        return None;
    }
    if let Some(outputs) = outputs {
        let column = |name: &String| {
            let known = || record.iter().collect::<Vec<_>>().join(", ");
            let found = record.iter().position(|field| field == name);
            found.ok_or_else(|| format!("its header names no column `{name}`, but {}", known()))
        };
        let labels: Result<Vec<Vec<usize>>, String> =
            outputs.iter().map(|names| names.iter().map(column).collect()).collect();
        return Some(labels.map(|labels| Columns { path, labels, count: record.len() }));
    }
    let mut labels: Vec<usize> = (0..record.len()).filter(|&column| column != path).collect();
    if labels.len() > 1
        && let Some(label) = named(&LABEL_HEADERS)
    {
        labels = vec![label];
    }
    if labels.is_empty() {
        return Some(Err("its header has only a column of paths; expected `path,label`".to_owned()));
    }
    Some(Ok(Columns { path, labels: vec![labels], count: record.len() }))
}

fn one_column() -> String {
    "1 column instead of 2: a path and a label, separated by a comma".to_owned()
}

/// Validates the fields of a row and checks that its file is a photo.
fn row(record: &StringRecord, columns: &Columns, folder: &Path, line: u64) -> Result<Row, String> {
    if record.len() == 1 && columns.count > 1 {
        return Err(one_column());
    }
    if record.len() != columns.count {
        return Err(format!(
            "{}, but the first row has {}; a path that contains a comma must be in double quotes",
            counted(record.len(), "column"),
            columns.count
        ));
    }
    let path = record.get(columns.path).unwrap_or_default();
    if path.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if path.len() > MAX_PATH {
        return Err(format!("the path has {} bytes", path.len()));
    }
    let photo = folder.join(path);
    if !photo.exists() {
        let from = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        return Err(format!("there is no file `{path}`; paths start at the folder of the list, {}", from.display()));
    }
    match photo_paths::kind(&photo) {
        Ok(InputKind::Photo) => {}
        Ok(InputKind::Array) => return Err(format!("`{path}` is an array, not a photo")),
        Err(reason) => return Err(format!("`{path}` cannot be used: {reason}")),
    }
    let of_output = |columns: &Vec<usize>| -> Vec<String> {
        columns.iter().filter_map(|&column| record.get(column)).map(str::to_owned).collect()
    };
    let labels: Vec<Vec<String>> = columns.labels.iter().map(of_output).collect();
    if labels.iter().flatten().any(String::is_empty) {
        return Err("the label is empty".to_owned());
    }
    if let Some(label) = labels.iter().flatten().find(|label| label.contains(char::is_control)) {
        return Err(format!("the label `{}` contains a control character", shown(label)));
    }
    Ok(Row { line, photo, labels })
}

/// The targets of all rows for each output, and the names of the classes. Rows with inconsistent labels become errors.
fn targets(rows: &mut Vec<Row>, errors: &mut Vec<RowError>) -> Vec<OutputTargets> {
    let number = |label: &String| label.parse::<f32>().ok().filter(|number| number.is_finite());
    let outputs = rows.first().map_or(0, |row| row.labels.len());
    let has_classes: Vec<bool> = (0..outputs)
        .map(|output| {
            let labels = || rows.iter().map(|row| &row.labels[output]);
            labels().all(|labels| labels.len() == 1) && !labels().flatten().all(|label| number(label).is_some())
        })
        .collect();
    rows.retain(|row| {
        let numbers = row.labels.iter().zip(&has_classes).filter(|(_, has_classes)| !**has_classes);
        let wrong = numbers.flat_map(|(labels, _)| labels).find(|label| number(label).is_none());
        if let Some(label) = wrong {
            let error = format!("`{label}` is not a number; a row has one label, or only numbers, after the path");
            errors.push(RowError { line: row.line, error });
        }
        wrong.is_none()
    });
    has_classes.into_iter().enumerate().map(|(output, has_classes)| of_output(rows, output, has_classes)).collect()
}

/// The targets of one output; labels that are no classes are numbers.
fn of_output(rows: &[Row], output: usize, has_classes: bool) -> OutputTargets {
    let labels = || rows.iter().map(|row| &row.labels[output]);
    if has_classes {
        let mut classes: Vec<String> = labels().map(|labels| labels[0].clone()).collect();
        classes.sort_unstable();
        classes.dedup();
        let class = |labels: &Vec<String>| classes.binary_search(&labels[0]).unwrap_or_default();
        return OutputTargets { targets: Targets::Classes(labels().map(class).collect()), classes: Some(classes) };
    }
    let width = labels().next().map_or(1, Vec::len);
    let values: Vec<f32> = labels().flatten().filter_map(|label| label.parse().ok()).collect();
    let values = ArrayD::from_shape_vec(IxDyn(&[rows.len(), width]), values);
    // Reading from memory cannot fail.
    let targets = values.ok().and_then(|values| Targets::of(Table::of_array(values)).ok());
    OutputTargets { targets: targets.unwrap_or(Targets::Classes(Vec::new())), classes: None }
}
