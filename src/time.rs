//! Whole seconds since 1970 (RFC 7519's NumericDate without its fraction): read by the host, an argument named `now` everywhere else.

use core::time::Duration;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// This time and `duration` more, its fraction of a second cut off; the end of time at most.
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// This time less `duration`; 1970 at least.
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// Reads the `Date` of an HTTP message in the one form that servers write (RFC 9110 §5.6.7):
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn from_http_date(text: &[u8]) -> Option<Self> {
        let words: Vec<&str> = core::str::from_utf8(text).ok()?.split(' ').collect();
        let [_, day, month, year, clock, "GMT"] = words.as_slice() else { return None };
        let month = MONTHS.iter().position(|name| name == month)? as u64;
        let clock: Vec<u64> = clock.split(':').map(number).collect::<Option<_>>()?;
        let [hours, minutes, seconds] = clock.as_slice() else { return None };
        let days = days_since_1970(number(year)?, month, number(day)?)?;
        Some(Self(days * 86_400 + hours * 3600 + minutes * 60 + seconds))
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// At most four digits, so that nothing that is made of them overflows.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// `month` from 0. The year begins in March here, so that the day that some years have more is its last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    let (year, month) = if month < 2 { (year.checked_sub(1)?, month + 10) } else { (year, month - 2) };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    (of_years + (month * 153 + 2) / 5 + day.checked_sub(1)?).checked_sub(FROM_MARCH_OF_YEAR_0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_http_message_is_read() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Mon, 01 Jan 2125 00:00:00 GMT", Some(4_891_363_200)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("", None),
        ] {
            assert_eq!(UnixTime::from_http_date(text.as_bytes()).map(UnixTime::seconds), seconds, "{text}");
        }
        assert_eq!(UnixTime::from_http_date(b"\xff"), None);
    }
}
