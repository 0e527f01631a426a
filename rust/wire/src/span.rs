//! Step 3a of 6 - where a part of a head stands in its bytes: eight bytes instead of a copy.

/// A range of the bytes of a head. 32 bits are enough: `Head::parse` looks at no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) const EMPTY: Span = Span { start: 0, end: 0 };

    #[inline]
    pub(crate) fn at(start: usize, bytes: usize) -> Span {
        let bound = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { start: bound(start), end: bound(start.saturating_add(bytes)) }
    }

    /// The bytes of this span; none when it is not within `bytes`.
    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or(b"")
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One field: its name as sent, its value without the whitespace around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
}
