//! A TCP proxy between a service and its partner that keeps one request back: whoever sent it sees the connection end without an
//! answer, and the request arrives long after.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A proxy. Cheap to clone; it ends with the runtime.
#[derive(Clone, Debug)]
pub struct Straggler {
    /// Where it listens.
    pub address: SocketAddr,
    partner: Arc<String>,
    request: Arc<Mutex<Request>>,
}

/// The one request.
#[derive(Debug)]
enum Request {
    /// The next that begins so is kept back.
    Awaited(&'static str),
    /// Its bytes.
    Held(Vec<u8>),
}

/// No partner takes longer to answer what it has answered before.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

impl Straggler {
    /// In front of that partner, for the first request that begins so: `POST /v1/payment_intents HTTP`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn before(partner: String, begins: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let request = Arc::new(Mutex::new(Request::Awaited(begins)));
        let proxy = Self { address: listener.local_addr()?, partner: Arc::new(partner), request };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = accepting.clone();
                // An error is one side's end; the other then meets its own.
                tokio::spawn(async move { proxy.carry(client).await });
            }
        });
        Ok(proxy)
    }

    /// Lets the request arrive, and gives the answer's head: nobody else waits for it any more.
    ///
    /// # Errors
    /// When none was kept back, or the partner does not answer.
    pub async fn let_go(&self) -> anyhow::Result<String> {
        let held = match &*self.request.lock().unwrap_or_else(PoisonError::into_inner) {
            Request::Held(bytes) => bytes.clone(),
            Request::Awaited(begins) => anyhow::bail!("no request began with {begins:?}"),
        };
        let mut partner = TcpStream::connect(&*self.partner).await?;
        partner.write_all(&held).await?;
        let mut answer = Vec::new();
        let head = async {
            while !ends_head(&answer) {
                anyhow::ensure!(partner.read_buf(&mut answer).await? > 0, "it hung up");
            }
            anyhow::Ok(())
        };
        timeout(ANSWERED_WITHIN, head).await.context("the partner does not answer")??;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn carry(&self, client: TcpStream) -> io::Result<()> {
        let partner = TcpStream::connect(&*self.partner).await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_partner, mut to_partner) = partner.into_split();
        let answers = tokio::spawn(async move { tokio::io::copy(&mut from_partner, &mut to_client).await });
        let mut bytes = Vec::new();
        while from_client.read_buf(&mut bytes).await? > 0 {
            if self.awaits(&bytes) {
                // Until it is whole; then both sides are dropped, and with them the connection.
                while !is_whole(&bytes) {
                    if from_client.read_buf(&mut bytes).await? == 0 {
                        break;
                    }
                }
                *self.request.lock().unwrap_or_else(PoisonError::into_inner) = Request::Held(bytes);
                answers.abort();
                return Ok(());
            }
            to_partner.write_all(&bytes).await?;
            bytes.clear();
        }
        Ok(())
    }

    fn awaits(&self, bytes: &[u8]) -> bool {
        matches!(&*self.request.lock().unwrap_or_else(PoisonError::into_inner),
            Request::Awaited(begins) if bytes.starts_with(begins.as_bytes()))
    }
}

fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n")
}

/// The head and as many bytes as it says.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0_usize)
}
