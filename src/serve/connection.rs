//! Connections: how many there are, how slow they may be, and how they end.

use super::app::App;
use super::limits::{DISCARD_TIME, Limits, MAX_DISCARDED_BYTES, MAX_HEAD_BYTES, MAX_TURNED_AWAY};
use super::refusal::{RETRY_AFTER, Refusal};
use axum::Router;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

/// The wait after the system refused a connection, usually for lack of file descriptors.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);

/// The connections that are open when the server stops.
#[derive(Debug)]
pub struct OpenConnections {
    slots: Arc<Semaphore>,
    count: u32,
}

impl OpenConnections {
    /// Waits until they are closed.
    pub async fn closed(self) {
        let _ = self.slots.acquire_many(self.count).await;
    }
}

/// Accepts connections until `stop` is done. `router` answers their requests.
pub async fn accept(
    listener: TcpListener,
    router: Router,
    app: Arc<App>,
    stop: impl Future<Output = ()>,
) -> OpenConnections {
    let limits = app.limits;
    let count = u32::try_from(limits.connections)
        .unwrap_or(u32::MAX)
        .min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
    let slots = Arc::new(Semaphore::new(count as usize));
    let turned_away = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let (stop_sender, stopped) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(AFTER_REFUSAL).await;
            continue;
        };
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(permit) => {
                let (router, stopped, app) = (router.clone(), stopped.clone(), Arc::clone(&app));
                tokio::spawn(async move {
                    let _permit = permit;
                    app.metrics.connections.inc();
                    // Also if the task is dropped.
                    let _count = Decrement(app.metrics.connections.clone());
                    serve(stream, router, &limits, stopped).await;
                });
            }
            Err(_) => {
                app.metrics.turned_away.inc();
                if let Ok(permit) = Arc::clone(&turned_away).try_acquire_owned() {
                    tokio::spawn(async move {
                        let _permit = permit;
                        let refusal = Refusal::busy(format!("the server has reached its limit of {count} connections"));
                        refuse(Box::pin(stream), &refusal, &limits).await;
                    });
                }
            }
        }
    }
    drop(listener);
    let _ = stop_sender.send(true);
    OpenConnections { slots, count }
}

/// Decrements a gauge when it is dropped.
struct Decrement(prometheus::IntGauge);

impl Drop for Decrement {
    fn drop(&mut self) {
        self.0.dec();
    }
}

type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers the requests of a connection, one after the other.
async fn serve(stream: TcpStream, router: Router, limits: &Limits, mut stopped: watch::Receiver<bool>) {
    // Responses are written at once.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.body_time));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| -> BoxedFuture<_> { Box::pin(router.call(request)) });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut is_stopping = false;
    let ended = loop {
        select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            _ = stopped.wait_for(|stopped| *stopped), if !is_stopping => {
                is_stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    match ended {
        // What a client still sends holds up nothing.
        _ if is_stopping => _ = stream.shutdown().await,
        Err(error) if error.is_timeout() && !parts.read_buf.is_empty() => {
            let seconds = limits.header_time.as_secs_f64();
            let reason = format!("the headers of the request did not arrive within {seconds} s");
            refuse(stream, &Refusal::new(StatusCode::REQUEST_TIMEOUT, reason), limits).await;
        }
        _ => close(stream).await,
    }
}

/// Writes a refusal outside of any request, and closes the connection.
async fn refuse(mut stream: Pin<Box<impl AsyncRead + AsyncWrite>>, refusal: &Refusal, limits: &Limits) {
    let (status, body) = (refusal.status, refusal.json().to_string());
    let retry = match status {
        StatusCode::SERVICE_UNAVAILABLE => format!("retry-after: {RETRY_AFTER}\r\n"),
        _ => String::new(),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}connection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = timeout(limits.body_time, stream.write_all(response.as_bytes())).await;
    close(stream).await;
}

/// Closes a connection. What its client still sends is read and dropped for a while: closed with unread data, the system
/// would cut the connection before the client has read the response.
async fn close(mut stream: Pin<Box<impl AsyncRead + AsyncWrite>>) {
    let discard = async {
        stream.shutdown().await?;
        let (mut buffer, mut total) = ([0; 8 << 10], 0);
        while total < MAX_DISCARDED_BYTES {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => total += read,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(DISCARD_TIME, discard).await;
}
