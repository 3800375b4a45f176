//! What a client says of the order of its responses (RFC 9218).

/// Urgency if the client names none (RFC 9218 section 4.1).
pub(super) const DEFAULT_URGENCY: u8 = 3;

/// The urgency that a `priority` field names (RFC 9218 section 5).
pub(super) fn urgency(priority: &[u8]) -> u8 {
    let members = priority.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let mut named = members.filter_map(|member| match member {
        [b'u', b'=', digit @ b'0'..=b'7'] => Some(digit - b'0'),
        _ => None,
    });
    // Of a repeated key the last counts (RFC 8941 section 3.2).
    named.next_back().unwrap_or(DEFAULT_URGENCY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_is_read_from_the_field() {
        let table: &[(&str, u8)] =
            &[("u=0", 0), ("i, u=7", 7), ("u=5, i", 5), ("u=9", 3), ("", 3), ("u=1,u=2", 2)];
        for (field, expected) in table {
            assert_eq!(urgency(field.as_bytes()), *expected, "{field}");
        }
    }
}
