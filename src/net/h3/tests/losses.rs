//! Stored bytes are lost while a response is under way.

use super::*;
use crate::message::losses::alone::alone;
use crate::message::losses::raise;

#[test]
fn a_loss_cuts_the_connection_that_may_carry_it() {
    alone(|| {
        serve_test(Limits::default(), async |node: Node| {
            let raw = node.raw().await;
            let whole = node.get(&raw.0, "/bytes/5").await.unwrap().body().await;
            assert_eq!(whole.unwrap().len(), 5);
            assert_eq!(node.ended().await.outcome, Outcome::Complete);
            let (mut send, recv) = raw.request("GET", "/lost", &[]).await;
            send.finish().unwrap();
            assert_eq!(raw.closed().await, reset(Code::INTERNAL_ERROR));
            drop(recv);
            // Nothing of the next one is under way.
            let client = node.client().await;
            raise();
            let whole = node.get(&client, "/bytes/5").await.unwrap().body().await;
            assert_eq!(whole.unwrap().len(), 5);
        });
    });
}
