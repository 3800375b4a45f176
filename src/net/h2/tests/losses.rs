//! Stored bytes are lost while a response is under way.

use super::*;
use crate::message::losses::alone::alone;
use crate::message::losses::raise;

#[test]
fn a_loss_cuts_the_connection_that_may_carry_it() {
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut raw = Raw::new(Limits::default()).await;
            raw.get(1, "/5").await;
            assert_eq!(raw.response(1).await.1, b"xxxxx");
            // Nothing was under way.
            raise();
            raw.get(3, "/5").await;
            assert_eq!(raw.response(3).await.1, b"xxxxx");
            raw.get(5, "/lost").await;
            assert_eq!(raw.told().await.kind, kind::HEADERS);
            let kept = raw.told().await;
            assert_eq!((&kept.payload[..], kept.is_end()), (&b"kept"[..], false));
            assert_eq!(raw.next().await, None);
            let ended = raw.hang_up().await;
            assert_eq!(ended[2], ("/lost".into(), 4, Outcome::Truncated));
        });
    });
}
