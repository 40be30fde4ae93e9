//! What a handler leaves unread of a request is read and dropped before its answer goes: a client that is still
//! writing hears its answer only then, and a connection with half a request on it could not be used again (clients
//! that keep it find it dead at their next request).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// How long a client may take to send the rest; as nginx's `lingering_time`.
const TIME: Duration = Duration::from_secs(30);
/// How long it may be silent meanwhile; as nginx's `lingering_timeout`.
const SILENCE: Duration = Duration::from_secs(5);
/// Bytes of the rest that are taken.
const MOST: usize = 1 << 30;

/// A request's body, that comes back when it is dropped before its end.
struct Lent {
    body: Body,
    /// A client that asked first (`Expect: 100-continue`) sends nothing before that.
    awaited: bool,
    back: Option<oneshot::Sender<Rest>>,
}

/// What is left, where it comes at all.
type Rest = Option<Body>;

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.awaited = true;
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.back = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.body.is_end_stream()
        {
            let rest = std::mem::take(&mut self.body);
            // Nobody waits when the client is gone.
            let _ = back.send(self.awaited.then_some(rest));
        }
    }
}

/// Reads what the handler left.
pub async fn read_rest(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let awaited = !request.headers().contains_key(header::EXPECT);
    let (back, mut returned) = oneshot::channel();
    let lent = |body| {
        Body::new(Lent {
            body,
            awaited,
            back: Some(back),
        })
    };
    let mut response = next.run(request.map(lent)).await;
    let is_read = match returned.try_recv() {
        Ok(Some(rest)) => matches!(tokio::time::timeout(TIME, read(rest)).await, Ok(true)),
        Ok(None) => false,
        Err(_) => true,
    };
    if !is_read {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Whether it came to its end.
async fn read(rest: Body) -> bool {
    let mut stream = rest.into_data_stream();
    let mut length = 0_usize;
    while length <= MOST {
        match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return true,
            Ok(Some(Ok(chunk))) => length += chunk.len(),
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
    false
}
