//! A wire that can go dead without being cut: it stops moving bytes in both directions and closes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// Connections up to this number are dead.
    dead: watch::Sender<u64>,
    accepted: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dead = watch::Sender::new(0);
        let accepted = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let (watched, counter) = (dead.clone(), Arc::clone(&accepted));
        tasks.spawn(async move {
            let mut wires = JoinSet::new();
            loop {
                let (hub, _) = listener.accept().await.unwrap();
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                let core = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let ((hub_in, hub_out), (core_in, core_out)) = (hub.into_split(), core.into_split());
                wires.spawn(forward(hub_in, core_out, number, watched.subscribe()));
                wires.spawn(forward(core_in, hub_out, number, watched.subscribe()));
            }
        });
        Self { port, dead, accepted, _tasks: tasks }
    }

    /// Kills the wires that are there; new ones work.
    pub(crate) fn freeze(&self) {
        self.dead.send_replace(self.accepted());
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    number: u64,
    mut dead: watch::Receiver<u64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = tokio::select! {
            biased;
            // Holds both halves open for ever.
            () = async { drop(dead.wait_for(|dead| number <= *dead).await) } => std::future::pending().await,
            count = from.read(&mut buffer) => count,
        };
        match count {
            Ok(0) | Err(_) => return,
            Ok(count) if to.write_all(&buffer[..count]).await.is_err() => return,
            Ok(_) => {}
        }
    }
}
