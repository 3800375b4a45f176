//! Flow control windows (RFC 9113 section 5.2 and 6.9). Pure.

use super::frame::MAX_31_BITS;

/// What we may still send on a stream or the connection.
///
/// It becomes negative when the peer lowers SETTINGS_INITIAL_WINDOW_SIZE below what is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i64);

/// A window has grown beyond 2^31-1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl SendWindow {
    /// A window of `size` bytes.
    pub(super) fn new(size: u32) -> Self {
        Self(size.into())
    }

    /// Bytes that may be sent now.
    pub(super) fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// `bytes` have been framed; at most [`available`](Self::available).
    pub(super) fn spend(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.available());
        self.0 -= bytes as i64;
    }

    /// Moves by a WINDOW_UPDATE, or by a change of the initial window.
    pub(super) fn shift(&mut self, by: i64) -> Result<(), Overflow> {
        let moved = self.0 + by;
        if moved > MAX_31_BITS.into() {
            return Err(Overflow);
        }
        self.0 = moved;
        Ok(())
    }
}

/// What the peer may still send on a stream or the connection.
///
/// ```text
/// size = open + held by the reader + owed
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    open: u32,
    owed: u32,
}

impl ReceiveWindow {
    /// A window that the peer knows to be `size` bytes.
    pub(super) fn new(size: u32) -> Self {
        Self { size, open: size, owed: 0 }
    }

    /// The peer has sent `bytes`; an error if the window did not allow them.
    pub(super) fn receive(&mut self, bytes: usize) -> Result<(), Overflow> {
        let bytes = u32::try_from(bytes).map_err(|_| Overflow)?;
        self.open = self.open.checked_sub(bytes).ok_or(Overflow)?;
        Ok(())
    }

    /// `bytes` were consumed. Returns the increment for a WINDOW_UPDATE once half of the window is
    /// owed: few frames, and the peer never runs dry.
    pub(super) fn release(&mut self, bytes: usize) -> Option<u32> {
        self.owed += bytes as u32;
        (self.owed >= self.size / 2).then(|| {
            let increment = std::mem::take(&mut self.owed);
            self.open += increment;
            increment
        })
    }

    /// Whether the peer may send.
    pub(super) fn is_open(self) -> bool {
        self.open > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_may_be_negative_but_never_too_large() {
        let mut window = SendWindow::new(100);
        window.spend(60);
        assert_eq!(window.shift(-80), Ok(()));
        assert_eq!(window.available(), 0);
        assert_eq!(window.shift(41), Ok(()));
        assert_eq!(window.available(), 1);
        assert_eq!(window.shift(MAX_31_BITS.into()), Err(Overflow));
        assert_eq!(window.shift(i64::from(MAX_31_BITS) - 1), Ok(()));
    }

    #[test]
    fn a_receive_window_opens_as_its_reader_consumes() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.receive(101), Err(Overflow));
        assert_eq!(window.receive(100), Ok(()));
        assert!(!window.is_open());
        assert_eq!(window.release(49), None);
        assert_eq!(window.receive(1), Err(Overflow), "not announced yet");
        assert_eq!(window.release(1), Some(50));
        assert_eq!(window.receive(50), Ok(()));
    }
}
