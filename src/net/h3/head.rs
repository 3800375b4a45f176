//! A field section to the head of a request or to trailers: decoded by QPACK, judged by
//! [`FieldList`], and each fault in the words of RFC 9114.

use super::code::{Code, Failure};
use super::qpack;
use crate::net::request_head::{FieldList, Head, Refusal};
use crate::net::{Fault, Limits};

/// Reads the sections of a connection in turn; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub(super) struct SectionReader {
    decoder: qpack::Decoder,
    fields: FieldList,
}

/// Why there is no head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHead {
    /// The section is malformed.
    Broken(Failure),
    /// The section is sound, and not served.
    Refused(Fault),
}

impl SectionReader {
    /// Reads a request's field section.
    pub(super) fn request(&mut self, section: &[u8], limits: &Limits) -> Result<Head, NoHead> {
        self.decode(section, limits).map_err(NoHead::Broken)?;
        self.fields.request().map_err(|refusal| match refusal {
            Refusal::Malformed(detail) => NoHead::Broken(malformed(detail)),
            Refusal::Fault(fault) => NoHead::Refused(fault),
        })
    }

    /// Reads a trailer section.
    pub(super) fn trailers(
        &mut self,
        section: &[u8],
        limits: &Limits,
    ) -> Result<http::HeaderMap, Failure> {
        self.decode(section, limits)?;
        self.fields.trailers().map_err(|refusal| match refusal {
            Refusal::Malformed(detail) => malformed(detail),
            Refusal::Fault(fault) => malformed(fault.detail),
        })
    }

    /// Whether the section read last is that of a HEAD request.
    pub(super) fn is_head(&self) -> bool {
        self.fields.is_head()
    }

    fn decode(&mut self, section: &[u8], limits: &Limits) -> Result<(), Failure> {
        self.fields.begin(limits);
        let fields = &mut self.fields;
        self.decoder
            .decode(section, |name, value| fields.push(name, value))
            .map_err(|qpack::BadSection| Failure::Connection(Code::QPACK_DECOMPRESSION_FAILED))
    }
}

fn malformed(detail: &'static str) -> Failure {
    tracing::debug!(detail, "malformed HTTP/3 field section");
    Failure::Stream(Code::MESSAGE_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [(&str, &str); 4] =
        [(":method", "HEAD"), (":scheme", "https"), (":authority", "a.test"), (":path", "/x?y")];

    fn section(lines: &[(&str, &str)]) -> Vec<u8> {
        let mut section = Vec::new();
        qpack::begin(&mut section);
        for (name, value) in lines {
            qpack::put_field(&mut section, name, value.as_bytes());
        }
        section
    }

    #[test]
    fn each_fault_has_its_consequence() {
        let limits = Limits { url: 5, ..Limits::default() };
        let mut reader = SectionReader::default();
        let head = reader.request(&section(&USUAL), &limits).unwrap();
        assert_eq!((&head.host[..], &head.target[..]), (&b"a.test"[..], &b"/x?y"[..]));
        assert!(reader.is_head());
        let mut read = |lines: &[_]| reader.request(&section(lines), &limits).map(|_| ());
        let message_error = Failure::Stream(Code::MESSAGE_ERROR);
        assert_eq!(read(&USUAL[..3]), Err(NoHead::Broken(message_error)));
        let mut long = USUAL;
        long[3].1 = "/x?y&z";
        assert!(matches!(read(&long), Err(NoHead::Refused(fault)) if fault.status == 414));
        let failed = Failure::Connection(Code::QPACK_DECOMPRESSION_FAILED);
        assert_eq!(reader.request(b"", &limits).unwrap_err(), NoHead::Broken(failed));
        assert_eq!(reader.trailers(&section(&[("x-sum", "1")]), &limits).unwrap()["x-sum"], "1");
        assert_eq!(reader.trailers(&section(&USUAL), &limits), Err(message_error));
        assert_eq!(reader.trailers(b"", &limits), Err(failed));
    }
}
