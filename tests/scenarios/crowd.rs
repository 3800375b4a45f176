//! A thousand clients at once for one cold object over a slow origin: one request there, and each
//! has its first bytes as soon as the origin has sent them.

use bytes::Bytes;
use futures_util::future::join_all;

use crate::support::{Ask, Gate, Protocol, Reply, Scene, over_each_protocol, within};

over_each_protocol!(a_thousand_share_one_fetch, many_that_leave_harm_nobody);

const FIRST: usize = 64 * 1024;
const SIZE: usize = 10 * 1024 * 1024;

/// Bytes that tell where they are.
fn object() -> Bytes {
    (0..SIZE as u32 / 4).flat_map(u32::to_be_bytes).collect::<Vec<_>>().into()
}

async fn a_thousand_share_one_fetch(protocol: Protocol) {
    const CROWD: usize = 1000;
    /// Those who stay to the end: ten mebibytes for each of a thousand would measure the machine.
    const STAY: usize = 40;
    let scene = Scene::new(protocol).await;
    let (object, gate) = (object(), Gate::new());
    let (first, rest) = (object.slice(..FIRST), object.slice(FIRST..));
    scene.origin.on("/big", Reply::fresh(first.clone()).gate(&gate).piece(rest));
    let crowd = scene.crowd(CROWD).await;
    let opened = crowd.iter().map(async |client| {
        let mut response = client.open(Ask::get("/big")).await.unwrap();
        let mut came = response.at_least(1).await.unwrap().to_vec();
        while came.len() < FIRST {
            came.extend_from_slice(&response.at_least(1).await.unwrap());
        }
        assert_eq!(came, first);
        response
    });
    // The origin holds the rest back until everyone has what there is.
    let mut opened = within("everyone's first bytes", join_all(opened)).await;
    opened.truncate(STAY);
    gate.open();
    let whole = within("the rest", join_all(opened.into_iter().map(|each| each.whole()))).await;
    for seen in whole {
        assert!(seen.unwrap().body == object[FIRST..], "other bytes than the origin's");
    }
    assert_eq!(scene.origin.count(), 1);
    let hit = scene.get("/big").await;
    assert!(hit.is_hit() && hit.body == object);
}

async fn many_that_leave_harm_nobody(protocol: Protocol) {
    const CROWD: usize = 100;
    let scene = Scene::new(protocol).await;
    let object = object();
    scene.origin.on("/big", Reply::fresh(object.clone()));
    for _ in 0..2 {
        let crowd = scene.crowd(CROWD).await;
        let leaving = crowd.iter().enumerate().map(async |(index, client)| {
            let mut response = client.open(Ask::get("/big")).await.unwrap();
            response.at_least(index * 2 * FIRST / 4 + 1).await.unwrap();
        });
        within("everyone's leave", join_all(leaving)).await;
        drop(crowd);
        let stays = scene.get("/big").await;
        assert!(stays.body == object, "other bytes than the origin's");
    }
    assert_eq!(scene.origin.count(), 1);
}
