//! Several processes, and servers that are killed, or do not sync.

use super::*;

const WIDE: LogBounds = LogBounds { entries: 4096, ..BOUNDS };

#[tokio::test]
async fn two_processes_at_once_do_not_fork_the_log() {
    const EACH: usize = 100;
    let server = NatsServer::start();
    let one = Arc::new(NatsLog::open(nats(&server).await, WIDE).await.unwrap());
    let other = Arc::new(NatsLog::open(nats(&server).await, WIDE).await.unwrap());
    assert_eq!(head(&one), head(&other), "one log");
    let tasks: Vec<_> = (0..EACH)
        .flat_map(|n| [(one.clone(), format!("one {n}")), (other.clone(), format!("other {n}"))])
        .map(|(log, tag)| {
            tokio::spawn(async move {
                let entry = log.append(asked(&tag)).await.unwrap();
                assert_eq!(entry.commands[0].value, tag);
                (entry.first, tag)
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    told.sort();
    let numbers: Vec<_> = told.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=2 * EACH as u64).collect::<Vec<_>>(), "each has its own number");
    for log in [&one, &other] {
        until(log, |head| head.number == 2 * EACH as u64).await;
    }
    assert_eq!(head(&one), head(&other), "by number and hash");
    let order: Vec<_> = told.into_iter().map(|(_, tag)| tag).collect();
    assert_eq!(tags(&one).await, order);
    assert_eq!(tags(&other).await, order);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut server = NatsServer::start();
    let log = log(&server).await;
    for n in 0..5 {
        append(&log, &n.to_string()).await;
    }
    let before = head(&log);
    server.kill();
    let mut waits = log.append(asked("down"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    assert!(server.run_again());
    let entry = timeout(LONGEST, waits).await.unwrap().unwrap();
    assert_eq!(before.then(&entry), Some(head(&log)), "the same log goes on");
    let again = NatsLog::open(nats(&server).await, BOUNDS).await.unwrap();
    assert_eq!(head(&again), head(&log));
    assert_eq!(tags(&again).await, ["0", "1", "2", "3", "4", "down"]);
}

#[tokio::test]
async fn a_cluster_goes_on_with_one_of_three_killed() {
    let mut servers = NatsServer::cluster();
    let urls: Vec<_> = servers.iter().map(NatsServer::url).collect();
    let open = async {
        loop {
            // Until the three have found each other.
            let parts = NatsParts { replicas: 3, ..NatsParts::of(urls.clone()) };
            if let Ok(nats) = Nats::connect(parts).await
                && let Ok(log) = NatsLog::open(nats, WIDE).await
            {
                break log;
            }
        }
    };
    let log = timeout(LONGEST, open).await.unwrap();
    let start = head(&log);
    let mut told = Vec::new();
    for n in 0..20 {
        if n == 5 {
            let mut stream = operator(&servers[0]).await.get_stream("headland").await.unwrap();
            let leader = stream.info().await.unwrap().cluster.clone().unwrap().leader.unwrap();
            let at = leader.strip_prefix('n').unwrap().parse::<usize>().unwrap();
            servers[at].kill();
        }
        told.push(append(&log, &n.to_string()).await);
    }
    let told: Vec<_> = told.iter().map(|entry| (entry.first, entry.hash())).collect();
    let whole = log.read(0, usize::MAX).await.unwrap().unwrap();
    let mut at = start;
    for entry in &whole {
        at = at.then(entry).unwrap();
    }
    assert_eq!(at, head(&log));
    // One whose answer was lost may stand there twice; none is missing, and the order is kept.
    let there: Vec<_> = whole.iter().map(|entry| (entry.first, entry.hash())).collect();
    assert!(told.iter().all(|entry| there.contains(entry)), "{told:?} of {there:?}");
    assert!(told.is_sorted_by_key(|(number, _)| *number));
}

#[tokio::test]
async fn servers_have_to_sync_and_to_show_it() {
    let connect = async |settings: Settings, checks_sync| {
        let server = NatsServer::with(settings);
        let parts = NatsParts { checks_sync, ..NatsParts::of(vec![server.url()]) };
        Nats::connect(parts).await.map(drop).map_err(|error| error.to_string())
    };
    let lazy = Settings { syncs: false, ..Settings::default() };
    let expected = "NATS: expected \"jetstream { sync_interval: always }\" in the config of the \
                    server: n1";
    assert_eq!(connect(lazy.clone(), true).await, Err(expected.to_owned()));
    assert_eq!(connect(lazy, false).await, Ok(()));
    let silent = Settings { shows: false, ..Settings::default() };
    let error = connect(silent.clone(), true).await.unwrap_err();
    assert!(error.contains("purge_log.check_sync = false"), "{error}");
    assert_eq!(connect(silent, false).await, Ok(()));
}

#[tokio::test]
async fn one_that_is_not_there_is_told() {
    let mut server = NatsServer::start();
    server.kill();
    let error = Nats::connect(NatsParts::of(vec![server.url()])).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("NATS: {}: ", server.url())), "{error}");
}
