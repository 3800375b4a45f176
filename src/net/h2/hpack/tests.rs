//! The examples of RFC 7541 appendix C, and what no example shows.

use bytes::BytesMut;
use http::StatusCode;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::net::{huffman, prefix_integer};

type Field = (String, String);

/// A block, its fields, the dynamic table after it, and the table's size.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], usize);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, Invalid> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut out = Vec::new();
    decoder.decode(block, |name, value| out.push((text(name), text(value))))?;
    Ok(out)
}

/// Decodes blocks in turn and holds fields, table and table size against what is expected.
fn run(table_size: usize, examples: &[Example<'_>]) {
    let mut decoder = Decoder::new(table_size);
    for (hex, expected, table, size) in examples {
        assert_eq!(decode(&mut decoder, &bytes(hex)), Ok(fields(expected)), "{hex}");
        assert_eq!(decoder.table.dynamic(), fields(table), "{hex}");
        assert_eq!(decoder.table.size(), *size, "{hex}");
    }
}

#[test]
fn c2_representations() {
    let custom = &[("custom-key", "custom-header")][..];
    run(
        4096,
        &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", custom, custom, 55)],
    );
    run(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], &[], 0)]);
    run(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], &[], 0)]);
    run(4096, &[("82", &[(":method", "GET")], &[], 0)]);
}

#[test]
fn c3_and_c4_requests() {
    const AUTHORITY: (&str, &str) = (":authority", "www.example.com");
    const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
    const CUSTOM: (&str, &str) = ("custom-key", "custom-value");
    let (get, http, https) = ((":method", "GET"), (":scheme", "http"), (":scheme", "https"));
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for [one, two, three] in [plain, huffman] {
        run(
            4096,
            &[
                (one, &[get, http, (":path", "/"), AUTHORITY], &[AUTHORITY], 57),
                (
                    two,
                    &[get, http, (":path", "/"), AUTHORITY, NO_CACHE],
                    &[NO_CACHE, AUTHORITY],
                    110,
                ),
                (
                    three,
                    &[get, https, (":path", "/index.html"), AUTHORITY, CUSTOM],
                    &[CUSTOM, NO_CACHE, AUTHORITY],
                    164,
                ),
            ],
        );
    }
}

#[test]
fn c5_and_c6_responses_that_evict() {
    const LOCATION: (&str, &str) = ("location", "https://www.example.com");
    const DATE_21: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    const DATE_22: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
    const PRIVATE: (&str, &str) = ("cache-control", "private");
    const GZIP: (&str, &str) = ("content-encoding", "gzip");
    const COOKIE: (&str, &str) =
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
    let status = |code| (":status", code);
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 \
         303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 \
         6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 \
         5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 \
         5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b \
         ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad \
         94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 \
         65c0 03ed 4ee5 b106 3d50 07",
    ];
    for [one, two, three] in [plain, huffman] {
        run(
            256,
            &[
                (
                    one,
                    &[status("302"), PRIVATE, DATE_21, LOCATION],
                    &[LOCATION, DATE_21, PRIVATE, status("302")],
                    222,
                ),
                (
                    two,
                    &[status("307"), PRIVATE, DATE_21, LOCATION],
                    &[status("307"), LOCATION, DATE_21, PRIVATE],
                    222,
                ),
                (
                    three,
                    &[status("200"), PRIVATE, DATE_22, LOCATION, GZIP, COOKIE],
                    &[COOKIE, GZIP, DATE_22],
                    215,
                ),
            ],
        );
    }
}

#[test]
fn invalid_blocks() {
    let table = [
        ("80", "index 0"),
        ("be", "an empty dynamic table"),
        ("7f ff ff ff ff 7f", "an index too large"),
        ("3f e2 1f", "a table of 4097 bytes"),
        ("82 20", "a size update after a field"),
        ("40 03 61 62", "a string cut short"),
        ("00 01 61 82 ff ff", "Huffman padding too long"),
    ];
    for (hex, why) in table {
        assert_eq!(decode(&mut Decoder::new(4096), &bytes(hex)), Err(Invalid), "{why}");
    }
}

#[test]
fn a_size_update_evicts() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &bytes("4001 6101 62")).unwrap();
    assert_eq!(decoder.table.size(), 34);
    decode(&mut decoder, &bytes("20 3f e1 1f")).unwrap();
    assert_eq!(decoder.table.size(), 0);
    assert_eq!(decode(&mut decoder, &bytes("be")), Err(Invalid));
}

#[test]
fn an_entry_may_take_its_name_from_the_one_that_it_evicts() {
    let mut decoder = Decoder::new(40);
    decode(&mut decoder, &bytes("4001 6101 62")).unwrap();
    assert_eq!(decode(&mut decoder, &bytes("7e01 63")), Ok(fields(&[("a", "c")])));
    assert_eq!(decoder.table.dynamic(), fields(&[("a", "c")]));
}

/// Literals as a peer may choose them: with indexing or without, plain or Huffman.
fn literal(out: &mut Vec<u8>, name: &[u8], value: &[u8], indexed: bool, huffman: bool) {
    out.push(if indexed { 0x40 } else { 0 });
    for text in [name, value] {
        if huffman {
            let coded = huffman::fuzz::encode(text);
            prefix_integer::put(out, 0x80, 7, coded.len());
            out.extend_from_slice(&coded);
        } else {
            prefix_integer::put(out, 0, 7, text.len());
            out.extend_from_slice(text);
        }
    }
}

proptest! {
    #[test]
    fn literals_come_back(
        list in vec(("[a-z-]{1,20}", "[ -~]{0,200}", any::<[bool; 2]>()), 0..40)
    ) {
        let mut decoder = Decoder::new(4096);
        for part in list.chunks(7) {
            let mut block = Vec::new();
            for (name, value, [indexed, huffman]) in part {
                literal(&mut block, name.as_bytes(), value.as_bytes(), *indexed, *huffman);
            }
            let expected: Vec<Field> =
                part.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
            prop_assert_eq!(decode(&mut decoder, &block), Ok(expected));
            prop_assert!(decoder.table.size() <= 4096);
        }
    }

    #[test]
    fn responses_come_back(
        status in 100u16..1000,
        list in vec(("[a-z-]{1,20}|age|via|set-cookie", "[ -~]{0,300}"), 0..20)
    ) {
        let mut out = BytesMut::new();
        put_status(&mut out, StatusCode::from_u16(status).unwrap());
        for (name, value) in &list {
            put_field(&mut out, name, value.as_bytes());
        }
        let mut expected = vec![(":status".to_string(), status.to_string())];
        expected.extend(list);
        prop_assert_eq!(decode(&mut Decoder::new(0), &out), Ok(expected));
    }

    #[test]
    fn garbage_is_decoded_or_refused(
        blocks in vec(vec(any::<u8>(), 0..200), 0..8)
    ) {
        let mut decoder = Decoder::new(256);
        for block in blocks {
            let _outcome = decode(&mut decoder, &block);
            prop_assert!(decoder.table.size() <= 256);
        }
    }
}
