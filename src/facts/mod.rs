//! What the proxy knows of one request, as bytes: its line, its fields, its peer.
//!
//! The header fields stay in the one buffer that the host returned (proxy-wasm's pairs: a count, the sizes, then names and
//! values, each followed by a NUL); everything else here points into it.

use core::ops::Range;

pub mod peer;

use peer::Peer;

/// One request, before anything in it is believed.
pub struct Request {
    buffer: Vec<u8>,
    fields: Vec<Field>,
    method: Range<usize>,
    path: Range<usize>,
    authority: Range<usize>,
    pub peer: Peer,
    /// The peer's address; counts callouts where there is no certificate.
    pub address: Vec<u8>,
    /// Set where some route of the configuration asks for it.
    pub envoy_route: Option<EnvoyRoute>,
}

/// The Envoy route that the proxy chose, as `xds.route_name` and `xds.route_metadata` tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvoyRoute {
    pub name: Option<Vec<u8>>,
    /// `filter_metadata.holdfast.policy`, one string.
    pub policy: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// The host's buffer is not a list of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPairs;

impl Request {
    /// Reads the host's pairs. Names are compared in lower case, as Envoy hands them out.
    pub fn from_pairs(buffer: Vec<u8>, peer: Peer) -> Result<Self, NotPairs> {
        let fields = read_pairs(&buffer).ok_or(NotPairs)?;
        let find = |name: &[u8]| {
            let found = fields.iter().find(|field| buffer.get(field.name.clone()) == Some(name));
            found.map_or(0..0, |field| field.value.clone())
        };
        let (method, path, authority) = (find(b":method"), find(b":path"), find(b":authority"));
        Ok(Self { buffer, fields, method, path, authority, peer, address: Vec::new(), envoy_route: None })
    }

    pub fn method(&self) -> &[u8] {
        self.slice(&self.method)
    }

    /// The request target, its query included.
    pub fn path(&self) -> &[u8] {
        self.slice(&self.path)
    }

    pub fn authority(&self) -> &[u8] {
        self.slice(&self.authority)
    }

    /// All fields in their order, pseudo-headers included.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.slice(&field.name), self.slice(&field.value)))
    }

    /// Every value of the fields of this name, in their order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Bytes held while the request waits.
    pub fn size(&self) -> usize {
        self.buffer.len() + self.fields.len() * size_of::<Field>() + self.peer.size()
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.get(range.clone()).unwrap_or_default()
    }
}

fn read_pairs(buffer: &[u8]) -> Option<Vec<Field>> {
    let word = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = buffer.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let count = word(0)?;
    // Each pair takes ten bytes at least, so a count that lies allocates nothing.
    if count > buffer.len() / 10 {
        return None;
    }
    let mut fields = Vec::with_capacity(count);
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    for pair in 0..count {
        let sizes = pair * 8 + 4;
        let name = at..at.checked_add(word(sizes)?)?;
        let value = name.end.checked_add(1)?..name.end.checked_add(1)?.checked_add(word(sizes + 4)?)?;
        at = value.end.checked_add(1)?;
        buffer.get(..at)?;
        fields.push(Field { name, value });
    }
    Some(fields)
}

/// The pairs as the host writes them; for tests and for what is written back.
pub fn write_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut buffer = size_of_list(pairs.len()).to_vec();
    for (name, value) in pairs {
        buffer.extend(size(name.as_ref()));
        buffer.extend(size(value.as_ref()));
    }
    for (name, value) in pairs {
        buffer.extend(name.as_ref());
        buffer.push(0);
        buffer.extend(value.as_ref());
        buffer.push(0);
    }
    buffer
}

fn size_of_list(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes()
}
