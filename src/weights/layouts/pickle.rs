//! Python pickles as data. The stack machine builds numbers, texts, containers and the descriptions of PyTorch's tensors. Of the
//! functions and classes that a pickle may name it knows those with which `torch.save` describes tensors and containers; any
//! other is refused by its name, and nothing is ever called.
//!
//! The opcodes are those of Python's `pickletools`, protocols 0 to 5.

use super::hdf5_file::corrupt;
use crate::weights::store::{Number, StoreError};
use std::collections::HashMap;
use std::rc::Rc;

/// The most values that a pickle may build: some fifty for each tensor.
const MAX_VALUES: usize = 1 << 22;
/// The most sizes of a tensor.
const MAX_AXES: usize = 64;

/// A value on the machine's stack. The machine has the containers: pickles share them, nest them a million deep and build circles
/// of them.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `None`, a float, bytes, a set: what tensors do not need.
    Other,
    Int(i64),
    Text(Rc<str>),
    Tuple(usize),
    List,
    Dict(usize),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<Tensor>),
}

/// A function or class that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`, for a tensor that is trained.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`, for a tensor with attributes.
    RebuildFromType,
    /// `torch.Tensor`, `torch.nn.parameter.Parameter`
    TensorType,
    /// `torch.Size`
    Size,
    /// `torch.FloatStorage` and the others
    StorageType(Number),
}

/// Bytes that tensors share.
#[derive(Debug, PartialEq)]
pub(crate) struct Storage {
    /// The name of the archive's member that has them.
    pub key: String,
    pub number: Number,
    /// Number of elements.
    pub elements: usize,
}

/// A tensor: a view of a storage. Offset and strides count elements.
#[derive(Debug, PartialEq)]
pub(crate) struct Tensor {
    pub storage: Rc<Storage>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch", "Tensor") | ("torch.nn.parameter", "Parameter") => Global::TensorType,
            ("torch", "Size") => Global::Size,
            ("torch", storage) => Global::StorageType(match storage {
                "DoubleStorage" => Number::Float(64),
                "FloatStorage" => Number::Float(32),
                "HalfStorage" => Number::Float(16),
                "BFloat16Storage" => Number::Bfloat16,
                "LongStorage" => Number::Integer(64),
                "IntStorage" => Number::Integer(32),
                "ShortStorage" => Number::Integer(16),
                "CharStorage" | "ByteStorage" | "BoolStorage" => Number::Integer(8),
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// What a pickle contains.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub root: Value,
    dicts: Vec<Vec<(Value, Value)>>,
}

impl Pickle {
    /// Reads a pickle; `location` is its name in errors.
    ///
    /// # Errors
    /// A pickle that is damaged, builds more than [`MAX_VALUES`] values, or names a function or class other than [`Global`]'s.
    pub fn read(bytes: &[u8], location: &str) -> Result<Pickle, StoreError> {
        let mut machine = Machine { bytes, location, ..Machine::default() };
        let root = machine.run()?;
        Ok(Pickle { root, dicts: machine.dicts })
    }

    /// The entries of a dictionary whose keys are texts, in the pickle's order.
    pub fn entries(&self, value: &Value) -> impl Iterator<Item = (&str, &Value)> {
        let entries = if let Value::Dict(index) = value { &self.dicts[*index][..] } else { &[] };
        entries.iter().filter_map(|(key, value)| match key {
            Value::Text(key) => Some((&**key, value)),
            _ => None,
        })
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    location: &'a str,
    stack: Vec<Value>,
    /// The heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    tuples: Vec<Rc<[Value]>>,
    dicts: Vec<Vec<(Value, Value)>>,
    built: usize,
}

impl<'a> Machine<'a> {
    fn damaged(&self, what: impl Into<String>) -> StoreError {
        corrupt(self.location, what.into())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], StoreError> {
        let Some((taken, after)) = self.bytes.split_at_checked(count) else {
            return Err(self.damaged("its pickle ends within a value"));
        };
        self.bytes = after;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<u64, StoreError> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes_of_length<const N: usize>(&mut self) -> Result<&'a [u8], StoreError> {
        let length = self.number::<N>()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a str, StoreError> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.map_or(usize::MAX, |end| end + 1))?;
        self.text(&line[..line.len() - 1])
    }

    fn text(&self, bytes: &'a [u8]) -> Result<&'a str, StoreError> {
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text in its pickle is not UTF-8"))
    }

    fn push(&mut self, value: Value) -> Result<(), StoreError> {
        self.built += 1;
        if self.built > MAX_VALUES {
            let what = format!("its pickle builds more than {MAX_VALUES} values");
            return Err(StoreError::TooLarge { location: self.location.into(), what });
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, StoreError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().unwrap_or(Value::Other)),
            false => Err(self.damaged("its pickle takes a value that it has not built")),
        }
    }

    fn top(&self) -> Result<&Value, StoreError> {
        self.stack.last().ok_or_else(|| self.damaged("its pickle takes a value that it has not built"))
    }

    /// The values since the last mark.
    fn since_mark(&mut self) -> Result<Vec<Value>, StoreError> {
        let mark =
            self.marks.pop().ok_or_else(|| self.damaged("its pickle goes back to a mark that it has not set"))?;
        Ok(self.stack.split_off(mark))
    }

    fn new_dict(&mut self) -> Value {
        self.dicts.push(Vec::new());
        Value::Dict(self.dicts.len() - 1)
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), StoreError> {
        if let Value::Dict(index) = *self.top()? {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                self.dicts[index].push((key, value));
            }
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), StoreError> {
        let global = Global::named(module, name).ok_or_else(|| StoreError::Refused {
            location: self.location.into(),
            what: format!(
                "its pickle contains `{module}.{name}`, where only tensors, numbers, texts and containers of them are read; \
                 `torch.save(model.state_dict(), \"model.pth\")` writes such a file"
            ),
        })?;
        self.push(Value::Global(global))
    }

    fn remember(&mut self, key: u32) -> Result<(), StoreError> {
        let value = self.top()?.clone();
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), StoreError> {
        let value = self.memo.get(&key).cloned();
        let value = value.ok_or_else(|| self.damaged("its pickle recalls a value that it has not stored"))?;
        self.push(value)
    }

    fn tuple(&mut self, count: usize) -> Result<(), StoreError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push_tuple(items)
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Result<(), StoreError> {
        self.tuples.push(items.into());
        self.push(Value::Tuple(self.tuples.len() - 1))
    }

    /// The items of a tuple; none of another value.
    fn items(&self, value: &Value) -> Option<Rc<[Value]>> {
        if let Value::Tuple(index) = value { Some(Rc::clone(&self.tuples[*index])) } else { None }
    }

    /// Runs to the end and returns the last value.
    fn run(&mut self) -> Result<Value, StoreError> {
        loop {
            let [opcode] = self.take(1)? else { unreachable!("one byte was asked for") };
            match opcode {
                b'.' => return self.pop(),
                0x80 => {
                    let protocol = self.number::<1>()?;
                    if protocol > 5 {
                        return Err(self.damaged(format!("its pickle has the unknown protocol {protocol}")));
                    }
                }
                0x95 => drop(self.take(8)?),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => self.push(self.top()?.clone())?,
                b'N' => self.push(Value::Other)?,
                0x88 => self.push(Value::Int(1))?,
                0x89 => self.push(Value::Int(0))?,
                b'J' => {
                    let number = self.number::<4>()? as u32 as i32;
                    self.push(Value::Int(number.into()))?;
                }
                b'K' => {
                    let number = self.number::<1>()?;
                    self.push(Value::Int(number as i64))?;
                }
                b'M' => {
                    let number = self.number::<2>()?;
                    self.push(Value::Int(number as i64))?;
                }
                b'I' | b'L' => {
                    let line = self.line()?.trim_end_matches('L');
                    let value = line.parse().map_or(Value::Other, Value::Int);
                    self.push(value)?;
                }
                0x8a => {
                    let bytes = self.bytes_of_length::<1>()?;
                    self.push(long(bytes))?;
                }
                0x8b => {
                    let bytes = self.bytes_of_length::<4>()?;
                    self.push(long(bytes))?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other)?;
                }
                b'F' => {
                    self.line()?;
                    self.push(Value::Other)?;
                }
                b'X' | 0x8c | 0x8d => {
                    let bytes = match opcode {
                        b'X' => self.bytes_of_length::<4>()?,
                        0x8c => self.bytes_of_length::<1>()?,
                        _ => self.bytes_of_length::<8>()?,
                    };
                    let text = self.text(bytes)?;
                    self.push(Value::Text(text.into()))?;
                }
                b'V' => {
                    let line = self.line()?;
                    self.push(Value::Text(line.into()))?;
                }
                b'S' => {
                    let line = self.line()?.trim_matches(['\'', '"']);
                    self.push(Value::Text(line.into()))?;
                }
                b'U' | b'C' | b'T' | b'B' | 0x8e | 0x96 => {
                    match opcode {
                        b'U' | b'C' => self.bytes_of_length::<1>()?,
                        b'T' | b'B' => self.bytes_of_length::<4>()?,
                        _ => self.bytes_of_length::<8>()?,
                    };
                    self.push(Value::Other)?;
                }
                b')' => self.push_tuple(Vec::new())?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push_tuple(items)?;
                }
                0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
                b']' => self.push(Value::List)?,
                b'l' => {
                    self.since_mark()?;
                    self.push(Value::List)?;
                }
                b'a' => drop(self.pop()?),
                b'e' | 0x90 => drop(self.since_mark()?),
                0x8f => self.push(Value::Other)?,
                0x91 => {
                    self.since_mark()?;
                    self.push(Value::Other)?;
                }
                b'}' => {
                    let dict = self.new_dict();
                    self.push(dict)?;
                }
                b'd' => {
                    let items = self.since_mark()?;
                    let dict = self.new_dict();
                    self.push(dict)?;
                    self.set_items(items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(items)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err(self.damaged("a name in its pickle is not a text"));
                    };
                    self.global(&module, &name)?;
                }
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    let value = self.apply(&function, &arguments)?;
                    self.push(value)?;
                }
                // The attributes of a container or a tensor.
                b'b' => drop(self.pop()?),
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(&id)?;
                    self.push(storage)?;
                }
                b'q' => {
                    let key = self.number::<1>()?;
                    self.remember(key as u32)?;
                }
                b'r' => {
                    let key = self.number::<4>()?;
                    self.remember(key as u32)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let key = self.number::<1>()?;
                    self.recall(key as u32)?;
                }
                b'j' => {
                    let key = self.number::<4>()?;
                    self.recall(key as u32)?;
                }
                b'p' | b'g' => {
                    let line = self.line()?;
                    let key = line.parse().map_err(|_| self.damaged("a number in its pickle is not one"))?;
                    if *opcode == b'p' { self.remember(key)? } else { self.recall(key)? }
                }
                other => return Err(self.damaged(format!("its pickle has the opcode {other:#04x}, which is not read"))),
            }
        }
    }

    /// The result of one of the known functions.
    fn apply(&mut self, function: &Value, arguments: &Value) -> Result<Value, StoreError> {
        let (Value::Global(function), Some(arguments)) = (function, self.items(arguments)) else {
            return Err(self.damaged("its pickle calls a value that is not a function"));
        };
        match (function, &arguments[..]) {
            (Global::OrderedDict, _) => Ok(self.new_dict()),
            (Global::Size, [sizes, ..]) => Ok(sizes.clone()),
            (Global::RebuildTensor, [Value::Storage(storage), offset, shape, strides, ..]) => {
                let tensor = self.tensor(storage, offset, shape, strides)?;
                Ok(Value::Tensor(Rc::new(tensor)))
            }
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
            (
                Global::RebuildFromType,
                [function @ Value::Global(Global::RebuildTensor | Global::RebuildParameter), _, arguments, ..],
            ) => self.apply(function, arguments),
            _ => Err(self.damaged("its pickle describes a tensor with wrong arguments")),
        }
    }

    /// A persistent id, `("storage", type, key, device, elements)`.
    fn storage(&self, id: &Value) -> Result<Value, StoreError> {
        if let Some(parts) = self.items(id)
            && let [
                Value::Text(what),
                Value::Global(Global::StorageType(number)),
                Value::Text(key),
                _,
                Value::Int(elements),
                ..,
            ] = &parts[..]
            && **what == *"storage"
            && let Ok(elements) = usize::try_from(*elements)
        {
            return Ok(Value::Storage(Rc::new(Storage { key: key.to_string(), number: *number, elements })));
        }
        Err(self.damaged("its pickle describes the storage of a tensor with wrong arguments"))
    }

    fn tensor(
        &self,
        storage: &Rc<Storage>,
        offset: &Value,
        shape: &Value,
        strides: &Value,
    ) -> Result<Tensor, StoreError> {
        let wrong = || self.damaged("its pickle describes a tensor with wrong sizes");
        let size = |value: &Value| match value {
            Value::Int(size) => usize::try_from(*size).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        let sizes = |value: &Value| match value {
            Value::Tuple(index) if self.tuples[*index].len() <= MAX_AXES => {
                self.tuples[*index].iter().map(size).collect::<Result<Vec<_>, _>>()
            }
            _ => Err(wrong()),
        };
        let (offset, shape, strides) = (size(offset)?, sizes(shape)?, sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(wrong());
        }
        let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).ok_or_else(wrong)?;
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |last, (&size, &stride)| last.checked_add(size.saturating_sub(1).checked_mul(stride)?));
        // A tensor that repeats its values (a stride of 0) would take more memory than the file has bytes.
        if elements > 0 && last.is_none_or(|last| last >= storage.elements) || elements > storage.elements {
            return Err(wrong());
        }
        Ok(Tensor { storage: Rc::clone(storage), offset, shape, strides })
    }
}

/// A little-endian integer of any length in two's complement.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}
