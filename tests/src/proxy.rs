//! A TCP proxy between a service and Postgres that reads along, and breaks the connection at the commit.
//!
//! What it knows of the protocol (<https://www.postgresql.org/docs/current/protocol-message-formats.html>): a message is a
//! letter, a length and a body; a simple query is `Q`; `Z` says that the server has finished with it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What is to happen at the next commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blow {
    /// So many of its bytes reach the server, then both sides are cut: it never takes effect.
    CutBefore(usize),
    /// It takes effect; so many bytes of the server's answer reach the service, then both sides are cut.
    CutAfter(usize),
    /// A statement fails in front of it and nobody is told: the server answers ROLLBACK to what asks to commit.
    FailBefore,
}

/// A proxy. Cheap to clone; it ends with the runtime.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    armed: Arc<Mutex<Option<Blow>>>,
}

impl Proxy {
    /// In front of that server.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn before(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self { address: listener.local_addr()?, armed: Arc::default() };
        let (accepting, server) = (proxy.clone(), Arc::new(server));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (proxy, server) = (accepting.clone(), server.clone());
                // An error is one side's end; the other then meets its own.
                tokio::spawn(async move { proxy.carry(client, &server).await });
            }
        });
        Ok(proxy)
    }

    /// The next commit, on whichever connection, meets this.
    pub fn arm(&self, blow: Blow) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some(blow);
    }

    /// Whether the commit has not come yet.
    pub fn is_armed(&self) -> bool {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn strike(&self) -> Option<Blow> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn carry(&self, mut client: TcpStream, server: &str) -> std::io::Result<()> {
        let mut server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut from_server) = ([0_u8; 16 * 1024], [0_u8; 16 * 1024]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let sent = &from_client[..read?];
                    if sent.is_empty() {
                        return Ok(());
                    }
                    match is_commit(sent).then(|| self.strike()).flatten() {
                        None => server.write_all(sent).await?,
                        Some(blow) => {
                            if self.deal(blow, sent, &mut client, &mut server).await? == Then::Cut {
                                return Ok(());
                            }
                        }
                    }
                }
                read = server.read(&mut from_server) => {
                    let answered = &from_server[..read?];
                    if answered.is_empty() {
                        return Ok(());
                    }
                    client.write_all(answered).await?;
                }
            }
        }
    }

    async fn deal(&self, blow: Blow, commit: &[u8], client: &mut TcpStream, server: &mut TcpStream) -> std::io::Result<Then> {
        match blow {
            Blow::CutBefore(bytes) => {
                server.write_all(&commit[..bytes.min(commit.len() - 1)]).await?;
                Ok(Then::Cut)
            }
            Blow::CutAfter(bytes) => {
                server.write_all(commit).await?;
                let answer = until_ready(server).await?;
                client.write_all(&answer[..bytes.min(answer.len() - 1)]).await?;
                Ok(Then::Cut)
            }
            Blow::FailBefore => {
                let statement = b"select 1/0\0";
                let length = u32::try_from(statement.len() + 4).unwrap_or_default();
                server.write_all(&[b"Q", &length.to_be_bytes()[..], statement].concat()).await?;
                until_ready(server).await?;
                server.write_all(commit).await?;
                Ok(Then::GoOn)
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Then {
    Cut,
    GoOn,
}

/// A simple query that commits, alone in what was read: nothing else is on its way while a transaction ends.
fn is_commit(sent: &[u8]) -> bool {
    sent.first() == Some(&b'Q') && sent.windows(6).any(|window| window.eq_ignore_ascii_case(b"commit"))
}

/// All that the server answers, up to and with `ReadyForQuery`, which is always the last six bytes.
async fn until_ready(server: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut answer, mut buffer) = (Vec::new(), [0_u8; 4096]);
    loop {
        let read = server.read(&mut buffer).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..read]);
        if answer.len() >= 6 && answer[answer.len() - 6..answer.len() - 1] == [b'Z', 0, 0, 0, 5] {
            return Ok(answer);
        }
    }
}
