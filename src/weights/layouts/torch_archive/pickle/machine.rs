//! The stack machine.

use super::value::{Global, Value};
use crate::weights::layouts::hdf5_file::corrupt;
use crate::weights::store::StoreError;
use std::collections::HashMap;
use std::rc::Rc;

/// The most values that a pickle may build: some fifty for each tensor.
const MAX_VALUES: usize = 1 << 22;

#[derive(Default)]
pub(super) struct Machine<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) location: &'a str,
    stack: Vec<Value>,
    /// The heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    pub(super) tuples: Vec<Rc<[Value]>>,
    pub(super) dicts: Vec<Vec<(Value, Value)>>,
    built: usize,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8], location: &'a str) -> Self {
        Machine { bytes, location, ..Machine::default() }
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> StoreError {
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
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a string in its pickle is not UTF-8"))
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
            false => Err(self.damaged("its pickle pops a value from an empty stack")),
        }
    }

    fn top(&self) -> Result<&Value, StoreError> {
        self.stack.last().ok_or_else(|| self.damaged("its pickle pops a value from an empty stack"))
    }

    /// The values since the last mark.
    fn since_mark(&mut self) -> Result<Vec<Value>, StoreError> {
        let mark =
            self.marks.pop().ok_or_else(|| self.damaged("its pickle refers to a mark that is not on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn new_dict(&mut self) -> Value {
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
                "its pickle contains `{module}.{name}`, where only tensors, numbers, strings and containers of them are read; \
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
        let value = value.ok_or_else(|| self.damaged("its pickle reads a memo entry that it has not stored"))?;
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
    pub(super) fn items(&self, value: &Value) -> Option<Rc<[Value]>> {
        if let Value::Tuple(index) = value { Some(Rc::clone(&self.tuples[*index])) } else { None }
    }

    /// Runs to the end and returns the last value.
    pub(super) fn run(&mut self) -> Result<Value, StoreError> {
        loop {
            let opcode = self.number::<1>()? as u8;
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
                        return Err(self.damaged("a name in its pickle is not a string"));
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
                    if opcode == b'p' { self.remember(key)? } else { self.recall(key)? }
                }
                other => return Err(self.damaged(format!("its pickle has the opcode {other:#04x}, which is not read"))),
            }
        }
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
