//! A field block to its fields (RFC 7541 section 6).

use super::Invalid;
use super::table::{Entry, Table};
use crate::net::{huffman, prefix_integer};

/// The decoder of one connection.
#[derive(Debug)]
pub(in crate::net::h2) struct Decoder {
    pub(super) table: Table,
    /// What we announced as SETTINGS_HEADER_TABLE_SIZE.
    size_limit: usize,
    /// Where a Huffman string is unpacked; emptied, and given back, after each block.
    scratch: Vec<u8>,
}

/// A string of a literal.
enum Text<'a> {
    Plain(&'a [u8]),
    /// A range of the scratch buffer.
    Unpacked(usize, usize),
}

impl Decoder {
    /// A decoder with a table of at most `size_limit` bytes.
    pub(in crate::net::h2) fn new(size_limit: usize) -> Self {
        Self { table: Table::new(size_limit), size_limit, scratch: Vec::new() }
    }

    /// Decodes one whole block and hands each field to `field`, in order.
    ///
    /// Memory is bounded by the block: a string unpacks to 8/5 of its bytes, and an indexed field
    /// is handed out as a borrow of the table.
    pub(in crate::net::h2) fn decode(
        &mut self,
        mut block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Invalid> {
        let mut begun = false;
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                let index = prefix_integer::take(&mut block, 7).ok_or(Invalid)?;
                let (name, value) = self.table.get(index).ok_or(Invalid)?;
                field(name, value);
            } else if first & 0xe0 == 0x20 {
                // Size updates stand only at the beginning of a block (RFC 7541 section 4.2).
                let size = prefix_integer::take(&mut block, 5).ok_or(Invalid)?;
                if begun || size > self.size_limit {
                    return Err(Invalid);
                }
                self.table.resize(size);
                continue;
            } else {
                self.literal(first, &mut block, &mut field)?;
            }
            begun = true;
        }
        Ok(())
    }

    /// A literal field: with indexing `01`, without `0000`, or never indexed `0001`.
    fn literal(
        &mut self,
        first: u8,
        block: &mut &[u8],
        field: &mut impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Invalid> {
        let indexed = first & 0x40 != 0;
        let index = prefix_integer::take(block, if indexed { 6 } else { 4 }).ok_or(Invalid)?;
        self.scratch.clear();
        let name = if index == 0 { Some(self.take_text(block)?) } else { None };
        let value = self.take_text(block)?;
        let value = value.bytes(&self.scratch);
        let name = match &name {
            Some(name) => name.bytes(&self.scratch),
            None => self.table.get(index).ok_or(Invalid)?.0,
        };
        field(name, value);
        if indexed {
            // Copied first: the name may stand in an entry that this one evicts
            // (RFC 7541 section 4.4).
            let entry = Entry::new(name, value);
            self.table.insert(entry);
        }
        Ok(())
    }

    /// Takes a string literal (RFC 7541 section 5.2).
    fn take_text<'a>(&mut self, block: &mut &'a [u8]) -> Result<Text<'a>, Invalid> {
        let packed = block.first().is_some_and(|first| first & 0x80 != 0);
        let length = prefix_integer::take(block, 7).ok_or(Invalid)?;
        let (text, rest) = block.split_at_checked(length).ok_or(Invalid)?;
        *block = rest;
        if !packed {
            return Ok(Text::Plain(text));
        }
        let start = self.scratch.len();
        huffman::decode(text, &mut self.scratch).map_err(|huffman::Invalid| Invalid)?;
        Ok(Text::Unpacked(start, self.scratch.len()))
    }

    /// Bytes of the table, as they are counted against its size.
    #[cfg(any(test, fuzzing))]
    pub(in crate::net::h2) fn table_size(&self) -> usize {
        self.table.size()
    }

    /// Gives back memory that only a block being decoded needs.
    pub(in crate::net::h2) fn shrink(&mut self) {
        self.scratch = Vec::new();
    }
}

impl<'a> Text<'a> {
    fn bytes<'s>(&self, scratch: &'s [u8]) -> &'s [u8]
    where
        'a: 's,
    {
        match *self {
            Self::Plain(text) => text,
            Self::Unpacked(start, end) => &scratch[start..end],
        }
    }
}
