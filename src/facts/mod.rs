//! What the proxy knows of one request, as bytes: its line, its fields, its peer.
//!
//! The header fields stay in the one buffer that the host returned (proxy-wasm's pairs: a count, the sizes, then names and
//! values, each followed by a NUL); everything else here points into it.

use core::ops::Range;

pub mod peer;
pub mod percent;
pub mod relay;

use peer::Peer;

/// One request, before anything in it is believed.
pub struct Request {
    fields: Fields,
    places: Places,
    pub peer: Peer,
    /// Whether something comes after the header fields: a body, trailers, or what an upgrade opens.
    pub has_body: bool,
    /// Set where some route of the configuration asks for it.
    pub envoy_route: Option<EnvoyRoute>,
}

/// A list of header fields in the host's own buffer, in their order, pseudo-headers included.
pub struct Fields {
    buffer: Vec<u8>,
    count: usize,
}

/// Where in the buffer stands what every journey asks for, so that none looks through all fields for it once more.
#[derive(Default)]
struct Places {
    method: Option<Range<usize>>,
    path: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    authorization: Option<Range<usize>>,
    has_second_authorization: bool,
    has_connection: bool,
}

/// What stands in a field that may stand in a request once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single<'a> {
    None,
    One(&'a [u8]),
    Several,
}

/// The Envoy route that the proxy chose, as `xds.route_name` and `xds.route_metadata` tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvoyRoute {
    pub name: Option<Vec<u8>>,
    /// `filter_metadata.holdfast.policy`, one string.
    pub policy: Option<Vec<u8>>,
}

/// The host's buffer is not a list of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPairs;

impl Places {
    /// Envoy hands each of the names with a colon out once, and no other name begins so.
    fn note(&mut self, name: &[u8], value: Range<usize>) {
        let place = match name {
            b":method" => &mut self.method,
            b":path" => &mut self.path,
            b":authority" => &mut self.authority,
            _ if name.eq_ignore_ascii_case(b"authorization") => {
                self.has_second_authorization = self.authorization.is_some();
                &mut self.authorization
            }
            _ => {
                self.has_connection |= name.eq_ignore_ascii_case(b"connection");
                return;
            }
        };
        place.get_or_insert(value);
    }
}

impl Request {
    pub fn from_pairs(buffer: Vec<u8>, peer: Peer) -> Result<Self, NotPairs> {
        let mut places = Places::default();
        let fields = Fields::read(buffer, |name, value| places.note(name, value))?;
        Ok(Self { fields, places, peer, has_body: false, envoy_route: None })
    }

    pub fn method(&self) -> &[u8] {
        self.fields.slice(self.places.method.as_ref())
    }

    /// The request target, its query included.
    pub fn path(&self) -> &[u8] {
        self.fields.slice(self.places.path.as_ref())
    }

    pub fn authority(&self) -> &[u8] {
        self.fields.slice(self.places.authority.as_ref())
    }

    pub fn authorization(&self) -> Single<'_> {
        match &self.places.authorization {
            _ if self.places.has_second_authorization => Single::Several,
            Some(one) => Single::One(self.fields.slice(Some(one))),
            None => Single::None,
        }
    }

    /// The names of the fields that are for the next hop alone, in as many lists as were sent.
    pub fn connection(&self) -> impl Iterator<Item = &[u8]> {
        let looked_for = if self.places.has_connection { usize::MAX } else { 0 };
        self.fields
            .iter()
            .take(looked_for)
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"))
            .map(|(_, value)| value)
    }

    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter()
    }

    /// Every value of the fields of this name, in their order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.fields.values(name)
    }

    /// What stands in the fields of a name that may stand there once.
    pub fn single<'a>(&'a self, name: &'a [u8]) -> Single<'a> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (None, _) => Single::None,
            (Some(value), None) => Single::One(value),
            (Some(_), Some(_)) => Single::Several,
        }
    }

    /// Bytes held while the request waits.
    pub fn size(&self) -> usize {
        self.fields.buffer.len() + self.peer.size()
    }
}

impl Fields {
    pub fn from_pairs(buffer: Vec<u8>) -> Result<Self, NotPairs> {
        Self::read(buffer, |_, _| ())
    }

    /// `note` is told each name, and where its value stands.
    fn read(buffer: Vec<u8>, mut note: impl FnMut(&[u8], Range<usize>)) -> Result<Self, NotPairs> {
        let count = wide(*buffer.first_chunk().ok_or(NotPairs)?);
        let fields = Self { buffer, count };
        let (mut read, mut at) = (0, fields.names_begin());
        for (name, value) in fields.iter() {
            let value = at + name.len() + 1..at + name.len() + 1 + value.len();
            (read, at) = (read + 1, value.end + 1);
            note(name, value);
        }
        // A pair that does not lie in the buffer ends the list early.
        if read == count { Ok(fields) } else { Err(NotPairs) }
    }

    /// Names and values, each behind the one before; their sizes stand in front of all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let (sizes, mut rest) = self.buffer.split_at_checked(self.names_begin()).unwrap_or_default();
        let (sizes, _) = sizes.get(4..).unwrap_or_default().as_chunks::<8>();
        sizes.iter().map_while(move |[a, b, c, d, e, f, g, h]| {
            let (name, after) = rest.split_at_checked(wide([*a, *b, *c, *d]))?;
            let (value, after) = after.get(1..)?.split_at_checked(wide([*e, *f, *g, *h]))?;
            rest = after.get(1..)?;
            Some((name, value))
        })
    }

    fn names_begin(&self) -> usize {
        self.count.saturating_mul(8).saturating_add(4)
    }

    /// Every value of the fields of this name, compared without case.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn slice(&self, range: Option<&Range<usize>>) -> &[u8] {
        range.and_then(|range| self.buffer.get(range.clone())).unwrap_or_default()
    }
}

fn wide(size: [u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX)
}

/// The pairs as the host writes them; for tests and for what is written back.
pub fn write_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let octets = |(name, value): &(N, V)| name.as_ref().len() + value.as_ref().len() + 10;
    let mut buffer = Vec::with_capacity(4 + pairs.iter().map(octets).sum::<usize>());
    buffer.extend(word(pairs.len()));
    for (name, value) in pairs {
        buffer.extend(word(name.as_ref().len()));
        buffer.extend(word(value.as_ref().len()));
    }
    for (name, value) in pairs {
        buffer.extend(name.as_ref());
        buffer.push(0);
        buffer.extend(value.as_ref());
        buffer.push(0);
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_octets_in_their_order() {
        let pairs: [(&[u8], &[u8]); 4] = [(b":path", b"/"), (b"x", b"\xff\0"), (b"X", b""), (b"y", b"2")];
        let fields = Fields::from_pairs(write_pairs(&pairs)).unwrap();
        assert_eq!(fields.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(fields.values(b"x").collect::<Vec<_>>(), [b"\xff\0".as_slice(), b""]);
    }

    #[test]
    fn what_every_journey_asks_for_is_found_in_every_spelling_and_place() {
        let read = |pairs: &[(&str, &str)]| Request::from_pairs(write_pairs(pairs), Peer::Anonymous).unwrap();
        let request = read(&[(":path", "/a"), ("x", "y"), ("Authorization", "b"), (":path", "/c"), (":method", "GET")]);
        assert_eq!((request.path(), request.method(), request.authority()), (&b"/a"[..], &b"GET"[..], &b""[..]));
        assert_eq!(request.authorization(), Single::One(b"b"));
        assert_eq!(request.connection().count(), 0);
        assert_eq!(read(&[("x", "y")]).authorization(), Single::None);
        for values in [&["b", "b"][..], &["b", ""], &["", "", "b"]] {
            let pairs: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            assert_eq!(read(&pairs).authorization(), Single::Several, "{values:?}");
        }
        let request = read(&[("connection", "upgrade"), (":path", "/"), ("CONNECTION", "dpop")]);
        assert_eq!(request.connection().collect::<Vec<_>>(), [&b"upgrade"[..], b"dpop"]);
    }

    #[test]
    fn a_buffer_that_lies_about_its_sizes_is_no_list() {
        let good = write_pairs(&[("a", "b")]);
        for cut in 0..good.len() {
            assert_eq!(Fields::from_pairs(good.get(..cut).unwrap().to_vec()).err(), Some(NotPairs), "{cut}");
        }
        for at in [0, 4, 8] {
            let mut lying = good.clone();
            lying.get_mut(at..at + 4).unwrap().fill(0xff);
            assert_eq!(Fields::from_pairs(lying).err(), Some(NotPairs), "{at}");
        }
        assert!(Fields::from_pairs(vec![0; 4]).unwrap().iter().next().is_none());
    }
}
