//! Answers that have to be waited for.

use std::cell::RefCell;
use std::rc::Rc;

use slotilla_common::clock::Tick;
use slotilla_common::command::Spec;
use slotilla_common::resp::{ReplyWriter, Value, decode};
use tokio::sync::oneshot;

use crate::downstream::client::Client;
use crate::downstream::pipeline::{Sequence, Whereabouts};
use crate::downstream::session::Call;
use crate::error;
use crate::router::{Owner, Request};
use crate::shared::Message;
use crate::worker::{NodeIndex, Worker};

/// Writes a reply.
pub(super) type Reply = Box<dyn FnOnce(&mut ReplyWriter<'_>)>;

/// Answers when `work` is done; the reply keeps its place in the client's order.
pub(super) fn later<F>(call: Call<'_>, work: impl FnOnce(Rc<Worker>) -> F + 'static)
where
    F: Future<Output = Reply>,
{
    let sequence = call.client.begin(call.worker, Whereabouts::Local, true);
    let (worker, client) = (Rc::clone(call.worker), Rc::clone(call.client));
    tokio::task::spawn_local(async move {
        let write = work(Rc::clone(&worker)).await;
        deliver(&worker, &client, sequence, write);
    });
}

fn deliver(worker: &Rc<Worker>, client: &Rc<Client>, sequence: Sequence, write: Reply) {
    let mut reply = Vec::new();
    write(&mut ReplyWriter::new(&mut reply, client.protocol()));
    worker.event();
    client.deliver(worker, sequence, &reply);
}

/// Asks every thread of the proxy.
pub(super) async fn ask_threads<T>(
    worker: &Worker,
    question: impl Fn(oneshot::Sender<T>) -> Message,
) -> Vec<T> {
    let mut answers = Vec::new();
    for thread in worker.shared.threads() {
        let (sender, receiver) = oneshot::channel();
        if thread.sender.send(question(sender)).await.is_ok()
            && let Ok(answer) = receiver.await
        {
            answers.push(answer);
        }
    }
    answers
}

/// Asks a node on behalf of a task, within the time of a request that came at `started`. Nothing
/// comes if it is no primary any more.
pub(in crate::downstream) fn ask_node(
    worker: &Rc<Worker>,
    node: NodeIndex,
    spec: &'static Spec,
    command: &[u8],
    started: Tick,
) -> oneshot::Receiver<Vec<u8>> {
    let (sender, receiver) = oneshot::channel();
    let request = Request {
        spec,
        slot: None,
        pinned: Some(node),
        started,
        attempts: 0,
        owner: Owner::Task(RefCell::new(Some(sender))),
    };
    worker.send(command, request);
    receiver
}

/// RANDOMKEY: of a primary drawn by how many keys it has. Primaries that give no answer are passed
/// over, unless the others have no key.
pub(crate) fn random_key(worker: &Rc<Worker>, bytes: &[u8], request: Request) {
    let primaries = worker.map.borrow().primaries().to_vec();
    let (worker, bytes) = (Rc::clone(worker), bytes.to_vec());
    tokio::task::spawn_local(async move {
        let (spec, started) = (request.spec, request.started);
        let ask = |node, command, started| ask_node(&worker, node, spec, command, started);
        let sizes: Vec<_> = primaries
            .iter()
            .map(|(_, node)| (*node, ask(*node, DBSIZE, started)))
            .collect();
        let (mut known, mut failure) = (Vec::new(), None);
        for (node, size) in sizes {
            let Ok(reply) = size.await else {
                return begin_anew(&worker, bytes, request);
            };
            match value_of(&reply).and_then(|value| u64::try_from(value.as_integer()?).ok()) {
                Some(size) => known.push((node, size)),
                None => failure = failure.or(Some(reply)),
            }
        }
        worker.event();
        let reply = match (drawn(&known), failure) {
            // Those that gave no answer may have taken all the time.
            (Some(node), _) => ask(node, RANDOMKEY, worker.now()).await,
            (None, None) => Ok(b"$-1\r\n".to_vec()),
            (None, Some(failure)) => Ok(failure),
        };
        let Ok(reply) = reply else {
            return begin_anew(&worker, bytes, request);
        };
        finish(&worker, request, |out| match value_of(&reply) {
            Some(value) => value.write(out),
            None => out.error("ERR the node gave no answer"),
        });
    });
}

/// A node that was asked is no primary any more: the request is sent on its way once more.
pub(in crate::downstream) fn begin_anew(worker: &Rc<Worker>, bytes: Vec<u8>, request: Request) {
    worker.event();
    worker.retry_later(bytes, request, error::NOT_SENT);
}

/// Answers a request in the protocol of its client.
pub(in crate::downstream) fn finish(
    worker: &Rc<Worker>,
    request: Request,
    write: impl FnOnce(&mut ReplyWriter<'_>),
) {
    let mut reply = Vec::new();
    write(&mut ReplyWriter::new(&mut reply, request.protocol()));
    worker.event();
    worker.finish(request, &reply);
}

const DBSIZE: &[u8] = b"*1\r\n$6\r\nDBSIZE\r\n";
const RANDOMKEY: &[u8] = b"*1\r\n$9\r\nRANDOMKEY\r\n";

fn value_of(reply: &[u8]) -> Option<Value> {
    decode(reply).ok().flatten().map(|(value, _)| value)
}

/// One of the nodes by chance, each as likely as it has keys. `None` if no node has any.
fn drawn(sizes: &[(NodeIndex, u64)]) -> Option<NodeIndex> {
    let total: u64 = sizes.iter().map(|(_, size)| size).sum();
    let mut place = fastrand::u64(..total.max(1));
    let found = sizes.iter().find(|(_, size)| {
        let is_it = place < *size;
        place = place.saturating_sub(*size);
        is_it
    });
    found.map(|(node, _)| *node)
}
