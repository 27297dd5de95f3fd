//! Answers that have to be waited for.

use std::cell::RefCell;
use std::rc::Rc;

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
pub(in crate::downstream) type Reply = Box<dyn FnOnce(&mut ReplyWriter<'_>)>;

/// Answers when `work` is done; the reply keeps its place in the client's order.
pub(in crate::downstream) fn later<F>(call: Call<'_>, work: impl FnOnce(Rc<Worker>) -> F + 'static)
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

/// Asks a node on behalf of a task.
pub(in crate::downstream) fn ask_node(
    worker: &Rc<Worker>,
    node: NodeIndex,
    spec: &'static Spec,
    command: &[u8],
) -> oneshot::Receiver<Vec<u8>> {
    let (sender, receiver) = oneshot::channel();
    let request = Request {
        spec,
        slot: None,
        pinned: Some(node),
        started: worker.now(),
        attempts: 0,
        owner: Owner::Task(RefCell::new(Some(sender))),
    };
    worker.send(command, request);
    receiver
}

/// RANDOMKEY: of a primary drawn by how many keys it has. Primaries that give no answer are passed
/// over, unless the others have no key.
pub(in crate::downstream) fn random_key(call: Call<'_>) {
    let Call { worker, spec, .. } = call;
    let primaries = worker.map.borrow().primaries().to_vec();
    if primaries.is_empty() {
        worker.shared.refresher.ask();
        return call.client.answer(worker, |out| out.raw(error::NO_MAP));
    }
    later(call, move |worker| async move {
        let sizes: Vec<_> = primaries
            .iter()
            .map(|(_, node)| (*node, ask_node(&worker, *node, spec, DBSIZE)))
            .collect();
        let (mut known, mut failure) = (Vec::new(), None);
        for (node, size) in sizes {
            let reply = size.await.unwrap_or_default();
            match value_of(&reply).and_then(|value| u64::try_from(value.as_integer()?).ok()) {
                Some(size) => known.push((node, size)),
                None => failure = failure.or(Some(reply)),
            }
        }
        let reply = match (drawn(&known), failure) {
            (Some(node), _) => ask_node(&worker, node, spec, RANDOMKEY).await.ok(),
            (None, None) => return Box::new(|out: &mut ReplyWriter<'_>| out.null()) as Reply,
            (None, failure) => failure,
        };
        let value = reply.and_then(|reply| value_of(&reply));
        Box::new(move |out: &mut ReplyWriter<'_>| match value {
            Some(value) => value.write(out),
            None => out.error("ERR the node gave no answer"),
        }) as Reply
    });
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
