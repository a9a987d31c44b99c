//! A way between two programs that can be cut without either being told (what is sent is swallowed, and nothing is reset), or
//! made slow.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

/// A cable. It ends with the runtime.
#[derive(Debug)]
pub struct Cable {
    /// Where it begins.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
    delay: watch::Sender<Duration>,
}

impl Cable {
    /// To that server, whole.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let ((whole, watched), (delay, delayed)) = (watch::channel(true), watch::channel(Duration::ZERO));
        let cable = Self { address: listener.local_addr()?, whole, delay };
        let server = Arc::new(server);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), watched.clone(), delayed.clone()));
            }
        });
        Ok(cable)
    }

    /// From now on nothing arrives, on connections of before and on new ones.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// New connections are carried again; those of before the cut stay dumb.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }

    /// From now on whatever is sent, up to 16 KiB of it, takes so long in each direction before the next may leave.
    pub fn delay(&self, by: Duration) {
        self.delay.send_replace(by);
    }
}

async fn carry(
    client: TcpStream,
    server: Arc<String>,
    mut whole: watch::Receiver<bool>,
    delay: watch::Receiver<Duration>,
) -> std::io::Result<()> {
    if !*whole.borrow_and_update() {
        return swallow(client).await;
    }
    let server = TcpStream::connect(server.as_str()).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = forward(from_client, to_server, whole.clone(), delay.clone());
    let back = forward(from_server, to_client, whole, delay);
    // The first side that ends takes the other with it, unless it waits at the cut.
    tokio::select! { ended = there => ended, ended = back => ended }
}

/// Until its sender ends; once the cable is cut, what comes is read and lost.
async fn forward(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut whole: watch::Receiver<bool>,
    delay: watch::Receiver<Duration>,
) -> std::io::Result<()> {
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut cut = false;
    loop {
        let read = from.read(&mut buffer).await?;
        let takes = *delay.borrow();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        // A change is a cut, also when it was mended since: the stream of bytes has a hole.
        cut |= whole.has_changed().unwrap_or(true) || !*whole.borrow_and_update();
        match (read, cut) {
            (0, true) => std::future::pending().await,
            (0, false) => return Ok(()),
            (_, true) => {}
            (read, false) => to.write_all(&buffer[..read]).await?,
        }
    }
}

/// Takes the connection and whatever is sent on it, and never answers.
async fn swallow(mut client: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0_u8; 16 * 1024];
    while client.read(&mut buffer).await? > 0 {}
    Ok(())
}
