//! HTTP/1.1 messages, octet by octet: enough to say what a well-behaved library would not.

use std::io::{self, Read};

/// Header fields in their order, values as octets.
pub type Fields = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
}

impl Response {
    /// Every value of a field, as text.
    pub fn values(&self, name: &str) -> Vec<String> {
        values(&self.headers, name)
    }

    /// The one value of a field; none or several are none.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        if values.len() == 1 { values.pop() } else { None }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub fn values(fields: &Fields, name: &str) -> Vec<String> {
    let same = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

/// The first line and the fields of a message, and what was read beyond them.
pub struct Head {
    pub line: [String; 3],
    pub headers: Fields,
    pub rest: Vec<u8>,
}

/// Reads until the empty line. None where the other end has gone before it said anything.
pub fn read_head(stream: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<Option<Head>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            return parse_head(&buffer, rest).map(Some);
        }
        let mut part = [0; 8192];
        match stream.read(&mut part)? {
            0 if buffer.is_empty() => return Ok(None),
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the head is cut off")),
            size => buffer.extend_from_slice(&part[..size]),
        }
    }
}

fn parse_head(head: &[u8], rest: Vec<u8>) -> io::Result<Head> {
    let mut lines = head.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut words = first.splitn(3, ' ').map(str::to_owned);
    let line = [(); 3].map(|()| words.next().unwrap_or_default());
    let mut headers = Fields::new();
    for field in lines.filter(|field| !field.is_empty()) {
        let colon = field.iter().position(|octet| *octet == b':');
        let colon = colon.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a field without a colon"))?;
        let name = String::from_utf8_lossy(&field[..colon]).into_owned();
        headers.push((name, field[colon + 1..].trim_ascii().to_vec()));
    }
    Ok(Head { line, headers, rest })
}

/// What follows the head of a message.
pub struct Body {
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// What was read beyond it.
    pub rest: Vec<u8>,
}

/// Reads the body that the fields announce.
pub fn read_body(stream: &mut impl Read, headers: &Fields, mut buffer: Vec<u8>) -> io::Result<Body> {
    if values(headers, "transfer-encoding").iter().any(|value| value.contains("chunked")) {
        return read_chunks(stream, buffer);
    }
    match values(headers, "content-length").first().and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => {
            fill(stream, &mut buffer, length)?;
            let rest = buffer.split_off(length);
            Ok(Body { body: buffer, trailers: Fields::new(), rest })
        }
        None => Ok(Body { body: Vec::new(), trailers: Fields::new(), rest: buffer }),
    }
}

/// Reads until `buffer` holds that much.
pub fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let mut part = [0; 8192];
    while buffer.len() < length {
        match stream.read(&mut part)? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is cut off")),
            size => buffer.extend_from_slice(&part[..size]),
        }
    }
    Ok(())
}

fn read_chunks(stream: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<Body> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            let more = buffer.len() + 1;
            fill(stream, &mut buffer, more)?;
        };
        let size = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk without a size"))?;
        if size == 0 {
            // The last chunk, behind which come trailers as in a head.
            let head = read_head(stream, [b"x x x\r\n", &buffer[end + 2..]].concat())?;
            let head = head.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the trailers are cut off"))?;
            return Ok(Body { body, trailers: head.headers, rest: head.rest });
        }
        fill(stream, &mut buffer, end + 2 + size + 2)?;
        body.extend_from_slice(&buffer[end + 2..end + 2 + size]);
        buffer.drain(..end + 2 + size + 2);
    }
}
