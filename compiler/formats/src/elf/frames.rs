//! `.eh_frame`: where functions begin and end, known even of stripped files, and what runs when an exception
//! passes through them (LSB 5, "Exception Frames"; Itanium C++ ABI, "Exception Handling Tables").

use std::collections::BTreeMap;

use super::image::Image;

/// One function, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    /// First address that the entry covers.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// A signal frame (augmentation "S"): such entries begin one byte early.
    pub signal: bool,
    /// Where the address of the personality routine is written, or the routine itself.
    pub personality: Option<Place>,
    /// The language-specific data.
    pub lsda: Option<u64>,
}

/// An address, or a place that holds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The thing itself.
    Direct(u64),
    /// A word that the loader fills with its address.
    Indirect(u64),
}

/// What `.gcc_except_table` says about one function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handlers {
    /// Landing pads.
    pub pads: Vec<u64>,
    /// Types that are caught: words or objects of type information.
    pub types: Vec<Place>,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    address: u64,
    at: usize,
}

impl Cursor<'_> {
    fn here(&self) -> u64 {
        self.address.wrapping_add(self.at as u64)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(size)?)?;
        self.at += size;
        Some(bytes.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b)))
    }

    fn leb(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A pointer in one of the encodings `DW_EH_PE_*`; `Some(None)` for a null one.
    fn pointer(&mut self, encoding: u8, function: u64) -> Option<Option<Place>> {
        if encoding == 0xff {
            return Some(None);
        }
        let here = self.here();
        let sign = |value: u64, bits: u32| ((value << (64 - bits)).cast_signed() >> (64 - bits)).cast_unsigned();
        let raw = match encoding & 15 {
            0 | 4 | 12 => self.number(8)?,
            1 => self.leb()?,
            2 => self.number(2)?,
            3 => self.number(4)?,
            10 => sign(self.number(2)?, 16),
            11 => sign(self.number(4)?, 32),
            _ => return None,
        };
        if raw == 0 {
            return Some(None);
        }
        let value = match encoding & 0x70 {
            0 => raw,
            0x10 => here.wrapping_add(raw),
            0x40 => function.wrapping_add(raw),
            _ => return None,
        };
        Some(Some(if encoding & 0x80 == 0 { Place::Direct(value) } else { Place::Indirect(value) }))
    }
}

fn direct(place: Option<Place>) -> Option<u64> {
    match place {
        Some(Place::Direct(value) | Place::Indirect(value)) => Some(value),
        None => None,
    }
}

#[derive(Clone, Copy)]
struct Common {
    code: u8,
    lsda: u8,
    signal: bool,
    augmented: bool,
    personality: Option<Place>,
}

fn common(cursor: &mut Cursor) -> Option<Common> {
    let mut found = Common { code: 0, lsda: 0xff, signal: false, augmented: false, personality: None };
    let version = cursor.byte()?;
    let mut letters = Vec::new();
    loop {
        match cursor.byte()? {
            0 => break,
            letter => letters.push(letter),
        }
    }
    cursor.leb()?;
    cursor.leb()?;
    if version == 1 {
        cursor.byte()?;
    } else {
        cursor.leb()?;
    }
    for letter in letters {
        match letter {
            b'z' => {
                found.augmented = true;
                cursor.leb()?;
            }
            b'L' => found.lsda = cursor.byte()?,
            b'R' => found.code = cursor.byte()?,
            b'P' => {
                let encoding = cursor.byte()?;
                found.personality = cursor.pointer(encoding, 0)?;
            }
            b'S' => found.signal = true,
            b'B' | b'G' => {}
            _ => return None,
        }
    }
    Some(found)
}

impl Image<'_> {
    /// Address and bytes of `.eh_frame`: by its section, or by the header that the loader maps.
    fn eh_frame(&self) -> Option<(u64, &[u8])> {
        if let Some(section) = self.section(b".eh_frame").filter(|s| s.loaded && s.size > 0) {
            return Some((section.address, self.contents(section)));
        }
        let (header, _) = self.eh_frame_hdr?;
        let mut cursor = Cursor { bytes: self.from(header)?, address: header, at: 1 };
        let encoding = cursor.byte()?;
        cursor.at += 2;
        let start = direct(cursor.pointer(encoding, 0)?)?;
        Some((start, self.from(start)?))
    }

    /// All entries, sorted by start. Reading ends at the first one that makes no sense: what is not covered
    /// is found by other means.
    pub fn frames(&self) -> Vec<Frame> {
        let Some((address, bytes)) = self.eh_frame() else { return Vec::new() };
        let mut commons: BTreeMap<usize, Option<Common>> = BTreeMap::new();
        let mut frames = Vec::new();
        let mut at = 0_usize;
        while let Some((id_at, end)) = entry(bytes, at) {
            let mut cursor = Cursor { bytes: bytes.get(..end).unwrap_or_default(), address, at: id_at };
            match cursor.number(4) {
                None => break,
                Some(0) => {
                    let place = at;
                    commons.insert(place, common(&mut cursor));
                }
                Some(back) => {
                    let place = id_at.wrapping_sub(back as usize);
                    if let Some(Some(common)) = commons.get(&place) {
                        frames.extend(frame(&mut cursor, common));
                    }
                }
            }
            at = end;
        }
        frames.sort_unstable();
        frames.dedup_by_key(|frame| frame.start);
        frames
    }

    /// Reads the handlers of one function from its language-specific data. None when they make no sense.
    pub fn handlers(&self, lsda: u64, function: u64) -> Option<Handlers> {
        let mut cursor = Cursor { bytes: self.from(lsda)?, address: lsda, at: 0 };
        let encoding = cursor.byte()?;
        let base = direct(cursor.pointer(encoding, function)?).unwrap_or(function);
        let type_encoding = cursor.byte()?;
        let types_end = if type_encoding == 0xff { None } else { Some(cursor.leb()?) };
        let types_end = types_end.and_then(|distance| cursor.at.checked_add(usize::try_from(distance).ok()?));
        let call_encoding = cursor.byte()?;
        let calls_end = usize::try_from(cursor.leb()?).ok()?.checked_add(cursor.at)?;
        let mut found = Handlers::default();
        let mut actions = Vec::new();
        while cursor.at < calls_end {
            cursor.pointer(call_encoding, 0)?;
            cursor.pointer(call_encoding, 0)?;
            if let Some(pad) = direct(cursor.pointer(call_encoding, 0)?) {
                found.pads.push(base.wrapping_add(pad));
            }
            actions.extend(usize::try_from(cursor.leb()?).ok().filter(|action| *action > 0));
        }
        if let Some(end) = types_end {
            found.types = self.caught(&mut cursor, calls_end, &actions, type_encoding, end);
        }
        Some(found)
    }

    /// Follows the chains of actions to the types that they catch.
    fn caught(&self, cursor: &mut Cursor, start: usize, actions: &[usize], encoding: u8, end: usize) -> Vec<Place> {
        let size = match encoding & 15 {
            2 | 10 => 2,
            3 | 11 => 4,
            _ => 8,
        };
        let mut filters = std::collections::BTreeSet::new();
        for action in actions {
            cursor.at = start.saturating_add(*action).saturating_sub(1);
            for _ in 0..256 {
                let (Some(filter), place) = (cursor.leb(), cursor.at) else { break };
                let Some(next) = cursor.leb() else { break };
                let sign =
                    |value: u64| if value & 0x40 != 0 && value < 0x80 { value as i64 - 0x80 } else { value as i64 };
                if sign(filter) > 0 {
                    filters.insert(filter);
                }
                match place.checked_add_signed(isize::try_from(sign(next)).unwrap_or(0)) {
                    Some(at) if at != place => cursor.at = at,
                    _ => break,
                }
            }
        }
        let mut types = Vec::new();
        for filter in filters {
            let back = usize::try_from(filter).ok().and_then(|filter| filter.checked_mul(size));
            let Some(at) = back.and_then(|back| end.checked_sub(back)) else { continue };
            cursor.at = at;
            types.extend(cursor.pointer(encoding, 0).flatten());
        }
        types
    }
}

/// The place behind an entry's length, and its end. None at the terminator.
fn entry(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut cursor = Cursor { bytes, address: 0, at };
    let mut length = cursor.number(4)?;
    if length == 0xffff_ffff {
        length = cursor.number(8)?;
    }
    let end = cursor.at.checked_add(usize::try_from(length).ok()?)?;
    (length != 0 && end <= bytes.len()).then_some((cursor.at, end))
}

fn frame(cursor: &mut Cursor, common: &Common) -> Option<Frame> {
    let start = direct(cursor.pointer(common.code, 0)?)?;
    let size = direct(cursor.pointer(common.code & 15, 0)?)?;
    let mut lsda = None;
    if common.augmented {
        let size = cursor.leb()?;
        if size > 0 && common.lsda != 0xff {
            lsda = direct(cursor.pointer(common.lsda, start)?);
        }
    }
    let end = start.checked_add(size)?;
    Some(Frame { start, end, signal: common.signal, personality: common.personality, lsda })
}
