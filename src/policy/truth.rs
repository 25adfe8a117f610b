//! Three-valued logic: only *true* permits, and the negation of unknown is unknown (`configuration.md` §1, rule 7).

/// Whether something holds, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    /// It is there and can't be compared.
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Truth {
    pub fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    pub fn or(self, other: Self) -> Self {
        self.negated().and(other.negated()).negated()
    }

    /// The same, but never enough to permit.
    pub fn never_true(self) -> Self {
        if self == Self::True { Self::Unknown } else { self }
    }

    /// All of them.
    pub fn all(truths: impl Iterator<Item = Self>) -> Self {
        truths.fold(Self::True, Self::and)
    }

    /// At least one of them.
    pub fn any(truths: impl Iterator<Item = Self>) -> Self {
        truths.fold(Self::False, Self::or)
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, *};

    #[test]
    fn the_table_is_kleenes() {
        for (a, b, and, or) in [
            (True, True, True, True),
            (True, False, False, True),
            (True, Unknown, Unknown, True),
            (False, False, False, False),
            (False, Unknown, False, Unknown),
            (Unknown, Unknown, Unknown, Unknown),
        ] {
            assert_eq!((a.and(b), b.and(a), a.or(b), b.or(a)), (and, and, or, or), "{a:?} {b:?}");
        }
        assert_eq!([True.negated(), False.negated(), Unknown.negated()], [False, True, Unknown]);
        assert_eq!((Truth::all(core::iter::empty()), Truth::any(core::iter::empty())), (True, False));
    }
}
